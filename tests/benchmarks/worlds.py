"""Are the probabilities true? Simulated worlds, whose every true probability is known.

    python tests/benchmarks/worlds.py --size 300=20 --size 100=20 --write docs/probabilities.md

Each world is learnt from as it stood on 7 July 2025, with the shipped settings; its leads are
scored on the thirteen Mondays that follow, and beside them those of another, larger world of the
same law, the *population*: there the mean true probability at a margin is known well, as it is not
among a few thousand leads. With `--keep`, predictions are kept and read again.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pages import write_sections

from intentcast.config import LearnerConfig
from intentcast.errors import RefusedError
from intentcast.evaluation.metrics import auc
from intentcast.labels import label_snapshots, was_at_risk
from intentcast.propensity import LADDER
from intentcast.propensity.calibration import fit_platt
from intentcast.propensity.horizons import predict_horizons
from intentcast.propensity.margins import logit, losses
from intentcast.simulation import simulate, write_world
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset, load_dataset
from intentcast.training import TrainedModel, fit_model

Floats = NDArray[np.float64]
NOW = datetime(2025, 7, 7, tzinfo=UTC)
HORIZON = 90
WEEKS = range(13)
POPULATION_WEEKS = (0, 4, 8, 12)
N_BINS = 20
# Leads of a world that has about so many converting leads to learn from.
LEADS = {100: 750, 300: 2_250, 1_000: 7_500, 10_000: 75_000}


@dataclass(frozen=True)
class World:
    """What one world's model said, of its own leads and of the population."""

    size: int
    seed: int
    champion: str
    calibration: str
    n_leads_converted: int
    n_snapshots_converted: int
    own: pl.DataFrame
    population: pl.DataFrame
    wider_than: float = LearnerConfig().calibration.abstain_wider_than


def written_world(folder: Path, *, n_leads: int, seed: int) -> Dataset:
    """Write a world and read it as a data set of the primary horizon alone, which is quicker."""
    write_world(simulate(n_leads=n_leads, seed=seed, name="world"), folder)
    toml = folder / "dataset.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text.replace("[30, 60, 90]", f"[{HORIZON}]"), encoding="utf-8")
    return load_dataset(folder)


def scored_at(dataset: Dataset, weeks: Iterator[int] | range | tuple[int, ...]) -> pl.DataFrame:
    """Return who is in the cohort then, with the true probability and what came."""
    rows = build_snapshots(dataset, [NOW + timedelta(weeks=week) for week in weeks])
    rows = rows.filter(was_at_risk(rows, dataset, known_by=dataset.data_cutoff))
    truth = pl.read_parquet(dataset.folder / "truth.parquet").filter(
        pl.col("horizon_days").cast(pl.Int32) == HORIZON
    )
    rows = rows.join(
        truth.select("lead_id", pl.col("as_of").cast(rows.schema["as_of"]), "p_true"),
        on=["lead_id", "as_of"],
        maintain_order="left",
    )
    converted = label_snapshots(
        rows, dataset, horizon_days=HORIZON, known_by=dataset.data_cutoff
    ).alias("converted")
    return rows.with_columns(converted, pl.col("p_true").cast(pl.Float64))


