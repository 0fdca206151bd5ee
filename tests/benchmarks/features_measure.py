"""What a run costs, and whether two matrices agree."""

import os
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from features_run import THREADS, command
from rivals_job import Job

RELATIVE = 1e-5
# Below this a sum is next to the smallest that float32 has: long silences at short half-lives.
ABSOLUTE = 1e-30


@dataclass(frozen=True)
class Cost:
    """What one run of one system took; `peak_gib` is of its whole process tree."""

    system: str
    n_features: int
    seconds: float
    cpu_seconds: float
    peak_gib: float


def measured(arguments: list[str]) -> tuple[float, float, float]:
    """Run a command; return its seconds, CPU seconds and peak GiB.

    The peak is the larger of the kernel's own high-water mark of the process and of the sum over
    the tree, both read every 20 ms. (What the kernel says at a process's end counts the memory of
    whoever began it.)
    """
    environment = os.environ | {
        "POLARS_MAX_THREADS": str(THREADS),
        "NUMBA_NUM_THREADS": str(THREADS),
        "OMP_NUM_THREADS": str(THREADS),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    clock = time.perf_counter()
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
    sampled = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            sampled[0] = max(sampled[0], _tree_bytes(process.pid), _most_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - clock
    done.set()
    watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(arguments)}")
    return seconds, used.ru_utime + used.ru_stime, sampled[0] / 2**30


def _most_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def _tree_bytes(pid: int) -> int:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    own = pages * os.sysconf("SC_PAGE_SIZE")
    return own + sum(_tree_bytes(int(child)) for child in children)


def cost_of(system: str, data: Path, out: Path) -> Cost:
    """Measure one system on one data set, its output left in `out`."""
    shutil.rmtree(out, ignore_errors=True)
    for path in data.glob("*.parquet"):
        path.read_bytes()  # into the page cache, for each system alike
    seconds, cpu, peak = measured(command(system, data, out))
    return Cost(system, n_columns(out), seconds, cpu, peak)


def n_columns(out: Path) -> int:
    """Return how many features a system wrote."""
    paths = sorted(out.rglob("*.parquet"))
    return len(feature_names(paths[0])) if paths else 0


def feature_names(path: Path) -> list[str]:
    """Return a parquet file's columns that are features: those with three dots."""
    return [name for name in pl.read_parquet_schema(path) if name.count(".") == 3]


def compare(ours: Path, theirs: Path, job: Job, share: int) -> tuple[int, int]:
    """Check every common feature on the leads whose number is a multiple of `share`.

    Returns:
        Rows and features compared.

    Raises:
        SystemExit: If a feature differs, naming the worst ones.
    """
    kept = pl.col("lead_id").str.slice(1).cast(pl.Int64) % share == 0
    names = feature_names(next(theirs.rglob("*.parquet")))
    absent = set(names) - set(feature_names(next(ours.rglob("*.parquet"))))
    if absent or not names:
        raise SystemExit(f"{theirs.name}: {len(names)} features, not ours: {sorted(absent)}")
    measured_times = ("recency_weighted", "days_since_last", "first_event")
    inexact = {f.name for f in job.features if f.measure in measured_times}
    wrong: list[str] = []
    n_rows = 0
    for moment in job.as_of:
        one, other = (
            pl.scan_parquet(sorted(folder.rglob("*.parquet")))
            .filter(kept & (pl.col("as_of") == moment))
            .select("lead_id", pl.col(names).cast(pl.Float64))
            .collect()
            .sort("lead_id")
            for folder in (ours, theirs)
        )
        if not one["lead_id"].equals(other["lead_id"]):
            raise SystemExit(f"other leads at {moment:%Y-%m-%d}: {len(one)} and {len(other)}")
        n_rows += len(one)
        for name in names:
            a, b = (
                np.nan_to_num(frame[name].fill_null(float("nan")).to_numpy(), nan=-1.0)
                for frame in (one, other)
            )
            tolerance = (RELATIVE * np.abs(b) + ABSOLUTE) * (name in inexact)
            if (bad := np.abs(a - b) > tolerance).any():
                worst = int(np.argmax(np.abs(a - b) - tolerance))
                wrong.append(
                    f"{moment:%Y-%m-%d} {name}: {int(bad.sum())} of {len(a)} differ, such as "
                    f"{one['lead_id'][worst]}: {a[worst]:.9g}, rival {b[worst]:.9g}"
                )
    if wrong:
        raise SystemExit(f"{theirs.name} disagrees:\n" + "\n".join(wrong[:20]))
    return n_rows, len(names)
