"""Old points, refitted points and distilled points on the same later leads; writes a table.

    python -m tests.benchmarks.repricing [--real FOLDER] [--only NAME] [--points-only] [--write]

Data: `data/sample`; The Complete Journey, from its wheel; `FOLDER/bpi2012`, where it is there.
Everything is fitted before the test window and judged in it. Without --write the table is only
printed; with it, it replaces what stands between the markers of docs/repricing.md.
"""

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from intentcast.config import LearnerConfig, read_settings
from intentcast.errors import RefusedError
from intentcast.evaluation.agreement import agreement
from intentcast.evaluation.repriced import (
    LaterLeads,
    compare_out_of_time,
    first_test_of,
    later_leads,
    points_of,
)
from intentcast.examples.complete_journey import write_complete_journey
from intentcast.propensity.horizons import predict_horizons
from intentcast.scorecards import builtin_scorecards, read_scorecard
from intentcast.scorecards.distil import distil
from intentcast.scorecards.repricing import reprice
from intentcast.shipped import shipped
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import load_dataset
from intentcast.splits import rolling_origin
from intentcast.training import fit_model
from tests.benchmarks.pages import write_sections
from tests.test_real_data import SETTINGS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "repricing.md"
BPI_CAPACITY = "[capacity]\nhandoffs_per_week = 40\n"
MOST_ROWS = 20_000


@dataclass(frozen=True)
class Task:
    """A data set with the tables to refit on it."""

    name: str
    folder: Path
    cards: tuple[Path, ...]


def tasks(real, scratch):
    """Return the data sets that are there."""
    found = [Task("sample (simulated)", ROOT / "data" / "sample", tuple(builtin_scorecards()))]
    journey = scratch / "journey"
    write_complete_journey(journey)
    found.append(Task("Complete Journey", journey, (journey / "scorecard.toml",)))
    if (real / "bpi2012").is_dir():
        folder = scratch / "bpi2012"
        shutil.copytree(real / "bpi2012", folder)
        (folder / "dataset.toml").write_text(SETTINGS["bpi2012"] + BPI_CAPACITY)
        card = shipped("scorecards", in_checkout="models/scorecards") / "examples"
        found.append(Task("bpi2012", folder, (card / "loan_funnel.toml",)))
    return found


def champion(dataset, times, first):
    """Return a function that gives the champion's probabilities, trained before the test."""
    config = read_settings(
        shipped("conversion.toml", in_checkout="models/conversion.toml"), LearnerConfig
    )
    model = fit_model(dataset, times=times, known_by=first, config=config)
    primary = dataset.config.conversion.primary_horizon_days

    def probabilities(snapshots):
        features = model.featurizer.transform(dataset, snapshots).doubles
        predicted = predict_horizons(model.champion, features)
        return predicted.probabilities[:, predicted.horizons_days.index(primary)]

    return probabilities, model.tiers


def rolled(card, dataset, times, later, first):
    """Return scores of points refitted before each test window, and of the present points."""
    days = dataset.config.conversion.primary_horizon_days
    over = [t for t in times if t + timedelta(days=days) <= dataset.data_cutoff]
    splits = rolling_origin(
        over, first_test=first, folds=dataset.config.backtest.folds, horizon_days=days
    )
    scores = np.full(len(later.snapshots), np.nan)
    for split in splits:
        try:
            used = reprice(card, dataset, times=times, known_by=split.known_by).new
        except RefusedError:
            used = card
        here = later.snapshots["as_of"].is_in(list(split.test)).to_numpy()
        scores[here] = points_of(used, dataset, later.snapshots.filter(here))
    kept = ~np.isnan(scores)
    judged = LaterLeads(later.snapshots.filter(kept), later.converted[kept], later.per_time)
    present = points_of(card, dataset, judged.snapshots)
    return len(splits), judged.compare("new", scores[kept], card.name, present)


