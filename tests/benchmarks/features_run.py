"""One system doing the whole job in a process of its own: `features_run.py SYSTEM DATA OUT`.

Nothing is imported that the system does not need, so that start-up and memory are its own.
"""

import sys
from pathlib import Path
from typing import Any

THREADS, SEED = 2, 7
OURS, OURS_IN_MEMORY = "intentcast", "intentcast, in memory"
# The features that the rivals compute, and no others, by the command's own option.
OURS_SAME = "intentcast, same features"
SAME = (
    "engagement.*",
    "activity.recency_weighted.*",
    "activity.days_since_last.*",
    "activity.count.*",
    "theme.*",
    "channel.*",
    "value.recency_weighted.*",
    "value.days_since_last.*",
    "account.people_engaged.*",
    "lifecycle.age.first_event.*",
)
SORT, SORT_ALL = "read, sort", "read, sort with event_id"
RIVALS = ("duckdb wide", "duckdb long", "duckdb set", "polars wide", "polars long")
NEEDED = [
    "lead_id",
    "occurred_at",
    "recorded_at",
    "event_type",
    "channel",
    "content",
    "value",
    "duration_seconds",
    "is_machine",
]


def command(system: str, data: Path, out: Path) -> list[str]:
    """Return the command that does the job with a system."""
    if system in (OURS, OURS_SAME):
        only = [word for pattern in SAME for word in ("--only", pattern)]
        whole = [sys.executable, "-m", "intentcast", "features", str(data), "--out", str(out)]
        return [*whole, *(only if system == OURS_SAME else [])]
    return [sys.executable, str(Path(__file__).resolve()), system, str(data), str(out)]


def main() -> None:
    """Do the job with the system named."""
    system, data, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    name, _, way = system.partition(" ")
    if name == "duckdb":
        import rivals_duckdb
        from rivals_job import read_job

        rivals_duckdb.run(read_job(data / "job.json"), data, out, way=way, threads=THREADS)
    elif name == "polars":
        import rivals_polars
        from rivals_job import read_job

        rivals_polars.run(read_job(data / "job.json"), data, out, way=way)
    elif system == OURS_IN_MEMORY:
        in_memory(data, out)
    else:
        read_and_sort(data, [*NEEDED, "event_id"] if system == SORT_ALL else NEEDED)


def read_and_sort(data: Path, columns: list[str]) -> None:
    """Read the events' columns that features need; sort by lead and when they became known."""
    import polars as pl

    known_at = pl.max_horizontal(pl.coalesce("recorded_at", "occurred_at"), "occurred_at")
    events = pl.read_parquet(data / "events.parquet", columns=columns)
    events.with_columns(known_at.alias("known_at")).sort("lead_id", "known_at")


def in_memory(data: Path, out: Path) -> None:
    """Load, build snapshots, transform, write one file: for data that fit in memory."""
    import numpy as np
    import polars as pl

    from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
    from intentcast.sources import load_dataset

    dataset = load_dataset(data)
    times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
    snapshots = build_snapshots(dataset, times)
    matrix = fitted(dataset).transform(dataset, snapshots)
    columns = np.ascontiguousarray(matrix.values.astype(np.float32).T)
    frame = snapshots.select("lead_id", "as_of").hstack(
        [pl.Series(name, columns[i]) for i, name in enumerate(matrix.names)]
    )
    out.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(out / "all.parquet", compression="uncompressed", statistics=False)


def fitted(dataset: Any) -> Any:
    """Return the featurizer of a data set, learnt on all that was known by the last as-of time."""
    from intentcast.config import FeatureSettings
    from intentcast.features import fit_featurizer

    last = dataset.config.cohort.end
    return fit_featurizer(dataset, known_by=last, settings=FeatureSettings(), seed=SEED)


if __name__ == "__main__":
    main()
