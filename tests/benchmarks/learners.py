"""Every learner on the test windows of four data sets, five seeds each.

    python tests/benchmarks/learners.py SCRATCH [--write docs/learners.md] [--only bpi2012]

Fits and predicts what `intentcast backtest` does, at the primary horizon, with the learner's seed
1 to 5. Features do not depend on that seed and are computed once per window. Folds are pooled. The
data sets: the sample, Complete Journey (from the extra `examples`), and those of
`tests/test_real_data.py` where they are beside the checkout.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from ablation import data_sets
from ablation_fits import _once
from numpy.typing import NDArray
from pages import write_sections

from intentcast.config import LearnerConfig, read_settings
from intentcast.evaluation.backtest import _splits
from intentcast.evaluation.metrics import auc, average_precision
from intentcast.labels import label_snapshots
from intentcast.propensity import CONTENDERS, STEPS, Fitted, fit_ladder, judging
from intentcast.propensity.horizons import predict_horizons
from intentcast.scorecards import dataset_scorecards, read_scorecard, score_snapshots
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset, load_dataset
from intentcast.training import TrainingSet, training_set

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(1, 6)
Floats = NDArray[np.float64]
METRICS = ("AUC", "average precision", "Brier", "log loss")


@dataclass(frozen=True)
class Window:
    """One fold: what is learnt from, and the test snapshots whose horizon is over."""

    known: TrainingSet
    features: Floats
    converted: Floats
    points: dict[str, Floats]


def windows(dataset: Dataset, config: LearnerConfig) -> Iterator[Window]:
    """Yield the folds, cut as `run_backtest` cuts them."""
    times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
    first = dataset.config.backtest.first_test
    assert first is not None, "every data set here sets backtest.first_test"
    days = dataset.config.conversion.primary_horizon_days
    cards = [read_scorecard(path) for path in dataset_scorecards(dataset)]
    for split in _splits(times, first, dataset):
        known = training_set(dataset, times=times, known_by=split.known_by, config=config)
        over = [t for t in split.test if t + timedelta(days=days) <= dataset.data_cutoff]
        test = build_snapshots(dataset, over)
        label = label_snapshots(test, dataset, horizon_days=days, known_by=dataset.data_cutoff)
        judged = label.is_not_null()
        test = test.filter(judged)
        yield Window(
            known,
            known.featurizer.transform(dataset, test).doubles,
            label.drop_nulls().cast(pl.Float64).to_numpy(),
            {
                card.name: score_snapshots(card, dataset, test)["score"].cast(pl.Float64).to_numpy()
                for card in cards
            },
        )


def predicted(
    window: Window, config: LearnerConfig, primary: int
) -> tuple[dict[str, Floats], Fitted]:
    """Return each contender's probabilities at the primary horizon."""
    fitted = fit_ladder(
        window.known.rows,
        window.known.followed,
        primary=primary,
        config=config,
        contenders=CONTENDERS,
    )
    out = {}
    for step in STEPS:
        models = {days: fit.models[step] for days, fit in fitted.items()}
        found = predict_horizons(models, window.features)
        out[step] = found.probabilities[:, found.horizons_days.index(primary)]
    out["champion"] = out[fitted[primary].champion]
    return out, fitted[primary]


def figures(converted: Floats, p: Floats) -> list[float]:
    """Return `METRICS`; the last two NaN for points, which are no probabilities."""
    ranks = [auc(converted, p), average_precision(converted, p)]
    if p.min() < 0 or p.max() > 1:
        return [*ranks, float("nan"), float("nan")]
    q = np.clip(p, 1e-15, 1 - 1e-15)
    loss = -np.mean(converted * np.log(q) + (1 - converted) * np.log(1 - q))
    return [*ranks, float(np.mean((p - converted) ** 2)), float(loss)]


def measure(folder: Path, config: LearnerConfig) -> tuple[list[list[str]], list[str]]:
    """Return the table's rows for one data set, and what was chosen and why."""
    dataset = load_dataset(folder)
    primary = dataset.config.conversion.primary_horizon_days
    found: dict[str, list[list[float]]] = {}
    chosen: list[str] = []
    folds = list(windows(dataset, config))
    converted = np.concatenate([fold.converted for fold in folds])
    for seed in SEEDS:
        begin = time.perf_counter()
        seeded = config.model_copy(update={"seed": seed})
        answers = [predicted(fold, seeded, primary) for fold in folds]
        for name in answers[0][0]:
            p = np.concatenate([answer[name] for answer, _ in answers])
            found.setdefault(name, []).append(figures(converted, p))
        chosen += [fit.champion for _, fit in answers]
        if seed == SEEDS[0]:
            reasons = [
                f"{folder.name}, fold {i}: {fit.reason}" for i, (_, fit) in enumerate(answers, 1)
            ]
        say(f"{folder.name}, seed {seed}: {time.perf_counter() - begin:.0f} s\n")
    for name in folds[0].points:
        points = np.concatenate([fold.points[name] for fold in folds])
        found[f"scorecard:{name}"] = [figures(converted, points)]
    best = max(
        (n for n in found if n.startswith("scorecard:")), key=lambda n: found[n][0][1], default=""
    )
    rows = []
    for name, per_seed in found.items():
        if name.startswith("scorecard:") and name != best:
            continue
        table = np.array(per_seed)
        spread = table.std(axis=0, ddof=1) if len(table) > 1 else np.zeros(len(METRICS))
        cells = [
            "" if np.isnan(m) else f"{m:.4f} ± {s:.4f}"
            for m, s in zip(table.mean(axis=0), spread, strict=True)
        ]
        note = ""
        if name == "champion":
            note = ", ".join(f"{step} {chosen.count(step)}" for step in dict.fromkeys(chosen))
        rows.append([folder.name, name, *cells, note])
    return rows, reasons


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--write", type=Path, help="a page with the table's marks")
    parser.add_argument("--only", nargs="*", help="names of data sets")
    parser.add_argument("--config", type=Path, default=ROOT / "models" / "conversion.toml")
    asked = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    # The logistic step knows no seed: the same fit need not be made five times.
    judging.fit_logistic = _once(judging.fit_logistic)
    config = read_settings(asked.config, LearnerConfig)
    rows, reasons = [], []
    for folder in data_sets(asked.scratch / "sets"):
        if not asked.only or folder.name in asked.only:
            of_set, why = measure(folder, config)
            rows += of_set
            reasons += why
            for row in of_set:
                say(" | ".join(row) + "\n")
    head = ["data set", "contender", *METRICS, "steps chosen"]
    rule = ["---", "---", *("---:" for _ in METRICS), "---"]
    table = "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])
    said = "\n".join(f"- {reason}." for reason in reasons)
    say(f"\n{table}\n\n{said}\n")
    if asked.write and not asked.only:
        write_sections(asked.write, {"learners-figures": table, "learners-reasons": said})


if __name__ == "__main__":
    main()
