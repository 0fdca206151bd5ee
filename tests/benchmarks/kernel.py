"""The feature kernel against a join and an aggregation in polars per as-of time.

    python tests/benchmarks/kernel.py [--retail DIR]

Both compute, for each snapshot and each group of events, recency-weighted sums and windowed counts
from the same coded events, and must agree. The kernel runs on one thread, polars on as many as it
likes. Seconds are of this run on this machine, by the clock and of all its cores together; what
carries over are the ratios. The kernel is compiled before the clock starts.

DIR holds the UCI Online Retail data as canonical tables: leads, events, outcomes (CC BY 4.0).
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from intentcast.config import FeatureSettings
from intentcast.features import FeatureSpec, fit_featurizer
from intentcast.features.history import build_history, coded_events
from intentcast.features.kernel import DAY_US, LN2, Floats, decayed_sums, windowed_counts
from intentcast.shipped import shipped
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset, load_dataset

CODINGS = ("any", "type", "theme", "channel")
RETAIL = """
name = "online_retail"
[conversion]
outcomes = ["order"]
recurring = true
horizons_days = [30]
[cohort]
rule = "engaged"
within_days = 180
every_days = 7
start = 2011-03-01
end = 2011-11-08
"""


@dataclass(frozen=True)
class Task:
    """What both ways start from."""

    name: str
    spec: FeatureSpec
    events: pl.DataFrame
    snapshots: pl.DataFrame

    @property
    def n_groups(self) -> int:
        """Groups that are counted: all but values, which come last."""
        return len(self.spec.counted_groups)


Answer = tuple[Floats, Floats]


def by_kernel(task: Task) -> Answer:
    """Sort once, then walk over each lead's events once for all its as-of times."""
    history = build_history(task.events, task.snapshots, entity="lead_id")
    codes = np.ascontiguousarray(history.codes[:, : len(CODINGS)])
    weights = np.ascontiguousarray(history.weights[:, : len(CODINGS)])
    arrays = (history.event_bounds, history.snapshot_bounds, history.known, history.occurred)
    half_lives = np.array(task.spec.half_lives_days) * DAY_US
    windows = np.array(task.spec.windows_days, dtype=np.int64) * DAY_US
    sums, _ = decayed_sums(*arrays, codes, weights, history.as_of, half_lives, task.n_groups)
    counts = windowed_counts(*arrays, codes, history.as_of, windows, task.n_groups)
    at = np.empty(len(task.snapshots), dtype=np.int64)
    at[history.snapshot] = np.arange(len(task.snapshots))
    return sums[at], counts[at]


def by_joins(task: Task) -> Answer:
    """For each as-of time, join what was known to who is scored; aggregate by lead and group."""
    spec, n = task.spec, len(task.snapshots)
    long = pl.concat(
        task.events.select("lead_id", "known_at", "occurred_at", group=coding).filter(
            pl.col("group") >= 0
        )
        for coding in CODINGS
    )
    sums = np.zeros((n, task.n_groups, len(spec.half_lives_days)))
    counts = np.zeros((n, task.n_groups, len(spec.windows_days)))
    age = (pl.col("as_of") - pl.col("occurred_at")).dt.total_microseconds()
    measures = [
        (age * (-LN2 / (days * DAY_US))).exp().sum().alias(f"sum{i}")
        for i, days in enumerate(spec.half_lives_days)
    ]
    measures += [
        (age <= days * DAY_US).sum().alias(f"count{i}") for i, days in enumerate(spec.windows_days)
    ]
    places = task.snapshots.select("lead_id", "as_of").with_row_index("place")
    for (as_of,), scored in places.group_by("as_of", maintain_order=True):
        found = (
            long.filter(pl.col("known_at") < as_of)
            .join(scored, on="lead_id")
            .group_by("place", "group")
            .agg(measures)
        )
        at = (found["place"].to_numpy(), found["group"].to_numpy())
        sums[at] = found.select(f"sum{i}" for i in range(sums.shape[2])).to_numpy()
        counts[at] = found.select(f"count{i}" for i in range(counts.shape[2])).to_numpy()
    return sums, counts


def tasks(name: str, dataset: Dataset) -> list[Task]:
    """Return the whole cohort, and one lead at one as-of time as a server meets it."""
    times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
    snapshots = build_snapshots(dataset, times)
    featurizer = fit_featurizer(dataset, known_by=times[-1], settings=FeatureSettings(), seed=7)
    events = coded_events(dataset, featurizer.spec, featurizer.themes)
    last = snapshots.filter(pl.col("as_of") == times[-1])
    n_events = last.join(events.group_by("lead_id").len("n"), on="lead_id").sort("n", "lead_id")
    middle = n_events.slice(len(n_events) // 2, 1)
    own = events.join(middle.select("lead_id"), on="lead_id", how="semi", maintain_order="left")
    return [
        Task(f"{name}, cohort", featurizer.spec, events, snapshots),
        Task(f"{name}, one lead", featurizer.spec, own, middle.select(snapshots.columns)),
    ]


def seconds(work: Callable[[Task], Answer], task: Task) -> tuple[float, float]:
    """Return the seconds of one run, by the clock and of all cores."""
    clock, cpu = time.perf_counter(), time.process_time()
    work(task)
    return time.perf_counter() - clock, time.process_time() - cpu


def measure(task: Task, repeats: int) -> list[float]:
    """Check that both agree; return median seconds: clock and cores of the kernel, of the joins."""
    sums, counts = by_kernel(task)
    other_sums, other_counts = by_joins(task)
    np.testing.assert_allclose(sums, other_sums, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(counts, other_counts)
    runs = [(*seconds(by_kernel, task), *seconds(by_joins, task)) for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*runs, strict=True)]


def retail(folder: Path) -> Dataset:
    """Return Online Retail with the settings above, read where it lies."""
    with tempfile.TemporaryDirectory() as scratch:
        for path in folder.glob("*.parquet"):
            (Path(scratch) / path.name).symlink_to(path.resolve())
        (Path(scratch) / "dataset.toml").write_text(RETAIL)
        return load_dataset(Path(scratch))


def main() -> None:
    """Measure and print one row per task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--retail", type=Path, metavar="DIR", help="UCI Online Retail, canonical")
    parser.add_argument("--repeats", type=int, default=3, help="of the whole cohort")
    given = parser.parse_args()
    datasets = {"sample": load_dataset(shipped("sample", in_checkout="data/sample"))}
    if given.retail:
        datasets["retail"] = retail(given.retail)
    say = sys.stdout.write
    titles = ("snapshots", "events", "groups", "kernel", "joins", "ratio", "ratio of cores")
    say(f"{'':<18}" + "".join(f"{title:>{len(title) + 5}}" for title in titles) + "\n")
    for name, dataset in datasets.items():
        for task in tasks(name, dataset):
            is_one = len(task.snapshots) == 1
            kernel, kernel_cpu, joins, joins_cpu = measure(task, 100 if is_one else given.repeats)
            unit, factor = (" ms", 1e3) if is_one else (" s", 1.0)
            say(
                f"{task.name:<18}{len(task.snapshots):>14,}{len(task.events):>11,}"
                f"{task.n_groups:>11}{f'{kernel * factor:.2f}{unit}':>11}"
                f"{f'{joins * factor:.2f}{unit}':>10}{joins / kernel:>10.1f}"
                f"{joins_cpu / kernel_cpu:>19.1f}\n"
            )


if __name__ == "__main__":
    main()
