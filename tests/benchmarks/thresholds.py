"""Do the bands of `calibrate` hold in the quarter that follows? 200 simulated worlds.

    python tests/benchmarks/thresholds.py --worlds 200 --write docs/thresholds.md

In each world thresholds are set on the out-of-time predictions that have matured by T. Then the
model is fitted on all that is known at T, hands over whoever newly reaches the thresholds in the 13
weeks after T, and what sales would have got is counted: hand-offs, and those that converted within
the horizon. The learner is the logistic step on few features, so that a world takes seconds; which
learner gives the probabilities is nothing to the bands.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pages import write_sections

from intentcast.config import FeatureSettings
from intentcast.errors import RefusedError
from intentcast.features import fit_featurizer
from intentcast.labels import label_snapshots, was_at_risk
from intentcast.propensity.logistic import fit_logistic
from intentcast.propensity.margins import sigmoid
from intentcast.simulation import simulate, write_world
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset, load_dataset
from intentcast.thresholds.bands import forecast
from intentcast.thresholds.choose import Ask, choose, refuse_too_little
from intentcast.thresholds.evidence import DAY_US, Evidence, gather

Floats = NDArray[np.float64]
HORIZON, WEEKS, FOLDS = 30, 13, 4
FIRST_TEST = datetime(2024, 12, 2, tzinfo=UTC)
NOW = datetime(2025, 8, 25, tzinfo=UTC)
FEATURES = FeatureSettings(half_lives_days=(7, 30), windows_days=(7, 30), clustered_themes=2)
FEW = re.compile(
    r"^(engagement\..*\.any\.|theme\.recency_weighted|account\.(?!colleagues_rec)|lifecycle\.age|"
    r"account\.colleagues_recency_weighted\.any|fit\.value)"
)
PENALTY = 0.03
WHAT = ("volume", "conversions", "precision")


@dataclass(frozen=True)
class Checked:
    """One band and what came."""

    seed: int
    tier: str
    what: str
    past: float
    estimate: float
    low: float
    high: float
    came: float

    @property
    def holds(self) -> bool:
        """Whether what came is inside."""
        return self.low <= self.came <= self.high


@dataclass(frozen=True)
class Rows:
    """Snapshots of all as-of times with features and outcome."""

    snapshots: pl.DataFrame
    features: Floats
    names: list[str]
    converted: NDArray[np.bool_]
    at_risk: NDArray[np.bool_]
    times: NDArray[np.int64]


def read_rows(dataset: Dataset) -> Rows:
    """Return everything that a world has; features are learnt from before the first test."""
    times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
    snapshots = build_snapshots(dataset, times)
    featurizer = fit_featurizer(dataset, known_by=FIRST_TEST, settings=FEATURES, seed=7)
    features = featurizer.transform(dataset, snapshots)
    label = label_snapshots(
        snapshots, dataset, horizon_days=HORIZON, known_by=dataset.data_cutoff
    ).fill_null(value=False)
    few = [i for i, name in enumerate(features.names) if FEW.match(name)]
    return Rows(
        snapshots,
        features.doubles[:, few],
        [features.names[i] for i in few],
        label.to_numpy(),
        was_at_risk(snapshots, dataset, known_by=dataset.data_cutoff).to_numpy(),
        snapshots["as_of"].dt.timestamp("us").to_numpy(),
    )


def fitted_by(rows: Rows, known_by: int) -> Floats:
    """Return every row's probability by a model of the rows that had matured by then."""
    mature = (rows.times + HORIZON * DAY_US <= known_by) & rows.at_risk
    model = fit_logistic(
        rows.features[mature],
        rows.converted[mature].astype(np.float64),
        names=rows.names,
        inverse_penalty=PENALTY,
    )
    return sigmoid(model.margins(rows.features))


