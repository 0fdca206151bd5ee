"""One LightGBM thread or two, and horizons one after another or side by side.

    OMP_WAIT_POLICY=PASSIVE python tests/benchmarks/threads.py

Fits the sample's training matrix with the library's own settings; every way must give the same
trees. Seconds are of this run on this machine, by the clock and of all its cores together; what
carries over is the ratio. On a machine with other work only the latter says much.
"""

import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock

import lightgbm

from intentcast.config import LearnerConfig
from intentcast.features import fit_featurizer
from intentcast.labels import label_snapshots
from intentcast.propensity.booster import BoosterModel, fit_booster
from intentcast.shipped import shipped
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import load_dataset

REPEATS = 3
EVERY = 4  # as-of times, as training thins them to fit `max_rows`
Fit = Callable[[], BoosterModel]
_train = lightgbm.train


def with_threads(n: int) -> Any:
    """Let the library's fit use `n` threads, where its own setting is one."""

    def train(parameters: dict[str, Any], *rest: Any) -> Any:
        return _train(parameters | {"num_threads": n}, *rest)

    return mock.patch.object(lightgbm, "train", train)


def trees(model: BoosterModel) -> str:
    """Return the model's text without the parameters, which name the threads."""
    return model.text.partition("\nparameters:")[0]


def in_turn(fits: list[Fit]) -> list[BoosterModel]:
    """One fit after another."""
    return [fit() for fit in fits]


def side_by_side(fits: list[Fit]) -> list[BoosterModel]:
    """Two fits at once."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda fit: fit(), fits))


def main() -> None:
    """Measure and print one row per way."""
    dataset = load_dataset(shipped("sample", in_checkout="data/sample"))
    config = LearnerConfig()
    last = dataset.data_cutoff - timedelta(days=dataset.config.conversion.horizons_days[-1])
    times = [
        t for t in as_of_times(cohort_span(dataset), dataset.config.cohort.every_days) if t <= last
    ]
    snapshots = build_snapshots(dataset, times[::EVERY])
    featurizer = fit_featurizer(
        dataset, known_by=dataset.data_cutoff, settings=config.features, seed=config.seed
    )
    features = featurizer.transform(dataset, snapshots)
    label = partial(label_snapshots, snapshots, dataset, known_by=dataset.data_cutoff)
    fits: list[Fit] = [
        partial(
            fit_booster,
            features.values,
            label(horizon_days=days).cast(float).to_numpy(),
            names=features.names,
            settings=config.booster,
            seed=config.seed,
        )
        for days in dataset.config.conversion.horizons_days
    ]
    ways = {
        "one model, 1 thread": (1, in_turn, fits[-1:]),
        "one model, 2 threads": (2, in_turn, fits[-1:]),
        "all horizons in turn, 1 thread": (1, in_turn, fits),
        "all horizons in turn, 2 threads": (2, in_turn, fits),
        "all horizons side by side, 1 thread": (1, side_by_side, fits),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    found: dict[str, list[str]] = {}
    for _ in range(REPEATS):
        for name, (n_threads, run, jobs) in ways.items():
            with with_threads(n_threads):
                clock, cpu = time.perf_counter(), time.process_time()
                models = run(jobs)
                taken[name].append((time.perf_counter() - clock, time.process_time() - cpu))
            found[name] = [trees(model) for model in models]
    reference = found["all horizons in turn, 1 thread"]
    for name, texts in found.items():
        if texts != reference[-len(texts) :]:
            raise SystemExit(f"other trees: {name}")
    n_rows, n_features = features.values.shape
    sys.stdout.write(f"{n_rows:,} snapshots x {n_features} features, the same trees every way\n")
    sys.stdout.write(f"{'':<38}{'clock':>9}{'cores':>10}\n")
    for name, seconds in taken.items():
        clock, cpu = (statistics.median(column) for column in zip(*seconds, strict=True))
        sys.stdout.write(f"{name:<38}{clock:7.2f} s{cpu:8.2f} s\n")


if __name__ == "__main__":
    main()
