"""How often the intervals of `train --half-lives` hold the truth, in worlds whose truth is known.

    OMP_NUM_THREADS=1 python tests/benchmarks/half_lives.py [--write docs/half-lives.md]

Each world is drawn anew (`tests/half_life_world.py`): weekly snapshots of accounts with four groups
of events, bursts that the groups share, conversions that go together within an account, and a
log-odds that remembers the first group with a known half-life. What is measured is what a person is
shown: the verdict, and the interval where there is one. About five minutes of one core.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pages import write_sections

from intentcast.evaluation.half_lives import Memory
from intentcast.propensity.half_lives import (
    HALF_LIVES_DAYS,
    HalfLifeProfile,
    familywise_p_values,
    profile_half_lives,
)
from tests.half_life_world import RememberingAccounts

FIRST_SEED = 20_000
N_GROUPS_WITHOUT_EFFECT = 3
# Half of the 90 % point of χ² with one degree of freedom: where the plain likelihood would cut.
PLAIN_CUT = 2.705543 / 2


@dataclass(frozen=True)
class Scenario:
    """One kind of world; `share` of the worlds asked for are drawn, larger ones being slower."""

    name: str
    truth: dict[str, float]
    share: float = 1.0

    @property
    def half_life(self) -> float:
        """Days, of the group asked about."""
        return float(self.truth.get("half_life", 14.0))


SCENARIOS = (
    Scenario("600 accounts, one event doubles the odds", {}),
    Scenario("half-life 3 days", {"half_life": 3.0}),
    Scenario("half-life 60 days", {"half_life": 60.0}),
    Scenario("half the effect (×1.41)", {"weight": 0.5}),
    Scenario("a quarter of the effect (×1.19)", {"weight": 0.25}),
    Scenario("other groups tell too, for 60 days", {"others_weight": 0.6, "level": -4.0}),
    Scenario(
        "half-life 60 days, others tell for 10",
        {"half_life": 60.0, "others_weight": 0.6, "others_half_life": 10.0, "level": -3.8},
    ),
    Scenario("200 accounts", {"n_accounts": 200}),
    Scenario("2,500 accounts", {"n_accounts": 2500}, share=0.3),
)


@dataclass(frozen=True)
class Found:
    """What one world was said to be."""

    memory: Memory
    profile: HalfLifeProfile
    n_converted: int

    def covers(self, days: float) -> bool:
        """Whether the interval holds the truth, shown or not."""
        low, high = self.profile.low_days, self.profile.high_days
        return (low or 0.0) <= days <= (high or np.inf)

    def covers_plainly(self, days: float) -> bool:
        """Whether the interval would that takes every snapshot for independent."""
        height = self.profile.log_likelihood
        return bool(height.max() - height[HALF_LIVES_DAYS.index(days)] <= PLAIN_CUT)

    @property
    def width(self) -> float:
        """Upper end over lower end; an open end counts as the grid's."""
        low, high = self.profile.low_days, self.profile.high_days
        return (high or HALF_LIVES_DAYS[-1]) / (low or HALF_LIVES_DAYS[0])


def drawn(scenario: Scenario, n_worlds: int) -> Iterator[Found]:
    """Draw worlds and ask about the first group, the others held fixed as the command does."""
    for seed in range(FIRST_SEED, FIRST_SEED + n_worlds):
        data = RememberingAccounts.drawn(seed, **scenario.truth)
        profile = profile_half_lives(
            data.sums(0), data.held(), data.converted, data.accounts, seed=seed
        )
        [p_value] = familywise_p_values([profile], seed=seed)
        n_converted = len(np.unique(data.accounts[data.converted > 0]))
        yield Found(Memory.of(profile, p_value), profile, n_converted)


def row(scenario: Scenario, found: list[Found]) -> str:
    """Return one line of the table."""
    days = scenario.half_life
    shown = [one for one in found if one.memory.verdict != "no evidence"]
    flat = [one for one in shown if one.memory.verdict == "not determined"]
    known = [one for one in shown if one.memory.verdict == "known"]
    covered = share(one.covers(days) for one in found)
    plain = share(one.covers_plainly(days) for one in found)
    best = np.quantile([one.profile.best_days for one in found], [0.1, 0.5, 0.9])
    cells = [
        scenario.name,
        f"{days:g}",
        f"{np.mean([one.n_converted for one in found]):.0f}",
        f"{len(found)}",
        f"{covered:.2f} ± {(covered * (1 - covered) / len(found)) ** 0.5:.2f}",
        f"{share(one.covers(days) for one in shown):.2f}" if shown else "–",
        f"{plain:.2f}",
        f"{1 - len(shown) / len(found):.0%}",
        f"{len(flat) / len(found):.0%}",
        f"{best[1]:.0f} ({best[0]:.0f}–{best[2]:.0f})",
        f"×{np.median([one.width for one in known]):.1f}" if known else "–",
    ]
    return f"| {' | '.join(cells)} |"


def share(holds: Any) -> float:
    """Return how often something holds."""
    return float(np.mean(list(holds)))


def false_evidence(n_worlds: int) -> str:
    """Return a sentence on worlds in which no group has any effect."""
    n_false = 0
    for seed in range(FIRST_SEED, FIRST_SEED + n_worlds):
        data = RememberingAccounts.drawn(seed, n_accounts=300, weight=0.0, level=-2.0)
        nothing = np.empty((len(data.converted), 0))
        profiles = [
            profile_half_lives(data.sums(g), nothing, data.converted, data.accounts, seed=seed)
            for g in range(N_GROUPS_WITHOUT_EFFECT)
        ]
        n_false += min(familywise_p_values(profiles, seed=seed)) <= 0.05
    return (
        f"Without any effect: of {n_worlds} worlds of 300 accounts with {N_GROUPS_WITHOUT_EFFECT} "
        f"groups that tell nothing, {n_worlds - n_false} ({1 - n_false / n_worlds:.0%}) were given "
        f"no evidence for any group; 95 % are meant to be."
    )


def main() -> None:
    """Measure, print, and on request write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=200, help="per line of the table")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="rewrite the table there")
    given = parser.parse_args()
    lines = [
        "| worlds | true days | converting accounts | drawn | interval covers "
        "| covers, where shown | plain likelihood covers | no evidence | not determined "
        "| best days (middle 80 %) | width |",
        f"| --- |{' ---: |' * 10}",
    ]
    for scenario in SCENARIOS:
        n_worlds = max(1, round(given.worlds * scenario.share))
        lines.append(row(scenario, list(drawn(scenario, n_worlds))))
        sys.stderr.write(f"{lines[-1]}\n")
    names = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy"))
    text = "\n".join(lines) + f"\n\n{false_evidence(given.worlds)}\n\n{names}.\n"
    sys.stdout.write(text)
    if given.write:
        write_sections(given.write, {"coverage": text})


if __name__ == "__main__":
    main()