def predict_world(seed: int, n_leads: int) -> pl.DataFrame:
    """Return every prediction of one world: `past` is out of time, `coming` by the model of T."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "world"
        write_world(simulate(n_leads=n_leads, seed=seed, name="world"), folder)
        toml = folder / "dataset.toml"
        text = toml.read_text(encoding="utf-8")
        text = text.replace("horizons_days = [30, 60, 90]", f"horizons_days = [{HORIZON}]")
        text = text.replace("primary_horizon_days = 90", f"primary_horizon_days = {HORIZON}")
        toml.write_text(text, encoding="utf-8")
        rows = read_rows(load_dataset(folder))
    now, begin = _micros(NOW), _micros(FIRST_TEST)
    tested = np.unique(rows.times[(rows.times >= begin) & (rows.times < now)])
    mature = tested[tested + HORIZON * DAY_US <= now]
    p = np.full(len(rows.times), np.nan)
    for window in np.array_split(mature, FOLDS):
        inside = (rows.times >= window[0]) & (rows.times <= window[-1])
        p[inside] = fitted_by(rows, int(window[0]))[inside]
    return rows.snapshots.select("lead_id", "account_id").with_columns(
        time=pl.Series(rows.times),
        past=pl.Series(p, nan_to_null=True),
        coming=pl.Series(fitted_by(rows, now)),
        converted=pl.Series(rows.converted),
    )


def evidence_of(rows: pl.DataFrame, probability: str) -> Evidence:
    """Return rows as evidence."""
    return gather(
        rows[probability].to_numpy(),
        rows["converted"].to_numpy(),
        rows["lead_id"].to_numpy(),
        rows["account_id"].to_numpy(),
        rows["time"].to_numpy(),
        every_days=7,
        horizon_days=HORIZON,
        now=_micros(NOW),
    )


def check_world(seed: int, rows: pl.DataFrame, per_week: float) -> list[Checked]:
    """Return the bands of one world beside what came; empty where calibration refuses."""
    now = _micros(NOW)
    evidence = evidence_of(rows.filter(pl.col("past").is_not_null()), "past")
    try:
        refuse_too_little(evidence)
        thresholds = choose(evidence, Ask(per_week=per_week))
    except RefusedError as error:
        sys.stderr.write(f"world {seed} refused: {error.found}\n")
        return []
    # The weeks before T only tell who had reached the threshold already.
    begin, end = now - -(-HORIZON // 7) * 7 * DAY_US, now + WEEKS * 7 * DAY_US
    future = evidence_of(
        rows.filter(pl.col("time").is_between(begin, end, closed="left")), "coming"
    )
    if future.n_steps != WEEKS:
        raise AssertionError(f"{future.n_steps} weeks from T on, {WEEKS} expected")
    found = []
    for tier, threshold in zip(("hot", "warm"), thresholds, strict=True):
        told = forecast(evidence, threshold, weeks=WEEKS)
        handed = future.handed_over(threshold)
        n_all, n_won = int(handed.sum()), int(future.converted[handed].sum())
        came = (n_all, n_won, n_won / n_all if n_all else told.precision.estimate)
        for what, value in zip(WHAT, came, strict=True):
            band = getattr(told, what)
            found.append(
                Checked(seed, tier, what, band.past, band.estimate, band.low, band.high, value)
            )
    return found


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def table(checked: list[Checked], n_refused: int, n_leads: int, per_week: float) -> str:
    """Return the coverage as Markdown."""
    n_worlds = len({row.seed for row in checked})
    lines = [
        f"{n_worlds} worlds of {n_leads:,} leads ({n_refused} more refused), {per_week:g} "
        f"hand-offs a week, horizon {HORIZON} days, {WEEKS} weeks ahead.",
        "",
        "| tier | band of | covers | came below | came above | was | expected | came "
        "| half-width |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for tier in ("hot", "warm"):
        for what in WHAT:
            rows = [row for row in checked if (row.tier, row.what) == (tier, what)]
            wide = np.median([(r.high - r.low) / 2 / max(r.estimate, 1e-9) for r in rows])
            means = [
                np.mean([getattr(r, key) for r in rows]) for key in ("past", "estimate", "came")
            ]
            shown = [f"{m:.1%}" if what == "precision" else f"{m:.1f}" for m in means]
            shares = [
                _share([r.holds for r in rows]),
                _share([r.came < r.low for r in rows]),
                _share([r.came > r.high for r in rows]),
            ]
            lines.append(f"| {' | '.join([tier, what, *shares, *shown, f'{wide:.0%}'])} |")
    return "\n".join(lines)


def _share(flags: list[bool]) -> str:
    return f"{np.mean(flags):.1%}" if flags else "–"


def main() -> int:
    """Check the worlds, print the table, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--leads", type=int, default=2500)
    parser.add_argument("--per-week", type=float, default=5)
    parser.add_argument("--keep", type=Path, help="folder of predictions, read if there")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    os.nice(5)
    checked: list[Checked] = []
    n_refused = 0
    started = time.monotonic()
    for seed in range(given.first, given.first + given.worlds):
        kept = given.keep / f"{given.leads}-{seed}.parquet" if given.keep else None
        rows = pl.read_parquet(kept) if kept and kept.is_file() else None
        if rows is None:
            rows = predict_world(seed, given.leads)
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                rows.write_parquet(kept)
        found = check_world(seed, rows, given.per_week)
        n_refused += not found
        checked += found
        sys.stderr.write(f"{time.monotonic() - started:7.1f} s  world {seed}\n")
    text = table(checked, n_refused, given.leads, given.per_week)
    sys.stdout.write(f"{text}\n")
    if given.write:
        write_sections(given.write, {"coverage": text})
    return 0


if __name__ == "__main__":
    sys.exit(main())
