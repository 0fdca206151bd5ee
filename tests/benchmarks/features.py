"""Our features against SQL and frames per as-of time, and against reading and sorting alone.

    python tests/benchmarks/features.py [--scale 0.1] [--write docs/benchmarks.md]

A data set of 10 million events x `--scale` is made (`engagement_data`); every lead is scored at
twelve as-of times. Each system runs in a fresh process with two threads: from the parquet files to
a float32 matrix in parquet files, all of it inside the clock, interpreter start included. Our
kernel is compiled before. The matrices must agree: counts exactly, the rest to a relative 1e-5.
Rivals are asked for the features that they can say; ours computes all it has, and once more those
of the rivals alone. Both times it checks the tables' contracts and looks for doubled events too.

`--only` picks systems. The DuckDB rival needs the package `duckdb`.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import engagement_data
import polars as pl
from features_leads import one_lead
from features_measure import Cost, compare, cost_of
from features_run import (
    OURS,
    OURS_IN_MEMORY,
    OURS_SAME,
    RIVALS,
    SEED,
    SORT,
    SORT_ALL,
    THREADS,
    fitted,
)
from pages import write_sections
from rivals_job import Job, read_job, write_job

N_EVENTS = 10_000_000
# One filtered aggregate per feature takes DuckDB a quarter of an hour of both cores: on request.
SLOW = "duckdb wide"
SYSTEMS = (OURS, OURS_SAME, *(name for name in RIVALS if name != SLOW), SORT, SORT_ALL)


def prepare(data: Path, n_events: int) -> Job:
    """Make the data set, if it is not there yet, and write the job that rivals read."""
    n_leads = max(1, round(n_events * engagement_data.LEADS_PER_EVENT))
    made = data / "made.json"
    wanted = {"events": n_events, "leads": n_leads, "seed": SEED}
    if not made.exists() or json.loads(made.read_text()) != wanted:
        engagement_data.write_engagement(data, n_events=n_events, n_leads=n_leads, seed=SEED)
        made.write_text(json.dumps(wanted))
    featurizer = sample_featurizer()
    subjects = featurizer.themes.names
    contents = engagement_data.titles()
    theme_of = featurizer.themes.assign(contents)
    from intentcast.features.spec import slug

    write_job(
        data / "job.json",
        names=list(featurizer.spec.names),
        as_of=engagement_data.as_of_times(),
        types={name: slug(name) for name in engagement_data.EVENT_TYPES},
        channels={name: slug(name) for name in engagement_data.CHANNELS},
        contents={
            title: slug(subjects[theme]) if theme < len(subjects) else "other"
            for title, theme in zip(contents, theme_of, strict=True)
        },
    )
    return read_job(data / "job.json")


def sample_featurizer() -> Any:
    """Return the vocabulary, learnt on a small data set of the same kind: it has all of it."""
    from intentcast.sources import load_dataset

    with tempfile.TemporaryDirectory() as scratch:
        engagement_data.write_engagement(Path(scratch), n_events=100_000, n_leads=2000, seed=SEED)
        return fitted(load_dataset(Path(scratch)))


def compile_ours(system: str) -> None:
    """Run ours once on a little data, so that the compiled kernel is cached before the clock."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        engagement_data.write_engagement(data, n_events=20_000, n_leads=400, seed=SEED)
        cost_of(system, data, Path(scratch) / "out")