def thinned(dataset, times):
    snapshots = build_snapshots(dataset, times)
    step = -(-len(snapshots) // MOST_ROWS)
    return build_snapshots(dataset, times[::-1][::step][::-1]) if step > 1 else snapshots


def verdict(pair, better, worse):
    low, high = pair.ci95
    return better if low > 0 else worse if high < 0 else "no difference"


def difference(pair):
    low, high = pair.ci95
    return f"{pair.difference:+,.0f} ({low:+,.0f} to {high:+,.0f})"


def old_against_new(task, dataset, times, first, later):
    """Return the rows of one data set: each table against its refit."""
    rows = []
    for path in task.cards:
        card = read_scorecard(path)
        once = compare_out_of_time(card, dataset, times=times, known_by=dataset.data_cutoff)
        n_folds, again = rolled(card, dataset, times, later, first)
        chosen, pair = once.repricing.chosen, once.paired
        rows.append(
            (
                task.name,
                card.name,
                f"{once.repricing.n_converted:,}",
                "kept" if np.isinf(chosen.penalty) else f"{chosen.penalty:g}",
                f"{pair.handoffs:,.0f}",
                f"{pair.conversions_b:,.0f}",
                f"{pair.conversions_a:,.0f}",
                difference(pair),
                once.verdict,
                f"{n_folds}: {difference(again)}, "
                f"{verdict(again, 'new points win', 'old points win')}",
            )
        )
        say(" | ".join(rows[-1]))
    return rows


def model_against_table(task, dataset, times, first, later):
    """Return the rows of one data set: the champion against each table distilled from it."""
    started = time.monotonic()
    probabilities, tiers = champion(dataset, times, first)
    say(f"{task.name}: champion in {time.monotonic() - started:.0f} s")
    taught = thinned(dataset, [t for t in times if t < first])
    p_taught, p_later = probabilities(taught), probabilities(later.snapshots)
    rows = []
    for path in task.cards:
        card = read_scorecard(path)
        made = distil(
            card,
            dataset,
            snapshots=taught,
            probabilities=p_taught,
            hot=tiers.hot,
            warm=tiers.warm,
            known_by=first,
            source="the champion's probabilities",
        ).new
        scores = points_of(made, dataset, later.snapshots)
        against = later.compare(made.name, scores, "champion", p_later)
        agreed = agreement(
            made, dataset, later.snapshots, p_later, tiers=tiers, top_size=later.per_time
        )
        rows.append(
            (
                task.name,
                card.name,
                f"{against.handoffs:,.0f}",
                f"{against.conversions_b:,.0f}",
                f"{against.conversions_a:,.0f}",
                f"{against.conversions_a / against.conversions_b:.0%}".replace("%", " %"),
                difference(against),
                verdict(against, "table wins", "model wins"),
                f"{agreed.rank_correlation:.2f}",
                f"{agreed.same_tier:.0%}".replace("%", " %"),
                f"{agreed.top_overlap:.0%}".replace("%", " %"),
            )
        )
        say(" | ".join(rows[-1]))
    return rows


def measure(task, *, with_model):
    """Return the rows of both tables for one data set."""
    dataset = load_dataset(task.folder)
    times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
    first = first_test_of(dataset, times, dataset.data_cutoff)
    test = [t for t in times if t >= first]
    later = later_leads(dataset, times=test, known_by=dataset.data_cutoff)
    given = (task, dataset, times, first, later)
    return old_against_new(*given), model_against_table(*given) if with_model else []


REPRICED = (
    "data", "table", "converted leads before the test", "penalty", "hand-offs", "old", "new",
    "difference (95 %)", "verdict", "refitted before each of n windows",
)  # fmt: skip
DISTILLED = (
    "data", "table", "hand-offs", "champion", "distilled", "share", "difference (95 %)", "verdict",
    "rank correlation", "same class", "overlap of the top",
)  # fmt: skip


def say(*parts):
    sys.stdout.write(" ".join(map(str, parts)) + "\n")
    sys.stdout.flush()


def as_markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--real", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", default="")
    parser.add_argument("--points-only", action="store_true", help="train no model")
    parser.add_argument("--write", action="store_true")
    wanted = parser.parse_args()
    repriced_rows, distilled_rows = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for task in tasks(wanted.real, Path(scratch)):
            if wanted.only in task.name:
                first, second = measure(task, with_model=not wanted.points_only)
                repriced_rows += first
                distilled_rows += second
    text = (
        f"Conversions at capacity, old points against new:\n\n"
        f"{as_markdown(REPRICED, repriced_rows)}\n\n"
        f"Conversions at capacity, the model against the table distilled from it:\n\n"
        f"{as_markdown(DISTILLED, distilled_rows)}"
    )
    say(text)
    if wanted.write:
        write_sections(PAGE, {"repricing": text})


if __name__ == "__main__":
    main()
