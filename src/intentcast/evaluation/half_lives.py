"""Half-lives that the data show per group of events, beside the points table's own.

docs/half-lives.md says how to read them.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np

from intentcast.config import LearnerConfig
from intentcast.evaluation.half_life_rows import Group, HalfLifeRows, Kind, half_life_rows
from intentcast.propensity.half_lives import (
    HALF_LIVES_DAYS,
    LEVEL,
    HalfLifeProfile,
    familywise_p_values,
    profile_half_lives,
)
from intentcast.scorecards import Scorecard
from intentcast.scorecards.decay import DAY_US
from intentcast.scorecards.points import THOUSANDTHS
from intentcast.sources import Dataset
from intentcast.training import TrainedModel

Verdict = Literal["known", "not determined", "no evidence"]
ALPHA = 0.05
MIN_ACCOUNTS = 20
_LONGEST_SILENCE = 3650


@dataclass(frozen=True)
class Memory:
    """For how long a group's events tell about conversion.

    Attributes:
        verdict: `known`: there is an effect and the data reject half-lives on one side at least;
            `not determined`: there is an effect, but they reject none; `no evidence` of an effect.
        best_days: Half-life of greatest likelihood; None without evidence, like the interval.
        low_days: Lower end of the 90 % interval; None where it is below the grid.
        high_days: Upper end; None where it is above the grid.
        odds_factor: What one event just now does to the odds of conversion, against none.
        odds_low: Lower end of its 90 % interval, at the best half-life.
        odds_high: Upper end.
        p_value: Of "no effect", for all groups together.
        statistic: Largest |z| of "no effect" over the grid.
    """

    verdict: Verdict
    best_days: float | None
    low_days: float | None
    high_days: float | None
    odds_factor: float
    odds_low: float
    odds_high: float
    p_value: float
    statistic: float

    @classmethod
    def of(cls, profile: HalfLifeProfile, p_value: float) -> "Memory":
        """Judge a profile by its p-value."""
        has_effect = p_value <= ALPHA
        verdict: Verdict = "no evidence"
        if has_effect:
            verdict = "not determined" if profile.is_flat else "known"
        return cls(
            verdict=verdict,
            best_days=profile.best_days if has_effect else None,
            low_days=profile.low_days if has_effect else None,
            high_days=profile.high_days if has_effect else None,
            odds_factor=profile.odds_factor,
            odds_low=profile.odds_low,
            odds_high=profile.odds_high,
            p_value=p_value,
            statistic=profile.statistic,
        )

    def against(self, rule_days: int | None) -> str:
        """Return how the half-life lies to a points table's: `shorter`, `longer` or `in line`.

        "" where it is not known. A rule that never halves is longer than any upper end.
        """
        if self.verdict != "known":
            return ""
        if self.high_days is not None and (rule_days is None or self.high_days < rule_days):
            return "shorter"
        is_longer = rule_days is not None and (self.low_days or 0.0) > rule_days
        return "longer" if is_longer else "in line"


@dataclass(frozen=True)
class GroupHalfLife:
    """What the data say about one group.

    Attributes:
        kind: What kind of group.
        name: Of the event type or theme; `any` for all activity.
        n_accounts: Accounts with such an event in a training snapshot.
        alone: With no other group held fixed: how long these events tell anything; None where too
            few accounts have them.
        beside: With the other groups of the kind held fixed: how long they add to what those tell;
            None for all activity, too.
    """

    kind: Kind
    name: str
    n_accounts: int
    alone: Memory | None
    beside: Memory | None


@dataclass(frozen=True)
class HalfLifeReport:
    """Half-lives of every group, and what they rest on.

    Attributes:
        groups: By kind; within a kind the surest first.
        horizon_days: Within which conversion counts.
        known_by: Nothing known at or after this instant was used.
        n_snapshots: Mature training snapshots.
        n_accounts: Their accounts.
        n_accounts_converted: Of these, with a conversion.
        scorecard: Name of the points table; None without one.
        rule_days: Silence after which its points are halved; None where they never are.
    """

    groups: tuple[GroupHalfLife, ...]
    horizon_days: int
    known_by: datetime
    n_snapshots: int
    n_accounts: int
    n_accounts_converted: int
    scorecard: str | None
    rule_days: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        groups = []
        for group in self.groups:
            is_compared = self.scorecard is not None and group.alone is not None
            against = group.alone.against(self.rule_days) if is_compared and group.alone else ""
            groups.append({**asdict(group), "alone_against_rule": against})
        return {
            **asdict(self),
            "groups": groups,
            "known_by": self.known_by.isoformat(),
            "half_lives_days": list(HALF_LIVES_DAYS),
            "interval_level": LEVEL,
            "familywise_alpha": ALPHA,
        }


def halving_days(card: Scorecard) -> int | None:
    """Return the days of silence from which behaviour points count half or less; None for never."""
    factor = card.decay.factor(np.arange(_LONGEST_SILENCE + 1) * DAY_US)
    halved = np.flatnonzero(factor <= THOUSANDTHS // 2)
    return int(halved[0]) if len(halved) else None


def measure_half_lives(
    model: TrainedModel,
    dataset: Dataset,
    *,
    config: LearnerConfig,
    card: Scorecard | None,
    on_progress: Callable[[str], None] | None = None,
) -> HalfLifeReport:
    """Profile the half-life of every group on a model's training snapshots.

    Each profile is computed by one thread, so how many run at once cannot change a number.

    Args:
        model: Its snapshots, groups, primary horizon and `known_by` are used.
        dataset: What it was trained on.
        config: Its seed and number of threads.
        card: The points table to compare with.
        on_progress: Called with what is being done.
    """
    from threadpoolctl import threadpool_limits

    say = on_progress or (lambda _: None)
    say("half-lives: features")
    rows = half_life_rows(model, dataset)
    n_converted = len(np.unique(rows.clusters[rows.converted > 0]))
    counts = {group: rows.n_accounts(group) for group in rows.groups}
    asked = [group for group, n in counts.items() if min(n, n_converted) >= MIN_ACCOUNTS]
    questions = [(group, False) for group in asked]
    questions += [(group, True) for group in asked if group.kind != "all activity"]
    with threadpool_limits(limits=1):
        found = _memories(rows, questions, config, say)
    groups = [
        GroupHalfLife(
            group.kind, group.name, n, found.get((group, False)), found.get((group, True))
        )
        for group, n in counts.items()
    ]
    kinds = list(dict.fromkeys(group.kind for group in groups))
    groups.sort(key=lambda g: (kinds.index(g.kind), -(g.alone.statistic if g.alone else 0.0)))
    return HalfLifeReport(
        groups=tuple(groups),
        horizon_days=model.tiers.horizon_days,
        known_by=model.known_by,
        n_snapshots=len(rows.converted),
        n_accounts=len(np.unique(rows.clusters)),
        n_accounts_converted=n_converted,
        scorecard=card.name if card else None,
        rule_days=halving_days(card) if card else None,
    )


_Question = tuple[Group, bool]


def _memories(
    rows: HalfLifeRows,
    questions: list[_Question],
    config: LearnerConfig,
    say: Callable[[str], None],
) -> dict[_Question, Memory]:
    """Answer, per group and whether the others are held fixed; p-values over each set of groups."""

    def profile(question: _Question) -> HalfLifeProfile:
        group, is_beside = question
        return profile_half_lives(
            rows.sums(group),
            rows.held_beside(group) if is_beside else rows.held_alone,
            rows.converted,
            rows.clusters,
            seed=config.seed,
        )

    profiles: dict[_Question, HalfLifeProfile] = {}
    with ThreadPoolExecutor(max_workers=config.threads) as pool:
        jobs = {pool.submit(profile, question): question for question in questions}
        for done, job in enumerate(as_completed(jobs), start=1):
            profiles[jobs[job]] = job.result()
            say(f"half-lives: {done} of {len(questions)} profiles")
    memories: dict[_Question, Memory] = {}
    for is_beside in (False, True):
        family = [question for question in questions if question[1] == is_beside]
        p_values = familywise_p_values([profiles[q] for q in family], seed=config.seed)
        memories |= {q: Memory.of(profiles[q], p) for q, p in zip(family, p_values, strict=True)}
    return memories