def table(costs: list[Cost], n_snapshots: int) -> str:
    """Return the costs as a Markdown table, ratios to ours."""
    seconds = {cost.system: cost.seconds for cost in costs}
    lines = [
        "| system | features | seconds | CPU seconds | peak GiB | rows/s | times intentcast "
        "| times it, same features |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for cost in costs:
        ratios = " | ".join(
            f"{cost.seconds / seconds[ours]:.1f}" if ours in seconds else "–"
            for ours in (OURS, OURS_SAME)
        )
        speed = f"{n_snapshots / cost.seconds:,.0f}" if cost.n_features else "–"
        n_features = cost.n_features or "–"
        lines.append(
            f"| {cost.system} | {n_features} | {cost.seconds:.1f} | {cost.cpu_seconds:.1f} "
            f"| {cost.peak_gib:.2f} | {speed} | {ratios} |"
        )
    return "\n".join(lines)


def versions() -> str:
    """Return the versions that the figures depend on."""
    names = ["polars", "numpy", "numba", "pyarrow"]
    found = [f"Python {sys.version.split()[0]}"]
    for name in [*names, "duckdb"]:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def whole_run(given: argparse.Namespace, scratch: Path) -> str:
    """Measure every system asked for; return the section as Markdown."""
    n_events = round(N_EVENTS * given.scale)
    data = given.data or scratch / "data"
    job = prepare(data, n_events)
    n_leads = pl.scan_parquet(data / "leads.parquet").select(pl.len()).collect().item()
    n_snapshots = n_leads * len(job.as_of)
    wanted = given.only or SYSTEMS
    mine = next((name for name in wanted if name.startswith(OURS)), None)
    if mine:
        compile_ours(mine)
    costs, agreed = [], []
    for system in wanted:
        out = scratch / system.replace(" ", "_").replace(",", "")
        cost = cost_of(system, data, out)
        costs.append(cost)
        sys.stderr.write(f"{json.dumps(asdict(cost))}\n")
        if system == mine:
            own = out
            continue
        if system == OURS_SAME and cost.n_features != len(job.features):
            raise SystemExit(f"{system}: {cost.n_features} features, rivals {len(job.features)}")
        if mine and given.compare and system in (OURS_SAME, *RIVALS):
            n_rows, n_names = compare(own, out, job, given.compare)
            agreed.append(f"{system}: {n_names} features of {n_rows:,} rows")
        shutil.rmtree(out, ignore_errors=True)
    title = f"{n_events:,} events, {n_leads:,} leads, {len(job.as_of)} as-of times"
    text = f"{title}, {n_snapshots:,} rows\n\n{table(costs, n_snapshots)}\n"
    if agreed:
        text += f"\nAgree with ours: {'; '.join(agreed)}.\n"
    return text


def main() -> None:
    """Measure, print, and on request write the figures into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 10 million events")
    parser.add_argument(
        "--only",
        nargs="*",
        choices=[*SYSTEMS, SLOW, OURS_IN_MEMORY],
        help="systems to run, ours first",
    )
    parser.add_argument("--data", type=Path, help="keep the data set here, and use it if there")
    parser.add_argument("--scratch", type=Path, help="for outputs; default: a temporary folder")
    parser.add_argument("--compare", type=int, default=1, metavar="N", help="every N-th lead; 0 no")
    parser.add_argument("--growth", type=int, help="also ours alone, on so many times the data")
    parser.add_argument("--no-matrix", action="store_true", help="single leads alone")
    parser.add_argument("--no-leads", action="store_true", help="the matrix alone")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="rewrite the figures there")
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="features-", dir=given.scratch))
    sections: dict[str, str] = {}
    try:
        if not given.no_matrix:
            sections["matrix"] = whole_run(given, scratch)
        if given.growth:
            sections["growth"] = growth_run(given, scratch)
        if not given.no_leads:
            sections["leads"] = leads_run()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for name, text in sections.items():
        sections[name] = f"{text}\n{versions()}; {THREADS} threads on {os.cpu_count()} cores.\n"
        sys.stdout.write(f"{sections[name]}\n")
    if given.write:
        write_sections(given.write, {f"features-{name}": body for name, body in sections.items()})


def growth_run(given: argparse.Namespace, scratch: Path) -> str:
    """Measure ours on the data set and on one `--growth` times larger, leads and events alike."""
    lines = [
        "| events | leads | rows | seconds | CPU seconds | peak GiB | times the first |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    first = None
    for n_events in (N_EVENTS * given.scale, N_EVENTS * given.scale * given.growth):
        data = scratch / f"data{n_events:.0f}"
        job = prepare(data, round(n_events))
        n_leads = pl.scan_parquet(data / "leads.parquet").select(pl.len()).collect().item()
        compile_ours(OURS)
        cost = cost_of(OURS, data, scratch / "out")
        first = first or cost.seconds
        lines.append(
            f"| {n_events:,.0f} | {n_leads:,} | {n_leads * len(job.as_of):,} | {cost.seconds:.1f} "
            f"| {cost.cpu_seconds:.1f} | {cost.peak_gib:.2f} | {cost.seconds / first:.1f} |"
        )
        shutil.rmtree(data)
    return "\n".join(lines) + "\n"


def leads_run() -> str:
    """Measure single leads; return the section as Markdown."""
    found = one_lead()
    return (
        f"{found['leads']:,} different leads with 100 events each, one in five a colleague's\n\n"
        f"| from a `LeadHistory` to all {found['features']} features | |\n| --- | ---: |\n"
        f"| one lead, median | {found['median_us']:,.0f} µs |\n"
        f"| one lead, 99th percentile | {found['p99_us']:,.0f} µs |\n"
        f"| a thousand leads in one call, as tables | {found['thousand_ms']:,.1f} ms |\n"
        f"| the same, each a `LeadHistory` | {found['thousand_objects_ms']:,.1f} ms |\n"
    )


if __name__ == "__main__":
    main()
