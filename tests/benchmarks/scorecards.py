"""The cost of a points table: many leads at one as-of time, and one lead as a service sends it.

    python tests/benchmarks/scorecards.py [--events 50_000_000] [--leads 1_000_000] [--write PAGE]

A data set is made (`engagement_data`) and its leads are scored by the playbook table at the last
as-of time, in a fresh process with two threads, interpreter start included: the events are read,
checked and put into partitions on disk, each partition is scored, and points and classes are
written. Beside it, in the same run: reading the events' columns that a points table needs and
sorting them by lead and time, in memory, and no more. The kernel is compiled before.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import engagement_data
from features_leads import lead_histories
from features_measure import measured
from features_run import SEED, THREADS
from pages import write_sections

NEEDED = [
    "lead_id", "occurred_at", "recorded_at", "event_type", "channel", "content", "is_machine",
]  # fmt: skip


def score_all(data: Path, out: Path) -> None:
    """Score every lead at the last as-of time; write one parquet file per partition."""
    import polars as pl

    from intentcast.engines.feature_job import enough_partitions
    from intentcast.engines.local import LocalEngine
    from intentcast.scorecards import builtin_scorecards, read_scorecard, score_snapshots
    from intentcast.snapshots import build_snapshots
    from intentcast.sources.events import spill_events
    from intentcast.sources.partitioned import PartitionedDataset, load_entities
    from intentcast.sources.spill import Spill

    card = read_scorecard(builtin_scorecards()[0])
    moment = engagement_data.as_of_times()[-1]
    tables = load_entities(data)
    engine = LocalEngine(THREADS)
    n_partitions = enough_partitions(tables, moment)
    clock = time.perf_counter()
    spill_events(tables, out / "spill", n_partitions=n_partitions, run=engine.run)
    whole = PartitionedDataset(tables, Spill(out / "spill"))
    spilled = time.perf_counter()

    def work(number: int) -> int:
        dataset, _ = whole.partition(number)
        scores = score_snapshots(card, dataset, build_snapshots(dataset, [moment]))
        scores.write_parquet(out / f"scores-{number:05}.parquet")
        return len(scores)

    n = sum(engine.run(work, range(n_partitions)))
    shutil.rmtree(out / "spill")
    total = pl.scan_parquet(out / "*.parquet").select(pl.col("score").sum()).collect().item()
    sys.stderr.write(
        f"{n:,} leads, {total:,.0f} points; partitions {spilled - clock:.1f} s, "
        f"scores {time.perf_counter() - spilled:.1f} s\n"
    )


def read_and_sort(data: Path) -> None:
    """Read the columns that a points table needs; sort by lead and when they became known."""
    import polars as pl

    known_at = pl.max_horizontal(pl.coalesce("recorded_at", "occurred_at"), "occurred_at")
    events = pl.read_parquet(data / "events.parquet", columns=NEEDED)
    events.with_columns(known_at.alias("known_at")).sort("lead_id", "known_at")


def many_leads(n_events: int, n_leads: int, scratch: Path, data: Path | None) -> str:
    """Measure the batch; return the section as Markdown."""
    folder = data or scratch / "data"
    if not (folder / "events.parquet").exists():
        engagement_data.write_engagement(folder, n_events=n_events, n_leads=n_leads, seed=SEED)
    small = scratch / "small"
    engagement_data.write_engagement(small, n_events=20_000, n_leads=400, seed=SEED)
    here = [sys.executable, str(Path(__file__).resolve())]
    measured([*here, "--run", "score", "--data", str(small), "--scratch", str(_new(scratch))])
    found = {}
    for system in ("sort", "score"):
        for path in folder.glob("*.parquet"):
            path.read_bytes()  # into the page cache, for each alike
        out = _new(scratch)
        found[system] = measured(
            [*here, "--run", system, "--data", str(folder), "--scratch", str(out)]
        )
        shutil.rmtree(out)
    sort, score = found["sort"], found["score"]
    return (
        f"{n_events:,} events, {n_leads:,} leads, one as-of time, the playbook table\n\n"
        "| | seconds | CPU seconds | peak GiB | times reading and sorting |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        f"| read and sort the events | {sort[0]:.1f} | {sort[1]:.1f} | {sort[2]:.2f} | 1.0 |\n"
        f"| score every lead | {score[0]:.1f} | {score[1]:.1f} | {score[2]:.2f} "
        f"| {score[0] / sort[0]:.1f} |\n"
    )


def _new(scratch: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=scratch))


def one_lead(n_leads: int = 1000, n_events: int = 100) -> str:
    """Measure score and ledger of single leads; return the section as Markdown."""
    from intentcast.histories import dataset_of
    from intentcast.scorecards import (
        builtin_scorecards,
        ledger,
        ledger_of_history,
        read_scorecard,
    )
    from intentcast.sources import load_dataset

    with tempfile.TemporaryDirectory() as scratch:
        total = n_leads * n_events
        engagement_data.write_engagement(Path(scratch), n_events=total, n_leads=n_leads, seed=SEED)
        dataset = load_dataset(Path(scratch))
    histories = lead_histories(dataset, n_leads, n_events)
    config = dataset.config
    lines = ["| score and ledger of one lead | median | 99th percentile |", "| --- | ---: | ---: |"]
    for path in builtin_scorecards():
        card = read_scorecard(path)
        for history in histories[:20]:
            alone = ledger_of_history(card, history, config)
            tables = dataset_of(history, config)
            assert alone == ledger(card, tables, history.lead_id, history.as_of)
        taken = []
        for history in histories:
            clock = time.perf_counter()
            ledger_of_history(card, history, config)
            taken.append(1e6 * (time.perf_counter() - clock))
        taken.sort()
        worst = taken[int(0.99 * len(taken))]
        lines.append(f"| `{path.stem}` | {statistics.median(taken):,.0f} µs | {worst:,.0f} µs |")
    head = f"{n_leads:,} leads of {n_events} events each, one in five a colleague's"
    return head + ", each a `LeadHistory`\n\n" + "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and on request write the figures into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=50_000_000)
    parser.add_argument("--leads", type=int, help="default: one per fifty events")
    parser.add_argument("--data", type=Path, help="keep the data set here, and use it if there")
    parser.add_argument("--scratch", type=Path, help="for outputs; default: a temporary folder")
    parser.add_argument("--no-batch", action="store_true", help="single leads alone")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="rewrite the figures there")
    parser.add_argument("--run", choices=["score", "sort"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run == "score":
        return score_all(given.data, given.scratch)
    if given.run == "sort":
        return read_and_sort(given.data)
    scratch = Path(tempfile.mkdtemp(prefix="scorecards-", dir=given.scratch))
    try:
        parts = [one_lead()]
        if not given.no_batch:
            n_leads = given.leads or given.events // 50
            parts.insert(0, many_leads(given.events, n_leads, scratch, given.data))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    text = "\n".join(parts) + f"\n{THREADS} threads on {os.cpu_count()} cores.\n"
    sys.stdout.write(text)
    if given.write:
        write_sections(given.write, {"scorecards": text})


if __name__ == "__main__":
    main()
