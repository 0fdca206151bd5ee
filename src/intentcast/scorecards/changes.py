"""Why a score changed between two as-of times: a ledger of differences that adds up to it exactly.

The score is computed again and again, each time with one more thing as it is later. In this order,
which decides what is said where two causes act together:

1. `time`: only the clock moves on (decay, windows, silences);
2. `attributes`: what was recorded of the lead and its account since then;
3. `events`: what became known of its behaviour since then;
4. `rules`: another version of the points table, with the earlier version's caps;
5. `caps`: the later version's caps.

Each cause's lines are the differences between two ledgers, line by line. Ledgers add up exactly,
so the lines of all causes add up to the difference of the scores exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import numpy as np
import polars as pl

from intentcast.errors import InputError
from intentcast.scorecards.card import Scorecard, Tier
from intentcast.scorecards.history import micros
from intentcast.scorecards.ledgers import Ledger, LedgerLine, LineKind, ledger_of, snapshot_of_lead
from intentcast.scorecards.standing import stand
from intentcast.sources import Dataset

Cause = Literal["time", "attributes", "events", "rules", "caps"]
CAUSES: tuple[Cause, ...] = ("time", "attributes", "events", "rules", "caps")
_CAPS = (
    "attributes_cap",
    "behaviours_cap",
    "total_cap",
    "axis_caps",
    "group_caps",
    "daily_cap",
    "daily_caps",
)


@dataclass(frozen=True)
class ChangeLine:
    """One difference.

    Attributes:
        cause: What made it.
        item: Of the ledger line that changed.
        points: Exact.
        n: By how much the number of times that a rule was met changed.
        kind: Of the ledger line.
    """

    cause: Cause
    item: str
    points: Decimal
    n: int
    kind: LineKind


@dataclass(frozen=True)
class ChangeLedger:
    """A change of score as a sum.

    `sum(line.points for line in lines) == after.score - before.score`, exactly.
    """

    before: Ledger
    after: Ledger
    lines: tuple[ChangeLine, ...]

    @property
    def points(self) -> Decimal:
        """By how much the score changed."""
        return self.after.score - self.before.score

    @property
    def tiers(self) -> tuple[Tier, Tier]:
        """The class before and after."""
        return self.before.tier, self.after.tier


def change_ledger(
    before: Scorecard,
    after: Scorecard,
    dataset: Dataset,
    lead_id: str,
    *,
    since: datetime,
    as_of: datetime,
) -> ChangeLedger:
    """Explain by what one lead's score differs between two as-of times.

    Args:
        before: The points table in use at `since`.
        after: The one in use at `as_of`; the same, or another version.
        dataset: Holds the lead.
        lead_id: The lead.
        since: The earlier time.
        as_of: The later time.

    Raises:
        InputError: If the lead is not there, a time has no zone, or `since` is after `as_of`.
    """
    first = snapshot_of_lead(dataset, lead_id, since)
    last = snapshot_of_lead(dataset, lead_id, as_of)
    if since > as_of:
        raise InputError(
            f"since {since.isoformat()} is after as_of {as_of.isoformat()}",
            expected="the earlier of the two times",
            next_step="exchange them",
        )
    t0, t1 = (int(micros(snapshot["as_of"])[0]) for snapshot in (first, last))
    standing = stand(
        before,
        dataset,
        pl.concat([first, first, last, last]),
        now=np.array([t0, t1, t1, t1]),
        known_before=np.array([t0, t0, t0, t1]),
    )
    first_time, last_time = since.astimezone(UTC), as_of.astimezone(UTC)
    steps = [
        ledger_of(standing, i, lead_id=lead_id, as_of=moment)
        for i, moment in enumerate((first_time, last_time, last_time, last_time))
    ]
    if after != before:
        capped_as_before = after.model_copy(update={name: getattr(before, name) for name in _CAPS})
        steps += [
            ledger_of(stand(card, dataset, last), 0, lead_id=lead_id, as_of=last_time)
            for card in (capped_as_before, after)
        ]
    lines = [
        line
        for cause, earlier, later in zip(CAUSES, steps[:-1], steps[1:], strict=False)
        for line in differences(cause, earlier.lines, later.lines)
    ]
    return ChangeLedger(steps[0], steps[-1], tuple(lines))


def differences(
    cause: Cause, before: Sequence[LedgerLine], after: Sequence[LedgerLine]
) -> list[ChangeLine]:
    """Return by what the lines of two ledgers differ; they add up to the difference of the sums."""
    earlier = {(line.kind, line.subject): line for line in before}
    later = {(line.kind, line.subject): line for line in after}
    found = []
    for key in dict.fromkeys([*later, *earlier]):
        old, new = earlier.get(key), later.get(key)
        points = (new.points if new else Decimal(0)) - (old.points if old else Decimal(0))
        if points:
            said = new or old
            assert said is not None, "a key is of one of the two"
            # A line that says what was taken and is no longer there gives it back.
            is_over = new is None and said.kind in ("cap", "decay")
            item = f"no longer: {said.item}" if is_over else said.item
            n = (new.n if new else 0) - (old.n if old else 0)
            found.append(ChangeLine(cause, item, points, n, said.kind))
    return found
