"""How often does `monitor` alarm where nothing is wrong, and does it see what is? Simulated worlds.

    python tests/benchmarks/monitoring.py --worlds 20 --write docs/monitoring.md

In each world a bundle is trained on what was known on 5 May 2025 and monitored on 25 August and on
8 December 2025: once as the world is, and once per fault, planted from 14 July on.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from pages import write_sections

from intentcast.config import (
    BoosterSettings,
    FeatureSettings,
    LearnerConfig,
    LogisticSettings,
    read_settings,
)
from intentcast.errors import RefusedError
from intentcast.handoff import HandoffSettings
from intentcast.monitoring import monitor
from intentcast.packaging import package
from intentcast.scoring import load_bundle
from intentcast.shipped import shipped
from intentcast.simulation import simulate, write_world
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset, load_dataset
from intentcast.sources.cleaning import EVENT_ORDER
from intentcast.training import fit_model

TRAINED = datetime(2025, 5, 5, tzinfo=UTC)
BROKEN = datetime(2025, 7, 14, tzinfo=UTC)
MONITORED = (datetime(2025, 8, 25, tzinfo=UTC), datetime(2025, 12, 8, tzinfo=UTC))
EVERY_DAYS = 14
CONFIG = LearnerConfig(
    max_rows=6000,
    features=FeatureSettings(half_lives_days=(7, 30), windows_days=(7, 30), clustered_themes=2),
    booster=BoosterSettings(rounds=40),
    logistic=LogisticSettings(inverse_penalties=(0.003, 0.03)),
)


@dataclass(frozen=True)
class Row:
    """One light of one run."""

    seed: int
    plant: str
    as_of: str
    check: str
    light: str


def _after() -> pl.Expr:
    return pl.col("occurred_at") >= BROKEN


def channel_dies(data: Dataset) -> Dataset:
    """The e-mail tool no longer sends its events."""
    return replace(data, events=data.events.filter(~(_after() & (pl.col("channel") == "email"))))


def views_doubled(data: Dataset) -> Dataset:
    """A tag is on the site twice: every page view comes a second time, a second later."""
    again = data.events.filter(_after() & (pl.col("event_type") == "page_view")).with_columns(
        pl.col("occurred_at") + timedelta(seconds=1),
        pl.col("event_id") + "-again",
    )
    return replace(data, events=pl.concat([data.events, again]).sort(EVENT_ORDER))


def type_renamed(data: Dataset) -> Dataset:
    """A release calls page views something else."""
    is_view = _after() & (pl.col("event_type") == "page_view")
    name = pl.when(is_view).then(pl.lit("pageview_v2")).otherwise("event_type").alias("event_type")
    return replace(data, events=data.events.with_columns(name).sort(EVENT_ORDER))


def attribute_missing(data: Dataset) -> Dataset:
    """The export has lost the industry of all accounts."""
    lost = pl.lit(None, dtype=pl.String).alias("industry")
    return replace(data, accounts=data.accounts.with_columns(lost))


def title_missing(data: Dataset) -> Dataset:
    """A new form no longer asks for the job title."""
    is_new = pl.col("created_at") >= BROKEN
    title = pl.when(is_new).then(None).otherwise("job_title").alias("job_title")
    return replace(data, leads=data.leads.with_columns(title))


def outcomes_lost(data: Dataset) -> Dataset:
    """Two in three conversions are no longer recorded."""
    number = pl.col("lead_id").str.extract(r"(\d+)$").cast(pl.Int64) % 3
    is_lost = _after() & (pl.col("outcome") == "closed_won") & (number > 0)
    return replace(data, outcomes=data.outcomes.filter(~is_lost))


TRUTH = "the truth is told"
PLANTS: dict[str, tuple[Callable[[Dataset], Dataset], str]] = {
    "nothing": (lambda data: data, ""),
    "e-mail events stop": (channel_dies, "Incoming events, Features"),
    "page views doubled": (views_doubled, "Incoming events, Features"),
    "page views renamed": (type_renamed, "Incoming events, Features"),
    "industry lost": (attribute_missing, "Features"),
    "job title no longer asked": (title_missing, "New leads"),
    "two in three conversions lost": (outcomes_lost, "Conversions so far, Level"),
}


def true_scores(
    truth: pl.DataFrame, data: Dataset, times: list[datetime], version: str
) -> pl.DataFrame:
    """Return the true probabilities as if the bundle had told them: any alarm on them is false."""
    later = build_snapshots(data, [t for t in times if t >= TRAINED])
    known = truth.filter(pl.col("horizon_days") == 30).select(
        "lead_id",
        pl.col("as_of").cast(later.schema["as_of"]),
        pl.col("p_true").cast(pl.Float64).alias("probability"),
    )
    return later.join(known, on=["lead_id", "as_of"], how="inner").select(
        "lead_id",
        "as_of",
        "probability",
        horizon_days=pl.lit(30, dtype=pl.Int32),
        tier=pl.lit("cold"),
        model_version=pl.lit(version),
    )


def run_world(seed: int, n_leads: int) -> list[Row]:
    """Return every light of one world."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "world"
        write_world(simulate(n_leads=n_leads, seed=seed, name="world"), folder)
        toml = folder / "dataset.toml"
        text = toml.read_text(encoding="utf-8")
        for old, new in (
            ("every_days = 7", f"every_days = {EVERY_DAYS}"),
            ("horizons_days = [30, 60, 90]", "horizons_days = [30]"),
            ("primary_horizon_days = 90", "primary_horizon_days = 30"),
        ):
            text = text.replace(old, new)
        toml.write_text(text, encoding="utf-8")
        data = load_dataset(folder)
        times = as_of_times(cohort_span(data), EVERY_DAYS)
        model = fit_model(data, times=times, known_by=TRAINED, config=CONFIG)
        made = package(
            model,
            data,
            handoff=read_settings(
                shipped("handoff.toml", in_checkout="models/handoff.toml"), HandoffSettings
            ),
            scorecard=None,
            metrics={},
            created=TRAINED,
            out=Path(place) / "bundles",
            settings=CONFIG,
        )
        bundle = load_bundle(made)
        true = true_scores(pl.read_parquet(folder / "truth.parquet"), data, times, bundle.version)
        found = []
        for as_of in MONITORED:
            run = monitor(bundle, made, data, as_of=as_of, scores=[("truth", true)])
            judged = [s for s in run.signals if s.name.startswith(("Level", "Spread", "Ranking"))]
            found += [
                Row(seed, TRUTH, f"{as_of:%Y-%m-%d}", f"{s.name}, the truth", s.light)
                for s in judged
            ]
        for name, (plant, _) in PLANTS.items():
            planted = plant(data)
            for as_of in MONITORED:
                run = monitor(bundle, made, planted, as_of=as_of)
                lights = [*((s.name, s.light) for s in run.signals), ("all", run.light)]
                found += [Row(seed, name, f"{as_of:%Y-%m-%d}", *light) for light in lights]
    return found


