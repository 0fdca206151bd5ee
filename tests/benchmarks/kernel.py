"""The same features by four means: compiled walks, NumPy, polars cumulated, polars joined.

    python tests/benchmarks/kernel.py [--retail DIR]

All compute, for each snapshot and each group of events, recency-weighted sums and windowed counts
from the same coded events, and must agree. The walks and NumPy run on one thread, polars on as many
as it likes. Seconds are of this run on this machine; what carries over are the ratios. The walks
are compiled before the clock starts.

DIR holds the UCI Online Retail data as canonical tables: leads, events, outcomes (CC BY 4.0).
"""

import argparse
import dataclasses
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
from intentcast.features import Featurizer, fit_featurizer
from intentcast.features.build import compute
from intentcast.features.encode import encode_dataset
from intentcast.features.kernel.arrays import Floats, Histories
from intentcast.shipped import shipped
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset, load_dataset

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
    """What all means start from: sorted histories, and which features of them are wanted."""

    name: str
    featurizer: Featurizer
    histories: Histories

    @property
    def event_lead(self) -> np.ndarray:
        """The lead's number of each event."""
        return np.repeat(
            np.arange(len(self.histories.created)), np.diff(self.histories.lead_events)
        )

    @property
    def row_lead(self) -> np.ndarray:
        """The lead's number of each snapshot."""
        return np.repeat(np.arange(len(self.histories.created)), np.diff(self.histories.lead_rows))

    @property
    def groups(self) -> np.ndarray:
        """Numbers of the groups that each event adds to, shape (n_events, 4); −1 for none."""
        plan, codes = self.featurizer.plan, self.histories.codes
        firsts = np.array([1, plan.first_theme, plan.first_channel])
        own = np.where(codes >= 0, codes + firsts, -1)
        return np.hstack([np.zeros((len(codes), 1), dtype=own.dtype), own])


Answer = tuple[Floats, Floats]


def by_walks(task: Task) -> Answer:
    """Walk over each lead's events once for all its as-of times."""
    plan, x = task.featurizer.plan, task.histories
    out = np.empty((len(task.featurizer.spec.names), len(x.as_of)), dtype=np.float32)
    compute(plan, x, out)
    n_sums = plan.n_groups * len(plan.half_lives)
    rows = out.T[x.place]
    sums = rows[:, :n_sums].reshape(len(rows), plan.n_groups, -1)
    return sums, rows[:, n_sums:].reshape(len(rows), plan.n_groups, -1)


def by_numpy(task: Task) -> Answer:
    """Add each event to the first snapshot that sees it; then carry states from row to row."""
    plan, x = task.featurizer.plan, task.histories
    n, n_groups = len(x.as_of), plan.n_groups
    origin = min(x.known.min(initial=0), x.as_of.min(initial=0)) - 1
    span = max(x.known.max(initial=0), x.as_of.max(initial=0)) - origin + plan.windows.max() + 2
    key = task.row_lead * span + (x.as_of - origin)
    base = task.event_lead * span - origin
    enters = np.searchsorted(key, base + x.known, side="right")
    end = x.lead_rows[1:][task.event_lead]
    is_seen = enters < end
    groups = task.groups
    sums = np.zeros((n, n_groups, len(plan.half_lives)))
    rank = np.arange(n) - x.lead_rows[:-1][task.row_lead]
    by_rank = [np.flatnonzero(rank == r) for r in range(rank.max(initial=0) + 1)]
    for h, half_life in enumerate(plan.half_lives):
        added = np.zeros((n, n_groups))
        row = enters[is_seen]
        weight = np.exp2(-(x.as_of[row] - x.occurred[is_seen]) / half_life)
        for coding in groups[is_seen].T:
            has = coding >= 0
            place = row[has] * n_groups + coding[has]
            added += np.bincount(place, weight[has], n * n_groups).reshape(n, n_groups)
        for rows in by_rank[1:]:
            faded = np.exp2(-(x.as_of[rows] - x.as_of[rows - 1]) / half_life)
            added[rows] += added[rows - 1] * faded[:, None]
        sums[:, :, h] = added
    counts = np.zeros((n, n_groups, len(plan.windows)))
    for w, window in enumerate(plan.windows):
        leaves = np.minimum(np.searchsorted(key, base + x.occurred + window, side="right"), end)
        is_in = is_seen & (enters < leaves)
        change = np.zeros((n + 1) * n_groups)
        for coding in groups[is_in].T:
            has = coding >= 0
            for rows, sign in ((enters, 1), (leaves, -1)):
                place = rows[is_in][has] * n_groups + coding[has]
                change += sign * np.bincount(place, minlength=(n + 1) * n_groups)
        counts[:, :, w] = change.reshape(n + 1, n_groups)[:-1].cumsum(axis=0)
    return sums, counts


