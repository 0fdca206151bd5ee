"""Training on a million snapshots: the hazard learner against plain LightGBM on the same rows.

    python tests/benchmarks/hazard_scale.py [--snapshots 1000000] [--write docs/learners.md]

Each way runs in a process of its own: made features, six edges, the shipped settings but for the
rounds. *plain* is `lightgbm.train` with the same parameters, given the matrix of interval rows,
which is made before the clock starts. The hazard learner is given snapshots: ordering, expanding
them into interval rows, drawing the sample where there is one, and the intervals' own log-odds are
inside its clock.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from pages import write_sections

from intentcast.config import LearnerConfig
from intentcast.propensity.booster import fit_booster
from intentcast.propensity.hazard import _with_interval, fit_hazard
from intentcast.propensity.periods import Followed, expand, sampled

EDGES = (0, 7, 15, 30, 60, 90)
WAYS = {
    "plain LightGBM, every interval row": None,
    "hazard, every interval row": None,
    "hazard, shipped limit on rows": LearnerConfig().hazard.max_rows,
}


def made(n: int, n_features: int) -> Followed:
    """Return snapshots of which some convert, most are followed to the end, a tenth are not."""
    rng = np.random.default_rng(1)
    features = rng.standard_normal((n, n_features), dtype=np.float32)
    features[rng.random(n) < 0.2, : n_features // 4] = np.nan
    margin = -4.5 + np.nan_to_num(features[:, 0]) + features[:, n_features // 2]
    n_intervals = len(EDGES) - 1
    hazard = 1.0 / (1.0 + np.exp(-margin))
    converted_in = np.full(n, n_intervals)
    for k in reversed(range(n_intervals)):
        converted_in[rng.random(n) < hazard] = k
    n_over = np.where(rng.random(n) < 0.1, rng.integers(1, n_intervals, n), n_intervals)
    leads = np.arange(n) // 10
    return Followed(
        features=features,
        names=[f"f{i}" for i in range(n_features)],
        n_over=n_over,
        converted_in=converted_in,
        times=(np.arange(n) % 10) * 86_400_000_000 * 7,
        leads=leads,
        clusters=leads // 3,
        edges_days=EDGES,
        delay_us=0,
    )


def fit(way: str, *, n: int, n_features: int, rounds: int) -> dict[str, float]:
    """Fit one way; return rows, seconds, CPU seconds and peak memory in GiB."""
    config = LearnerConfig()
    followed = made(n, n_features)
    periods = expand(followed)
    most = WAYS[way] or len(periods)
    kept = sampled(periods, followed, max_rows=most, seed=config.seed)
    n_rows = len(kept)
    settings = config.booster.model_copy(update={"rounds": rounds})
    if way.startswith("plain"):
        matrix = _with_interval(followed.features, periods.row, periods.interval)
        started, used = time.perf_counter(), time.process_time()
        names = [*followed.names, "interval"]
        fit_booster(matrix, periods.converted, names=names, settings=settings, seed=config.seed)
    else:
        del periods, kept
        hazard = config.hazard.model_copy(update={"rounds": rounds, "max_rows": most})
        started, used = time.perf_counter(), time.process_time()
        fit_hazard(followed, booster=settings, settings=hazard, seed=config.seed)
    return {
        "rows": n_rows,
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - used,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    }


def main() -> None:
    """Measure each way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--snapshots", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--way", choices=list(WAYS), help="this one alone, as JSON")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="rewrite the figures there")
    given = parser.parse_args()
    sizes = {"n": given.snapshots, "n_features": given.features, "rounds": given.rounds}
    if given.way:
        sys.stdout.write(json.dumps(fit(given.way, **sizes)))
        return
    options = [f"--snapshots={given.snapshots}", f"--features={given.features}"]
    found = {}
    for way in WAYS:
        command = [sys.executable, __file__, *options, f"--rounds={given.rounds}", "--way", way]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[way] = json.loads(done.stdout)
        sys.stderr.write(f"{way}: {done.stdout}\n")
    plain = next(iter(found.values()))
    per_row = {way: one["cpu"] / one["rows"] for way, one in found.items()}
    lines = [
        f"{given.snapshots:,} snapshots, {given.features} features, {given.rounds} rounds, one "
        f"thread of {os.cpu_count()} cores",
        "",
        "| way | interval rows | seconds | CPU seconds | peak GiB | CPU per round and row, times "
        "plain |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way, one in found.items():
        ratio = per_row[way] / (plain["cpu"] / plain["rows"])
        lines.append(
            f"| {way} | {one['rows']:,} | {one['seconds']:.1f} | {one['cpu']:.1f} "
            f"| {one['peak']:.2f} | {ratio:.2f} |"
        )
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if given.write:
        write_sections(given.write, {"hazard-scale": text})


if __name__ == "__main__":
    main()