def told(model: TrainedModel, dataset: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """Return each step's probability, and the champion's interval, beside the truth."""
    features = model.featurizer.transform(dataset, rows).doubles
    champion = model.fitted[HORIZON].champion
    out = rows.select("as_of", "p_true", "converted")
    for step in LADDER:
        found = predict_horizons(model.step(step), features)
        column = found.horizons_days.index(HORIZON)
        out = out.with_columns(pl.Series(step, found.probabilities[:, column]))
        if step == champion:
            out = out.with_columns(
                p=found.probabilities[:, column],
                low=found.low[:, column],
                high=found.high[:, column],
            )
    return out


def learn(size: int, seed: int, population: Dataset, theirs: pl.DataFrame) -> World:
    """Simulate a world, learn from it, score."""
    with tempfile.TemporaryDirectory() as place:
        dataset = written_world(Path(place) / "world", n_leads=LEADS[size], seed=seed)
        times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
        model = fit_model(dataset, times=times, known_by=NOW, config=LearnerConfig(threads=1))
        label = label_snapshots(model.snapshots, dataset, horizon_days=HORIZON, known_by=NOW)
        won = model.snapshots.filter(label.fill_null(value=False))
        return World(
            size,
            seed,
            model.fitted[HORIZON].champion,
            model.champion[HORIZON].calibrator.kind,
            won["lead_id"].n_unique(),
            model.n_converted,
            told(model, dataset, scored_at(dataset, WEEKS)),
            told(model, population, theirs),
        )


def kept(world: World, folder: Path) -> None:
    """Write a world's predictions, what is said of the model in the file names' own table."""
    name = f"{world.size}-{world.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    world.own.write_parquet(folder / f"{name}.own.parquet")
    world.population.write_parquet(folder / f"{name}.population.parquet")
    pl.DataFrame(
        {
            "champion": [world.champion],
            "calibration": [world.calibration],
            "n_leads_converted": [world.n_leads_converted],
            "n_snapshots_converted": [world.n_snapshots_converted],
        }
    ).write_parquet(folder / f"{name}.model.parquet")


def read_kept(size: int, seed: int, folder: Path) -> World | None:
    """Read what `kept` wrote, or None."""
    files = [folder / f"{size}-{seed}.{part}.parquet" for part in ("model", "own", "population")]
    if not all(file.is_file() for file in files):
        return None
    about, own, population = map(pl.read_parquet, files)
    return World(size, seed, *about.row(0), own, population)


def slope_of(rows: pl.DataFrame) -> float:
    """Return the slope of the true log-odds on the predicted; ideal 1."""
    return fit_platt(logit(rows["p"].to_numpy()), rows["p_true"].to_numpy())[1]


def expected_loss(rows: pl.DataFrame, step: str) -> float:
    """Return the mean log loss to be expected under the truth: chance does not enter."""
    p, truth = rows[step].to_numpy(), rows["p_true"].to_numpy()
    won, lost = (losses(p, np.full(len(p), y), smallest=1e-6) for y in (1.0, 0.0))
    return float(np.mean(truth * won + (1.0 - truth) * lost))


def covered(world: World) -> tuple[Floats, Floats, Floats]:
    """Return for each of 20 bins of the population's leads whether the mean truth is inside.

    Bins of equally many by rising probability; the interval's ends are averaged over a bin, as the
    truth is. Also whether it is below, and the width.
    """
    rows = world.population.sort("p", maintain_order=True)
    means = [
        rows[i : i + n].select("p_true", "low", "high").mean().row(0) for i, n in _cuts(len(rows))
    ]
    truth, low, high = (np.array(column) for column in zip(*means, strict=True))
    return (low <= truth) & (truth <= high), truth < low, high - low


def _cuts(n: int) -> list[tuple[int, int]]:
    edges = [i * n // N_BINS for i in range(N_BINS + 1)]
    return [(a, b - a) for a, b in pairwise(edges)]


def table(lines: list[list[str]]) -> str:
    """Return rows, the first of them heads, as Markdown."""
    head, *rest = lines
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rest])


def by_size(worlds: list[World]) -> list[tuple[str, list[World]]]:
    """Return the worlds by size, with the row's first cell."""
    sizes = sorted({world.size for world in worlds})
    groups = [(size, [world for world in worlds if world.size == size]) for size in sizes]
    return [
        (f"{size:,} ({np.mean([w.n_leads_converted for w in group]):,.0f})", group)
        for size, group in groups
    ]


def truth_table(worlds: list[World]) -> str:
    """Predicted against true, among each world's own leads of the quarter after training."""
    lines = [
        [
            *("conversions", "worlds", "mean gap", "said", "true", "slope", "0.9–1.1"),
            *("AUC", "AUC of the truth", "AUC gap"),
        ]
    ]
    for name, group in by_size(worlds):
        own = [world.own for world in group]
        slopes = np.array([slope_of(rows) for rows in own])
        ranked = [
            (auc(rows["converted"].cast(pl.Float64), rows[of]) for of in ("p", "p_true"))
            for rows in own
        ]
        ours, best = np.array([list(pair) for pair in ranked]).T
        gaps = [(rows["p"] - rows["p_true"]).abs().mean() for rows in own]
        inside = int(((slopes >= 0.9) & (slopes <= 1.1)).sum())
        lines.append(
            [
                name,
                str(len(group)),
                f"{np.mean(gaps):.3f}",
                f"{np.mean([rows['p'].mean() for rows in own]):.1%}",
                f"{np.mean([rows['p_true'].mean() for rows in own]):.1%}",
                f"{slopes.mean():.2f} ± {slopes.std():.2f}",
                f"{inside} of {len(group)}",
                f"{ours.mean():.3f}",
                f"{best.mean():.3f}",
                f"{(best - ours).mean():.3f}",
            ]
        )
    return table(lines)


