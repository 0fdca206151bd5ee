"""Six noisy copies of one signal: does the probability stay true? Beside a naive Bayes.

    python -m tests.benchmarks.redundancy --write docs/learners.md

A lead has one level of intent, 0 to 4, which raises the log-odds of converting by 0.8 a level, and
four unrelated marks that add 0.7, 0.5, 0.3 and 0.1. The level is observed once, or six times; each
copy is right in four of five cases and a level drawn at random in the fifth. Calibration slope: of
a logistic regression of 50,000 new leads' outcomes on the predicted log-odds, ideal 1.

Naive Bayes as open-source CRM software scores leads by it: per value of each field the share of won
and of lost leads that have it, 0.1 added to every count, multiplied as if fields were independent.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from intentcast.config import LearnerConfig, LogisticSettings
from intentcast.propensity import LADDER, Fitted, Followed, TrainingRows, fit_ladder
from intentcast.propensity.calibration import fit_platt
from intentcast.propensity.margins import logit, sigmoid
from tests.benchmarks.pages import write_sections

Floats = NDArray[np.float64]
WEEK_US = 7 * 86_400_000_000
HORIZON, WEEKS, LEVELS = 30, 40, 5
RIGHT = 0.8
MARKS = np.array([0.7, 0.5, 0.3, 0.1])
N_KNOWN, N_NEW = 20_000, 50_000
CONFIG = LearnerConfig(logistic=LogisticSettings(inverse_penalties=(0.01, 0.1, 1.0)))


@dataclass(frozen=True)
class Leads:
    """Observed values, the copies first, and the outcome."""

    values: Floats
    converted: Floats


def draw(n: int, *, n_copies: int, seed: int) -> Leads:
    """Return leads of the world that the module describes."""
    rng = np.random.default_rng(seed)
    level = rng.integers(0, LEVELS, n)
    marks = rng.integers(0, 2, (n, len(MARKS)))
    converted = rng.random(n) < sigmoid(-4.0 + 0.8 * level + (MARKS * marks).sum(axis=1))
    wrong = rng.random((n, n_copies)) >= RIGHT
    copies = np.where(wrong, rng.integers(0, LEVELS, (n, n_copies)), level[:, None])
    return Leads(np.column_stack([copies, marks]).astype(float), converted.astype(float))


def fitted_ladder(known: Leads) -> Fitted:
    """Fit the ladder as `train` does, on one snapshot per lead over forty weeks."""
    n = len(known.converted)
    rows = TrainingRows(
        features=known.values,
        names=[f"signal.count.{i}.30d" for i in range(known.values.shape[1])],
        converted=known.converted,
        times=np.sort(np.arange(n) % WEEKS).astype(np.int64) * WEEK_US,
        clusters=np.arange(n),
        horizon_days=HORIZON,
    )
    half = np.arange(n) % 2
    followed = Followed(
        features=rows.features,
        names=rows.names,
        n_over=np.full(n, 2),
        converted_in=np.where(known.converted == 1.0, half, 2),
        times=rows.times,
        leads=rows.clusters,
        clusters=rows.clusters,
        edges_days=(0, HORIZON // 2, HORIZON),
    )
    return fit_ladder({HORIZON: rows}, followed, primary=HORIZON, config=CONFIG)[HORIZON]


def naive_bayes(known: Leads, new: Floats) -> Floats:
    """Return the naive Bayes' log-odds of new leads."""
    won = known.converted == 1.0
    margins = np.full(len(new), np.log(won.sum() / (~won).sum()))
    for column in range(new.shape[1]):
        codes = known.values[:, column].astype(np.int64)
        counts = [np.bincount(codes[part], minlength=LEVELS) + 0.1 for part in (won, ~won)]
        ratio = np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
        margins += ratio[new[:, column].astype(np.int64)]
    return margins


def slopes(*, n_copies: int, seed: int) -> dict[str, float]:
    """Return the calibration slope of every step, of what is shipped, and of naive Bayes."""
    known = draw(N_KNOWN, n_copies=n_copies, seed=seed)
    new = draw(N_NEW, n_copies=n_copies, seed=seed + 1000)
    fit = fitted_ladder(known)
    margins = {step: logit(fit.models[step].probabilities(new.values)) for step in LADDER}
    margins["shipped"] = margins[fit.champion]
    margins["naive Bayes"] = naive_bayes(known, new.values)
    return {name: fit_platt(m, new.converted)[1] for name, m in margins.items()}


def table(seeds: range) -> str:
    """Return mean, least and most slope per way as Markdown, and how many are within 0.9 to 1.1."""
    found = {n: [slopes(n_copies=n, seed=seed) for seed in seeds] for n in (1, 6)}
    lines = ["| | one copy | six copies |", "| --- | ---: | ---: |"]
    for name in found[1][0]:
        cells = [np.array([row[name] for row in rows]) for rows in found.values()]
        shown = [
            f"{c.mean():.2f} ({c.min():.2f} to {c.max():.2f}), "
            f"{((c >= 0.9) & (c <= 1.1)).sum()} of {len(c)}"
            for c in cells
        ]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    text = table(range(1, given.seeds + 1))
    sys.stdout.write(f"{text}\n")
    if given.write:
        write_sections(given.write, {"redundancy": text})
    return 0


if __name__ == "__main__":
    sys.exit(main())
