"""Does the paired verdict say what is true? 200 simulated worlds whose truth is known.

    python tests/benchmarks/verdicts.py --worlds 200 --write docs/verdicts.md

In each world the cohort of a year is handed over by two scores at equal volume, and
`compare_paired` gives its verdict. Which score is better is known by construction.
"""

import argparse
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pages import write_sections

from intentcast.evaluation.compare import compare_paired
from intentcast.evaluation.metrics import auc
from intentcast.labels import label_snapshots
from intentcast.propensity.margins import logit
from intentcast.scorecards import builtin_scorecards, read_scorecard, score_snapshots
from intentcast.simulation import simulate, write_world
from intentcast.snapshots import account_numbers, as_of_times, build_snapshots, cohort_span
from intentcast.sources import load_dataset

Floats = NDArray[np.float64]
HORIZON = 90
# Noise on the true log-odds, per lead. With the first a score leads the points by about as much as
# the champion does on `data/sample` (an eighth of the hand-offs); with the second by less.
CLEAR, SLIGHT = 2.6, 3.2
KINDS = {
    "equal: points, ties shuffled twice": "no difference",
    "equal: the same truth, two draws of noise": "no difference",
    "the model leads by a ninth of the hand-offs": "model wins",
    "the model leads by a fourteenth": "model wins",
    "the rules lead by a ninth of the hand-offs": "rules win",
    "the model was fitted to noise": "rules win",
}


@dataclass(frozen=True)
class Scored:
    """One world's snapshots: what happened, what was true and what the points say."""

    converted: Floats
    log_odds: Floats
    points: Floats
    leads: NDArray[np.int64]
    accounts: NDArray[np.int64]
    times: NDArray[np.int64]
    per_time: float

    def per_lead(self, rng: np.random.Generator) -> Floats:
        """Normal noise, the same at each as-of time of a lead."""
        return rng.standard_normal(int(self.leads.max()) + 1)[self.leads]

    def ranks(self, rng: np.random.Generator) -> Floats:
        """The points with ties put in a random order."""
        out = np.empty(len(self.points))
        out[np.lexsort((self.per_lead(rng), self.points))] = np.arange(len(out))
        return out

    def noisy(self, rng: np.random.Generator, size: float) -> Floats:
        """The true log-odds with noise."""
        return self.log_odds + size * self.per_lead(rng)


def scored_world(seed: int, n_leads: int) -> Scored:
    """Simulate a world and look at the cohort of 2025 whose 90 days are over."""
    world = simulate(n_leads=n_leads, seed=seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "world"
        write_world(world, folder)
        dataset = load_dataset(folder)
    first, last = datetime(2025, 1, 6, tzinfo=UTC), datetime(2025, 9, 29, tzinfo=UTC)
    times = [
        t
        for t in as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
        if first <= t <= last
    ]
    snapshots = build_snapshots(dataset, times)
    converted = label_snapshots(
        snapshots, dataset, horizon_days=HORIZON, known_by=dataset.data_cutoff
    )
    truth = world.truth.filter(pl.col("horizon_days") == HORIZON).select(
        "lead_id", pl.col("as_of").cast(snapshots.schema["as_of"]), "p_true"
    )
    p_true = snapshots.join(truth, on=["lead_id", "as_of"], how="left", maintain_order="left")
    card = read_scorecard(builtin_scorecards()[0])
    keep = converted.is_not_null().to_numpy()
    return Scored(
        converted=converted.drop_nulls().cast(pl.Float64).to_numpy(),
        # Who can no longer buy has probability 0: far below all others, but not infinitely.
        log_odds=logit(p_true["p_true"].fill_null(0.0).to_numpy().clip(1e-4, 1 - 1e-4))[keep],
        points=score_snapshots(card, dataset, snapshots)["score"].to_numpy()[keep],
        leads=np.unique(snapshots["lead_id"].to_numpy()[keep], return_inverse=True)[1],
        accounts=account_numbers(snapshots["account_id"])[keep],
        times=snapshots["as_of"].dt.timestamp("us").to_numpy()[keep],
        per_time=float(dataset.config.capacity.handoffs_per_week),
    )


def pairs(world: Scored, rng: np.random.Generator) -> dict[str, tuple[Floats, Floats]]:
    """The model's score and the rules' of each kind of world."""
    better = world.noisy(rng, CLEAR)
    return dict(
        zip(
            KINDS,
            [
                (world.ranks(rng), world.ranks(rng)),
                (world.noisy(rng, CLEAR), world.noisy(rng, CLEAR)),
                (better, world.points),
                (world.noisy(rng, SLIGHT), world.points),
                (world.points, better),
                (world.per_lead(rng), world.points),
            ],
            strict=True,
        )
    )


def judged(job: tuple[int, int]) -> tuple[dict[str, str], dict[str, float]]:
    """One world's verdicts, and what its scores are worth."""
    seed, n_leads = job
    world, rng = scored_world(seed, n_leads), np.random.default_rng(seed)
    verdicts, difference = {}, {}
    for kind, (model, rules) in pairs(world, rng).items():
        found = compare_paired(
            "model", model, "rules", rules, converted=world.converted, leads=world.leads,
            accounts=world.accounts, times=world.times, per_time=world.per_time, seed=seed,
        )  # fmt: skip
        verdicts[kind], difference[kind] = found.verdict, found.difference
    worth = {
        "auc of the points": auc(world.converted, world.points),
        "auc of the model": auc(world.converted, world.noisy(rng, CLEAR)),
        "auc of the truth": auc(world.converted, world.log_odds),
        **difference,
    }
    return verdicts, worth


def table(found: list[tuple[dict[str, str], dict[str, float]]], n_leads: int) -> str:
    """Return the verdicts as a table."""
    worth = {name: float(np.mean([w[name] for _, w in found])) for name in found[0][1]}
    lines = [
        f"{len(found)} worlds of {n_leads:,} leads; mean AUC: points "
        f"{worth['auc of the points']:.3f}, model {worth['auc of the model']:.3f}, truth "
        f"{worth['auc of the truth']:.3f}.",
        "",
        "| worlds | truth | model wins | rules win | no difference | right | mean difference |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, right in KINDS.items():
        n = Counter(verdicts[kind] for verdicts, _ in found)
        lines.append(
            f"| {kind} | {right} | {n['model wins']} | {n['rules win']} | {n['no difference']} "
            f"| {n[right] / len(found):.1%} | {worth[kind]:+.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Simulate, judge, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--leads", type=int, default=6000)
    parser.add_argument("--first-seed", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    jobs = [(given.first_seed + i, given.leads) for i in range(given.worlds)]
    found = []
    with ProcessPoolExecutor(given.processes) as pool:
        run = pool.map if given.processes > 1 else map
        for result in run(judged, jobs):
            found.append(result)
            sys.stderr.write(f"\r{len(found)} of {len(jobs)} worlds")
    sys.stderr.write("\n")
    text = table(found, given.leads)
    sys.stdout.write(text + "\n")
    if given.write:
        write_sections(given.write, {"verdicts": text})


if __name__ == "__main__":
    main()
