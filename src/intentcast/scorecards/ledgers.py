"""Why one lead has its score: a ledger whose lines add up to it exactly."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import polars as pl

from intentcast.contracts import INSTANT
from intentcast.errors import InputError
from intentcast.scorecards.card import Scorecard, Tier
from intentcast.scorecards.decay import DAY_US, SilenceDecay
from intentcast.scorecards.kernel import CUT, LOST, NEVER, RAW, N
from intentcast.scorecards.points import from_thousandths, to_thousandths
from intentcast.scorecards.standing import Standings, stand
from intentcast.scorecards.totals import TIERS, grade_of
from intentcast.sources import Dataset

LineKind = Literal["attribute", "behaviour", "cap", "decay"]
# Subjects of lines that are about more than one rule.
ATTRIBUTES, BEHAVIOURS, TOTAL = "attributes", "behaviours", "total"


@dataclass(frozen=True)
class LedgerLine:
    """One contribution.

    Attributes:
        item: A rule's item, or what a cap or the decay took.
        points: Exact; negative where points were taken away.
        n: How often a rule was met; 0 for caps and decay.
        kind: What the line comes from.
        subject: What a cap or decay took from: an item, an axis, a group, "attributes",
            "behaviours" or "total"; with the kind, the same line in another ledger.
    """

    item: str
    points: Decimal
    n: int
    kind: LineKind
    subject: str = ""


@dataclass(frozen=True)
class Ledger:
    """One lead's score as a sum: `sum(line.points for line in lines) == score`, exactly.

    Points are `Decimal`; `float(ledger.score)` is the number that `score_snapshots` gives.
    """

    scorecard: str
    lead_id: str
    as_of: datetime
    lines: tuple[LedgerLine, ...]
    attribute_points: Decimal
    behaviour_points: Decimal
    score: Decimal
    tier: Tier
    label: str
    grade: str | None = None


def ledger(card: Scorecard, dataset: Dataset, lead_id: str, as_of: datetime) -> Ledger:
    """Explain the score of one lead at one as-of time.

    Raises:
        InputError: If the lead is not in the data set, or `as_of` has no time zone.
    """
    standing = stand(card, dataset, snapshot_of_lead(dataset, lead_id, as_of))
    return ledger_of(standing, 0, lead_id=lead_id, as_of=as_of.astimezone(UTC))


def snapshot_of_lead(dataset: Dataset, lead_id: str, as_of: datetime) -> pl.DataFrame:
    """Return the one snapshot of a lead at an as-of time: `lead_id`, `as_of`, `account_id`.

    Raises:
        InputError: If the lead is not in the data set, or `as_of` has no time zone.
    """
    if as_of.tzinfo is None:
        raise InputError(
            f"as_of {as_of.isoformat()} without a time zone",
            expected="an instant, such as 2026-11-21T10:00:00Z",
            next_step="state the zone",
        )
    moment = pl.lit(as_of.astimezone(UTC), dtype=INSTANT)
    snapshot = dataset.leads.filter(pl.col("lead_id") == lead_id).select(
        "lead_id", moment.alias("as_of"), "account_id"
    )
    if snapshot.is_empty():
        raise InputError(
            "a lead that is not in the data set",
            expected="a lead_id of the leads table",
            next_step="check the lead_id",
        )
    return snapshot


def ledger_of(
    standing: Standings, i: int, *, lead_id: str, as_of: datetime, with_lines: bool = True
) -> Ledger:
    """Return the ledger of one snapshot of standings that tell rules apart.

    Args:
        standing: From `stand`.
        i: The snapshot's row.
        lead_id: Its lead.
        as_of: Its as-of time.
        with_lines: Whether the lines are wanted too.
    """
    card, fit, totals = standing.card, standing.fit_points, standing.totals
    over = int(totals.total[i] - totals.total_raw[i])
    lines: tuple[LedgerLine, ...] = ()
    if with_lines:
        lines = (
            *_attribute_lines(standing, i),
            *_behaviour_lines(standing, i),
            *_taken(f"total capped at {card.total_cap}", over, "cap", TOTAL),
        )
    tier = TIERS[totals.tier[i]]
    return Ledger(
        scorecard=card.name,
        lead_id=lead_id,
        as_of=as_of,
        lines=lines,
        attribute_points=from_thousandths(int(fit.capped[i])),
        behaviour_points=from_thousandths(int(totals.behaviours[i])),
        score=from_thousandths(int(totals.total[i])),
        tier=tier,
        label=card.label(tier),
        grade=grade_of(card, int(fit.capped[i])),
    )


def _taken(item: str, thousandths: int, kind: LineKind, subject: str) -> Iterator[LedgerLine]:
    """Give a line for points taken away, or none where nothing was."""
    if thousandths:
        yield LedgerLine(item, from_thousandths(thousandths), 0, kind, subject)


def _attribute_lines(standing: Standings, i: int) -> Iterator[LedgerLine]:
    card, fit = standing.card, standing.fit_points
    for number, axis in enumerate(card.axes):
        position, points = int(standing.fit.bands[i, number]), int(fit.axes[i, number])
        if position < 0:
            continue
        item = card.attributes[position].item
        yield LedgerLine(item, from_thousandths(points), 1, "attribute", item)
        cap = card.axis_caps.get(axis)
        if cap is not None:
            over = min(0, to_thousandths(cap) - points)
            yield from _taken(f"{axis} capped at {cap}", over, "cap", f"axis {axis}")
    over = int(fit.capped[i] - fit.raw[i])
    yield from _taken(f"attributes capped at {card.attributes_cap}", over, "cap", ATTRIBUTES)


def _behaviour_lines(standing: Standings, i: int) -> Iterator[LedgerLine]:
    card, walked, totals = standing.card, standing.walked, standing.totals
    of_group = dict.fromkeys(card.groups, 0)
    for rule, found in zip(card.behaviours, walked.of_rules[i].tolist(), strict=True):
        if not found[N]:
            continue
        item = rule.item
        yield LedgerLine(item, from_thousandths(found[RAW]), found[N], "behaviour", item)
        yield from _taken(f"{item}: above the cap of a day", found[CUT], "cap", f"day {item}")
        yield from _taken(f"{item}: faded with age", found[LOST], "decay", item)
        if rule.group:
            of_group[rule.group] += found[RAW] + found[CUT] + found[LOST]
    for group, points in of_group.items():
        if (cap := card.group_caps.get(group)) is None:
            continue
        over = min(0, to_thousandths(cap) - points)
        yield from _taken(f"{group} capped at {cap}", over, "cap", f"group {group}")
    over = int(totals.behaviours_capped[i] - walked.grouped[i])
    yield from _taken(f"behaviours capped at {card.behaviours_cap}", over, "cap", BEHAVIOURS)
    lost = int(totals.behaviours[i] - totals.behaviours_capped[i])
    yield from _taken(_decay_item(standing, i), lost, "decay", BEHAVIOURS)


def _decay_item(standing: Standings, i: int) -> str:
    active = int(standing.walked.last_activity[i])
    if active == NEVER:
        return "decay"
    days = (int(standing.now[i]) - active) // DAY_US
    decay = standing.card.decay
    reset_days = decay.reset_days if isinstance(decay, SilenceDecay) else None
    if reset_days is not None and days >= reset_days:
        return f"behaviours reset after {days} days without activity"
    kept = from_thousandths(int(standing.totals.factor[i]))
    return f"behaviours times {kept} after {days} days without activity"
