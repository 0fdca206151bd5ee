"""Where each lead stands at an as-of time: the one computation behind scores and ledgers.

All points here are Int64 thousandths.
"""

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.fit import Fit, FitPoints, fit_points, read_attributes
from intentcast.scorecards.history import micros, read_events
from intentcast.scorecards.kernel import Flags, Ints, Moments, N, Walked, walk
from intentcast.scorecards.rulebook import rulebook
from intentcast.scorecards.sticky import were_hot
from intentcast.scorecards.totals import HOT, OUT, TIERS, Totals, total_up
from intentcast.sources import Dataset


@dataclass(frozen=True)
class Standings:
    """Where leads stand, and what brought them there; row i is of snapshot i.

    Attributes:
        card: The points table.
        now: Microseconds as of which ages and silences are.
        fit: Attributes.
        fit_points: Their points.
        walked: Behaviour points, by rule if asked for.
        totals: Score and class.
    """

    card: Scorecard
    now: Ints
    fit: Fit
    fit_points: FitPoints
    walked: Walked
    totals: Totals

    @cached_property
    def counts(self) -> Ints:
        """How often each behaviour rule was met and still counts, shape (n, n_rules).

        Needs `by_rule`.
        """
        return self.walked.of_rules[:, :, N]


def tier_names(totals: Totals) -> pl.Series:
    """Return the classes as words."""
    return pl.Series(totals.tier).replace_strict(dict(enumerate(TIERS)), return_dtype=pl.String)


def stand(
    card: Scorecard,
    dataset: Dataset,
    snapshots: pl.DataFrame,
    *,
    by_rule: bool = True,
    now: Ints | None = None,
    known_before: Ints | None = None,
) -> Standings:
    """Compute where each lead stands.

    Args:
        card: The points table.
        dataset: Events, leads, accounts and changes of attributes.
        snapshots: `lead_id`, `as_of`, `account_id`; attributes are those known before `as_of`.
        by_rule: Whether the points of each rule are kept.
        now: Microseconds as of which ages and silences are; the as-of times if not given.
        known_before: Microseconds before which events must be known; likewise.
    """
    book = rulebook(card)
    snapshots = snapshots.select("lead_id", "as_of", "account_id")
    as_of = micros(snapshots["as_of"])
    now = as_of if now is None else now
    before = as_of if known_before is None else known_before
    latest = int(before.max()) if len(before) else 0
    events, signatures, lead = read_events(book, dataset, snapshots, before=latest)
    fit = read_attributes(book, dataset, snapshots)
    moments = Moments(lead, before, now, fit.switch, fit.is_on)
    walked = walk(book.rules, signatures, events, moments, by_rule=by_rule)
    points = fit_points(card, fit.bands)
    totals = total_up(book, points, walked, now)
    if card.classes.sticky:
        stuck = were_hot(book, dataset, snapshots, signatures, events, moments)
        totals = stuck_to(totals, stuck)
    return Standings(card, now, fit, points, walked, totals)


def stuck_to(totals: Totals, was_hot: Flags) -> Totals:
    """Return totals whose leads are hot if they were before, unless they opted out."""
    tier = totals.tier.copy()
    tier[was_hot & (tier != OUT)] = HOT
    return totals._replace(tier=tier)