def interval_table(worlds: list[World]) -> str:
    """How often the mean truth of a bin lies in its interval, in the population."""
    lines = [
        [
            *("conversions", "covers (95 % asked)", "standard error", "came below", "came above"),
            *("width, middle", "width, top 5 %", "too little known"),
        ]
    ]
    for name, group in by_size(worlds):
        inside, below, width = (np.array(part) for part in zip(*map(covered, group), strict=True))
        each = inside.mean(axis=1)
        abstained = [
            (world.population["high"] - world.population["low"] > world.wider_than).mean()
            for world in group
        ]
        lines.append(
            [
                name,
                f"{each.mean():.1%}",
                f"{each.std() / np.sqrt(len(each)):.1%}",
                f"{below.mean():.1%}",
                f"{(~inside & ~below).mean():.1%}",
                f"{np.median(width[:, N_BINS // 2]):.3f}",
                f"{np.median(width[:, -1]):.3f}",
                f"{np.mean(abstained):.1%}",
            ]
        )
    return table(lines)


def ladder_table(worlds: list[World]) -> str:
    """What the chosen step loses to the best one known in hindsight, in the population."""
    lines = [
        [
            "conversions",
            "chosen",
            *(f"always {s}" for s in LADDER),
            "the ladder",
            "best in hindsight",
        ]
    ]
    for name, group in by_size(worlds):
        loss = np.array([[expected_loss(w.population, s) for s in LADDER] for w in group])
        best = loss.min(axis=1)
        ours = np.array([expected_loss(w.population, w.champion) for w in group])
        chosen = Counter(world.champion for world in group)
        lines.append(
            [
                name,
                ", ".join(f"{chosen[s]} {s}" for s in LADDER if chosen[s]),
                *(f"+{x:.4f}" for x in (loss - best[:, None]).mean(axis=0)),
                f"+{(ours - best).mean():.4f}",
                f"{best.mean():.4f}",
            ]
        )
    return table(lines)


def main() -> int:
    """Learn from the worlds, print the tables, write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", action="append", default=[], help="CONVERSIONS=WORLDS")
    parser.add_argument("--first", type=int, default=3001, help="first seed")
    parser.add_argument("--population", type=int, default=910_001, help="its seed")
    parser.add_argument("--keep", type=Path, help="folder of predictions, read if there")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no world after these")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    os.nice(5)
    started = time.monotonic()
    worlds: list[World] = []
    with tempfile.TemporaryDirectory() as place:
        population: Dataset | None = None
        for size, number in (map(int, text.split("=")) for text in given.size):
            for seed in range(given.first, given.first + number):
                world = read_kept(size, seed, given.keep) if given.keep else None
                if world is None and time.monotonic() - started > given.seconds:
                    continue
                if world is None:
                    if population is None:
                        population = written_world(
                            Path(place) / "population", n_leads=20_000, seed=given.population
                        )
                        theirs = scored_at(population, POPULATION_WEEKS)
                    try:
                        world = learn(size, seed, population, theirs)
                    except RefusedError as error:
                        sys.stderr.write(f"{size} {seed} refused: {error.found}\n")
                        continue
                    if given.keep:
                        kept(world, given.keep)
                worlds.append(world)
                sys.stderr.write(
                    f"{time.monotonic() - started:7.1f} s  {size} conversions, world {seed}: "
                    f"{world.n_leads_converted} leads, {world.n_snapshots_converted} snapshots, "
                    f"{world.champion}, {world.calibration}, slope {slope_of(world.own):.2f}\n"
                )
    sections = {
        "truth": truth_table(worlds),
        "intervals": interval_table(worlds),
        "ladder": ladder_table(worlds),
    }
    sys.stdout.write("\n\n".join(sections.values()) + "\n")
    if given.write:
        write_sections(given.write, sections)
    return 0


if __name__ == "__main__":
    sys.exit(main())