def _long(task: Task) -> pl.DataFrame:
    x = task.histories
    wide = pl.DataFrame({"lead": task.event_lead, "known": x.known, "occurred": x.occurred})
    parts = [wide.with_columns(group=pl.Series(coding)) for coding in task.groups.T]
    return pl.concat(parts).filter(pl.col("group") >= 0)


def by_cumulation(task: Task) -> Answer:
    """Cumulate grown weights per lead and group in polars, and look them up as of each time.

    A window's count is what is known now less what had left by then, by order of occurrence.
    """
    plan, x = task.featurizer.plan, task.histories
    n = len(x.as_of)
    long = _long(task).sort("known", maintain_order=True)
    first = pl.col("known").min().over("lead")
    grown = [
        ((pl.col("occurred") - first) / half_life * np.log(2.0)).exp().alias(f"w{h}")
        for h, half_life in enumerate(plan.half_lives)
    ]
    cumulated = (
        long.with_columns(first=first, n=pl.lit(1))
        .with_columns(grown)
        .with_columns(pl.col("^w\\d+$|^n$").cum_sum().over("lead", "group"))
    )
    rows = pl.DataFrame({"row": range(n), "lead": task.row_lead, "t": x.as_of})
    looks = (
        rows.join(
            pl.DataFrame({"group": range(plan.n_groups)}, schema={"group": pl.Int64}), how="cross"
        )
        .with_columns(before=pl.col("t") - 1)
        .sort("before")
    )
    cumulated = cumulated.with_columns(pl.col("group").cast(pl.Int64))
    found = looks.join_asof(
        cumulated, left_on="before", right_on="known", by=["lead", "group"], check_sortedness=False
    )
    at = (found["row"].to_numpy(), found["group"].to_numpy())
    sums = np.zeros((n, plan.n_groups, len(plan.half_lives)))
    for h, half_life in enumerate(plan.half_lives):
        faded = ((pl.col("first") - pl.col("t")) / half_life * np.log(2.0)).exp()
        sums[(*at, h)] = (
            found.select((pl.col(f"w{h}") * faded).fill_null(0.0)).to_series().to_numpy()
        )
    left = (
        long.sort("occurred")
        .with_columns(
            gone=pl.int_range(1, pl.len() + 1).over("lead", "group"),
            group=pl.col("group").cast(pl.Int64),
        )
        .select("lead", "group", "occurred", "gone")
    )
    counts = np.zeros((n, plan.n_groups, len(plan.windows)))
    for w, window in enumerate(plan.windows):
        gone = (
            looks.with_columns(edge=pl.col("t") - int(window) - 1)
            .sort("edge")
            .join_asof(
                left,
                left_on="edge",
                right_on="occurred",
                by=["lead", "group"],
                check_sortedness=False,
            )
        )
        counts[(*at, w)] = found["n"].fill_null(0).to_numpy()
        counts[gone["row"].to_numpy(), gone["group"].to_numpy(), w] -= (
            gone["gone"].fill_null(0).to_numpy()
        )
    return sums, counts