def _share(rows: pl.DataFrame, lights: list[str]) -> str:
    return f"{rows['light'].is_in(lights).sum()} of {len(rows)}" if len(rows) else "–"


def clean_table(rows: pl.DataFrame) -> str:
    """Return the alarms where nothing is wrong."""
    clean = rows.filter(pl.col("plant").is_in(["nothing", TRUTH]))
    lines = ["| check | red | amber | not judged |", "| --- | --- | --- | --- |"]
    for check in clean["check"].unique(maintain_order=True):
        mine = clean.filter(pl.col("check") == check)
        cells = [_share(mine, [light]) for light in ("red", "amber", "grey")]
        lines.append(f"| {' | '.join([check, *cells])} |")
    return "\n".join(lines)


def planted_table(rows: pl.DataFrame) -> str:
    """Return how often each fault was seen, by the checks that should see it."""
    lines = [
        "| fault | checks that should see it | red | red or amber | first look, red or amber |",
        "| --- | --- | --- | --- | --- |",
    ]
    rank = {"grey": 0, "green": 0, "amber": 1, "red": 2}
    for name, (_, checks) in PLANTS.items():
        if name == "nothing":
            continue
        # A check's name may go on with the horizon.
        pattern = "^(" + "|".join(checks.split(", ")) + ")"
        mine = rows.filter(
            (pl.col("plant") == name) & pl.col("check").str.contains(pattern)
        ).with_columns(rank=pl.col("light").replace_strict(rank, return_dtype=pl.Int64))
        runs = mine.group_by("seed", "as_of").agg(pl.col("rank").max())
        first = runs.filter(pl.col("as_of") == f"{MONITORED[0]:%Y-%m-%d}")
        cells = [
            f"{(part['rank'] >= least).sum()} of {len(part)}"
            for part, least in ((runs, 2), (runs, 1), (first, 1))
        ]
        lines.append(f"| {' | '.join([name, checks, *cells])} |")
    return "\n".join(lines)


def main() -> int:
    """Run the worlds, print the tables, write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--leads", type=int, default=2000)
    parser.add_argument("--keep", type=Path, help="a .parquet file of lights to write")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    os.nice(5)
    found: list[Row] = []
    n_refused = 0
    started = time.monotonic()
    for seed in range(given.first, given.first + given.worlds):
        try:
            found += run_world(seed, given.leads)
        except RefusedError as error:
            n_refused += 1
            sys.stderr.write(f"world {seed} refused: {error.found}\n")
        sys.stderr.write(f"{time.monotonic() - started:7.1f} s  world {seed}\n")
        if given.keep:
            pl.DataFrame(found).write_parquet(given.keep)
    rows = pl.DataFrame(found)
    intro = (
        f"{rows['seed'].n_unique()} worlds of {given.leads:,} leads (seeds {given.first} to "
        f"{given.first + given.worlds - 1}; {n_refused} refused), two looks each."
    )
    clean, planted = clean_table(rows), planted_table(rows)
    sys.stdout.write(f"{intro}\n\n{clean}\n\n{planted}\n")
    if given.write:
        write_sections(given.write, {"clean": f"{intro}\n\n{clean}", "planted": planted})
    return 0


if __name__ == "__main__":
    sys.exit(main())
