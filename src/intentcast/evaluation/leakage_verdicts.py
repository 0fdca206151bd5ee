"""Fine, suspicious or leak, and why in one sentence; thresholds are in `leakage_limits`."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from intentcast.evaluation.leakage_columns import Column, Kind
from intentcast.evaluation.leakage_limits import LIMITS
from intentcast.evaluation.leakage_signals import Interval
from intentcast.evaluation.leakage_timing import ChangeStudy, EventStudy
from intentcast.evaluation.metrics import wilson

Verdict = Literal["fine", "suspicious", "leak"]
VERDICTS: Final[tuple[Verdict, ...]] = ("leak", "suspicious", "fine")


@dataclass(frozen=True)
class Finding:
    """The verdict on one column, or on the times of one table.

    Attributes:
        kind: What it is of.
        name: Of the attribute, event type, channel or table.
        verdict: fine, suspicious or leak.
        evidence: Why, in one sentence.
        figures: What was measured; None for what the data do not define.
    """

    kind: Kind
    name: str
    verdict: Verdict
    evidence: str
    figures: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Measured:
    """All that was measured of one column.

    Attributes:
        column: Which.
        auc: Single-column, of converting within the primary horizon.
        gain_ahead: AUC gained by looking one day ahead.
        known: Share of snapshots that know a value (or have an event), of converters.
        known_others: The same of the others.
        known_present: The same of the present cohort.
        holders_convert: Of snapshots with an event (or a value), the share that converts, lower
            bound.
        base_rate: Of all.
        certain: Of the value that is followed by conversion most surely: accounts that converted,
            and accounts that ever showed it, those open now among them.
        still_there: Part of the signal that the present cohort shows.
        average_precision_lost: When the column is removed.
        study: Of an event type or channel.
        usual_at_outcome: Share of all events within a day of a conversion.
        changes: Of an attribute whose changes are recorded.
        known_around: Of an attribute, the share known at `OFFSETS_DAYS` from a conversion.
        tells_when: Partial rank correlation of an attribute with the outcome's date, and n.
        recurring: Whether conversions recur.
    """

    column: Column
    auc: Interval
    gain_ahead: float
    known: float
    known_others: float
    known_present: float
    holders_convert: float
    base_rate: float
    certain: tuple[int, int]
    still_there: Interval
    average_precision_lost: float
    study: EventStudy | None
    usual_at_outcome: float
    changes: ChangeStudy | None
    known_around: tuple[float, ...] | None
    tells_when: tuple[float, int] | None
    recurring: bool


def judge(seen: Measured) -> tuple[Verdict, str]:
    """Return the verdict and its evidence; the gravest reason speaks."""
    reasons = [*_hindsight(seen), *_at_the_outcome(seen), *_too_good(seen), *_dates(seen)]
    for verdict in VERDICTS:
        for found, evidence in reasons:
            if found == verdict:
                return verdict, evidence
    return "fine", _why_fine(seen)


Reasons = list[tuple[Verdict, str]]


def _tells(seen: Measured) -> bool:
    return seen.auc.low >= LIMITS.telling or _tells_much(seen)


def _tells_much(seen: Measured) -> bool:
    often = min(max(LIMITS.converting, LIMITS.lift * seen.base_rate), 0.9)
    return seen.auc.low >= LIMITS.telling_much or seen.holders_convert >= often


def _hindsight(seen: Measured) -> Reasons:
    won, holders = seen.certain
    if holders and won >= LIMITS.certain * holders and wilson(won, holders)[0] >= LIMITS.sure:
        return [
            (
                "leak",
                f"{won:,} of the {holders:,} accounts that ever showed it converted, and of the "
                "leads that are open now next to none has it: it is entered after the outcome",
            )
        ]
    share = seen.still_there
    most = LIMITS.gone_high_much if _tells_much(seen) else LIMITS.gone_high
    if not (_tells(seen) and share.value < LIMITS.gone and share.high < most):
        return []
    if seen.column.kind == "attribute":
        sentence = (
            f"tells converters from others in the past (AUC {seen.auc.value:.2f}), but of that "
            f"{_pct(max(0.0, share.value))} is left among leads that are open now: it is written "
            "after the outcome"
        )
    else:
        sentence = (
            f"{_pct(seen.known)} of converters had it beforehand and {_pct(seen.known_others)} of "
            f"others, but {_pct(seen.known_present)} of the leads that are open now, the next "
            "converters among them: it is entered after the outcome, with an earlier date"
        )
    return [("leak", sentence)]


def _at_the_outcome(seen: Measured) -> Reasons:
    study = seen.study
    if study is None:
        return []
    share = study.at_outcome
    unusual = share >= LIMITS.near_than_usual * seen.usual_at_outcome
    where = "the day before" if seen.recurring else "a day of"
    found: Reasons = []
    if seen.column.kind == "event type" and unusual and share >= LIMITS.at_outcome:
        # A lead whose win is not known yet is still scored, and shows it.
        shows = seen.known > 0 or study.known_first >= LIMITS.known_first
        found.append(
            (
                "leak" if shows else "suspicious",
                f"{_pct(share)} of its occurrences lie within {where} a conversion: it records "
                "the conversion and does not announce it"
                + (
                    f"; {_pct(study.known_first)} of those were known before the conversion was"
                    if shows
                    else "; as it is known no hour before that, no open lead shows it yet"
                ),
            )
        )
    elif unusual and share >= LIMITS.near_outcome:
        found.append(
            (
                "suspicious",
                f"{_pct(share)} of its occurrences lie within {where} a conversion, a last step "
                "before it; too late for anyone to act on",
            )
        )
    # Refitting the bins moves an AUC by chance, by less than its interval.
    if seen.gain_ahead >= max(LIMITS.gain_ahead, (seen.auc.high - seen.auc.low) / 2):
        found.append(
            (
                "suspicious",
                f"looking one day ahead raises its AUC by {seen.gain_ahead:.3f}, more than "
                "behaviour does: it comes with the outcome",
            )
        )
    return found


def _too_good(seen: Measured) -> Reasons:
    if seen.column.kind != "attribute" or seen.column.is_dated:
        return []
    if seen.auc.low >= LIMITS.too_good:
        verdict: Verdict = "leak"
    elif seen.auc.low >= LIMITS.good:
        verdict = "suspicious"
    else:
        return []
    return [
        (
            verdict,
            f"alone it puts a converter above another lead {100 * seen.auc.value:.0f} times of "
            "100, and nothing dates its values; traits of people and firms tell less",
        )
    ]


def _dates(seen: Measured) -> Reasons:
    found: Reasons = []
    if seen.tells_when is not None:
        r, n = seen.tells_when
        if abs(r) >= LIMITS.tells_when_some:
            found.append(
                (
                    "leak" if abs(r) >= LIMITS.tells_when else "suspicious",
                    f"its values follow the date of the outcome (rank correlation {r:.2f} over "
                    f"{n:,} leads, creation date taken out): the outcome's date is written in it",
                )
            )
    changes = seen.changes
    if changes and changes.n_changes >= 20 and changes.at_conversion >= LIMITS.changed_at_outcome:
        found.append(
            (
                "suspicious",
                f"{_pct(changes.at_conversion)} of its dated changes lie within a day of a "
                "conversion and are known before it is: it records the conversion",
            )
        )
    if changes and changes.n_changed >= 20 and changes.holds_latest >= LIMITS.holds_latest:
        found.append(
            (
                "suspicious",
                f"in {_pct(changes.holds_latest)} of {changes.n_changed:,} changed rows the table "
                "holds the latest value, so that before the first recorded change a later value "
                "shows; record the first value in attribute_changes",
            )
        )
    return found


def _why_fine(seen: Measured) -> str:
    auc = f"AUC {seen.auc.value:.2f} ({seen.auc.low:.2f} to {seen.auc.high:.2f})"
    if seen.column.kind != "attribute":
        return f"{auc}; its occurrences do not gather at the conversion"
    if not seen.column.is_dated:
        return f"{auc}; taken as constant, since attribute_changes does not date it"
    assert seen.changes is not None
    return f"{auc}; {_pct(seen.changes.after_outcome)} of its dated changes came after the outcome"


def _pct(share: float) -> str:
    if 0 < share < 0.005:
        return "under 1 %"
    return f"{share:.0%}".replace("%", " %")
