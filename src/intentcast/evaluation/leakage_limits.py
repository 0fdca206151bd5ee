"""When a column is suspicious, and when it leaks: every threshold in one place, with its reason."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Limits:
    """Thresholds of the verdicts.

    A leak refuses training, so each needs a figure that no clean world of 20 came near (their
    extremes are in docs/leakage.md); what is merely odd is suspicious and refuses nothing.

    Attributes:
        telling: Lower AUC bound from which a column tells enough to do harm.
        telling_much: Lower AUC bound from which it tells more than fit or behaviour usually do.
        converting: Or share of its holders that convert (lower bound), and `lift` times the base
            rate.
        lift: See `converting`.
        gone: Part of the signal that the present cohort shows: honest 1, hindsight 0. A leak has
            less, its interval below `gone_high`, or below `gone_high_much` if it tells much.
        gone_high: Half way between honest and hindsight, and a little.
        gone_high_much: Honest is outside the interval.
        certain: Share of the accounts with a value, those open now included, that converted: what
            tells in advance is also had by some who have not converted yet.
        sure: Lower bound of that share (Wilson).
        too_good: Lower AUC bound that no undated attribute of a person or firm has in advance;
            fit alone reached 0.64 at most.
        good: Lower AUC bound from which an undated attribute is suspicious.
        at_outcome: Share of an event's occurrences within a day of a conversion from which it
            records the conversion and does not announce it.
        known_first: Share of those that were known an hour or more before the conversion was: less
            is no harm, since a lead known to have converted is not scored.
        near_outcome: As `at_outcome`, for suspicious: a last step before it.
        near_than_usual: Times the share of all events: where a sale takes a day, all is near.
        tells_when: Partial rank correlation with the date of the outcome; suspicious from
            `tells_when_some`.
        gain_ahead: AUC gained by looking one day ahead from which it is suspicious: behaviour
            gained 0.01 at most with horizons of 90 days.
        changed_at_outcome: Share of an attribute's dated changes that lie within a day of a
            conversion and are known before it is.
        holds_latest: Share of changed rows that hold the latest value.
        fewest_rows: Rows of a table below which its times are not judged.
        fewest_wins: Conversions below which the pace around them is not judged.
        busy_after_win: Pace after the stated win over that before, of leads that do fall silent,
            but later; buyers stop evaluating (clean worlds: 0 after the day itself). Suspicious
            from `busy_after_win_some`: some of the dates are early.
        slow_days: Conversions recorded so much later than dated are looked at by themselves.
        also_of_others: Share of an event type's occurrences that are of leads who never convert,
            from which it belongs to evaluating and not to being a customer.
        quiet_at_last: Pace two to three months later: they did stop, but later than stated.
        missing_recorded_at: Share of rows without.
        recorded_early: Share recorded before they occurred.
        recorded_at_once: Share recorded within one hour though a month of occurrences.
        same_day_of_month: Share of conversions on a first or last day of months (usual: 3 %).
        before_creation: Share of conversions before their lead was created.
    """

    telling: float = 0.60
    telling_much: float = 0.70
    converting: float = 0.5
    lift: float = 4.0
    gone: float = 0.4
    gone_high: float = 0.6
    gone_high_much: float = 1.0
    certain: float = 0.97
    sure: float = 0.85
    too_good: float = 0.90
    good: float = 0.72
    at_outcome: float = 0.5
    known_first: float = 0.1
    near_outcome: float = 0.2
    near_than_usual: float = 3.0
    tells_when: float = 0.6
    tells_when_some: float = 0.4
    gain_ahead: float = 0.02
    changed_at_outcome: float = 0.5
    holds_latest: float = 0.5
    fewest_rows: int = 50
    fewest_wins: int = 30
    busy_after_win: float = 0.7
    busy_after_win_some: float = 0.15
    slow_days: int = 7
    also_of_others: float = 0.1
    quiet_at_last: float = 0.25
    missing_recorded_at: float = 0.02
    recorded_early: float = 0.01
    recorded_at_once: float = 0.2
    same_day_of_month: float = 0.3
    before_creation: float = 0.05


LIMITS: Final = Limits()