def by_joins(task: Task) -> Answer:
    """For each as-of time, join what was known to who is scored; aggregate by lead and group."""
    plan, x = task.featurizer.plan, task.histories
    n, long = len(x.as_of), _long(task)
    sums = np.zeros((n, plan.n_groups, len(plan.half_lives)))
    counts = np.zeros((n, plan.n_groups, len(plan.windows)))
    age = pl.col("t") - pl.col("occurred")
    measures = [
        (age * (-np.log(2.0) / half_life)).exp().sum().alias(f"sum{i}")
        for i, half_life in enumerate(plan.half_lives)
    ]
    measures += [
        (age <= int(window)).sum().alias(f"count{i}") for i, window in enumerate(plan.windows)
    ]
    rows = pl.DataFrame({"row": range(n), "lead": task.row_lead, "t": x.as_of})
    for (t,), scored in rows.group_by("t", maintain_order=True):
        found = (
            long.filter(pl.col("known") < t)
            .join(scored, on="lead")
            .group_by("row", "group")
            .agg(measures)
        )
        at = (found["row"].to_numpy(), found["group"].to_numpy())
        sums[at] = found.select(f"sum{i}" for i in range(sums.shape[2])).to_numpy()
        counts[at] = found.select(f"count{i}" for i in range(counts.shape[2])).to_numpy()
    return sums, counts


MEANS: dict[str, Callable[[Task], Answer]] = {
    "walks": by_walks,
    "numpy": by_numpy,
    "cumulated": by_cumulation,
    "joined": by_joins,
}


def tasks(name: str, dataset: Dataset) -> list[Task]:
    """Return the whole cohort, and one lead at one as-of time as a server meets it."""
    # Cumulated counts need events in order of occurrence: where some became known late, all are
    # taken as known when they occurred.
    events = dataset.events.with_columns(known_at=pl.col("occurred_at"))
    dataset = dataclasses.replace(dataset, events=events)
    times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
    snapshots = build_snapshots(dataset, times)
    learnt = fit_featurizer(dataset, known_by=times[-1], settings=FeatureSettings(), seed=7)
    spec = dataclasses.replace(learnt.spec, families=("recency", "counts"))
    featurizer = Featurizer(spec, learnt.themes)
    last = snapshots.filter(pl.col("as_of") == times[-1])
    n_events = last.join(dataset.events.group_by("lead_id").len("n"), on="lead_id")
    middle = n_events.sort("n", "lead_id").slice(len(n_events) // 2, 1)
    return [
        Task(title, featurizer, encode_dataset(dataset, part, featurizer.vocabulary))
        for title, part in ((f"{name}, cohort", snapshots), (f"{name}, one lead", middle))
    ]


def measure(task: Task, repeats: int) -> dict[str, float]:
    """Check that all agree; return median seconds per means, run in turn."""
    expected = by_joins(task)
    for name, means in MEANS.items():
        sums, counts = means(task)
        np.testing.assert_allclose(sums, expected[0], rtol=1e-6, atol=1e-6, err_msg=name)
        np.testing.assert_array_equal(counts, expected[1], err_msg=name)
    seconds: dict[str, list[float]] = {name: [] for name in MEANS}
    for _ in range(repeats):
        for name, means in MEANS.items():
            started = time.perf_counter()
            means(task)
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(runs) for name, runs in seconds.items()}


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
    titles = ("snapshots", "events", "features", *MEANS)
    say(f"{'':<18}" + "".join(f"{title:>11}" for title in titles) + "\n")
    for name, dataset in datasets.items():
        for task in tasks(name, dataset):
            is_one = len(task.histories.as_of) == 1
            seconds = measure(task, 100 if is_one else given.repeats)
            unit, factor = (" ms", 1e3) if is_one else (" s", 1.0)
            sizes = (len(task.histories.as_of), len(task.histories.known))
            say(
                f"{task.name:<18}"
                + "".join(f"{size:>11,}" for size in (*sizes, len(task.featurizer.spec.names)))
                + "".join(f"{f'{s * factor:.2f}{unit}':>11}" for s in seconds.values())
                + "\n"
            )
            ratios = (f"{s / seconds['walks']:.1f}x" for s in seconds.values())
            say(f"{'':<51}" + "".join(f"{ratio:>11}" for ratio in ratios) + "\n")


if __name__ == "__main__":
    main()
