"""Whether the times in events and outcomes are believable: what every as-of time rests on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from intentcast.evaluation.leakage_columns import people_events
from intentcast.evaluation.leakage_limits import LIMITS
from intentcast.evaluation.leakage_rows import AuditRows
from intentcast.evaluation.leakage_verdicts import Finding, Verdict
from intentcast.sources import Dataset

_DAY = timedelta(days=1)


def record_findings(dataset: Dataset, rows: AuditRows) -> Iterator[Finding]:
    """Yield what is odd about the times of events and outcomes; nothing where all is well."""
    wins = dataset.outcomes.filter(pl.col("outcome").is_in(dataset.config.conversion.outcomes))
    delays = dataset.config.source_delay_hours
    for name, table, delay in (
        ("events", dataset.events, delays.events),
        ("outcomes", wins, delays.outcomes),
    ):
        if len(table) >= LIMITS.fewest_rows:
            yield from _recording(name, table, delay)
    if len(wins) >= LIMITS.fewest_rows:
        yield from _calendar(wins)
        yield from _before_creation(dataset, wins)
    if not dataset.config.conversion.recurring and (back := _back_dated(dataset, rows)):
        yield back


def _finding(name: str, verdict: Verdict, evidence: str, **figures: float) -> Finding:
    return Finding("table", name, verdict, evidence, figures)


def _recording(name: str, table: pl.DataFrame, delay_hours: float) -> Iterator[Finding]:
    n = len(table)
    recorded = table.filter(pl.col("recorded_at").is_not_null())
    share_missing = 1.0 - len(recorded) / n
    if share_missing > LIMITS.missing_recorded_at and delay_hours == 0:
        yield _finding(
            name,
            "suspicious" if len(recorded) else "fine",
            f"{_pct(share_missing)} of {name} have no recorded_at and are taken as known when they "
            "occurred; if some are entered later, state source_delay_hours",
            share_missing=share_missing,
        )
    early = recorded.filter(pl.col("recorded_at") < pl.col("occurred_at"))
    share_early = len(early) / n
    if share_early > LIMITS.recorded_early:
        yield _finding(
            name,
            "suspicious",
            f"{_pct(share_early)} of {name} were recorded before they occurred: planned times, or "
            "two clocks in different zones",
            share_recorded_early=share_early,
        )
    at_once = (
        recorded.group_by(pl.col("recorded_at").dt.truncate("1h"))
        .agg(n=pl.len(), span=pl.col("occurred_at").max() - pl.col("occurred_at").min())
        .filter(pl.col("span") > 30 * _DAY)
        .sort("n", "recorded_at", descending=[True, False])
    )
    share_bulk = (at_once["n"][0] / n) if len(at_once) else 0.0
    if share_bulk > LIMITS.recorded_at_once:
        moment = at_once["recorded_at"][0]
        yield _finding(
            name,
            "suspicious",
            f"{_pct(share_bulk)} of {name} were recorded within one hour, on {moment:%Y-%m-%d}: "
            "a history loaded in bulk, whose true recording times are lost",
            share_recorded_at_once=share_bulk,
        )


def _calendar(wins: pl.DataFrame) -> Iterator[Finding]:
    day = pl.col("occurred_at").dt.day()
    is_last = (pl.col("occurred_at") + _DAY).dt.day() == 1
    first, last = wins.select(first=(day == 1).mean(), last=is_last.mean()).row(0)
    for share, which in ((first, "first"), (last, "last")):
        if share > LIMITS.same_day_of_month:
            yield _finding(
                "outcomes",
                "suspicious",
                f"{_pct(share)} of conversions are dated to the {which} day of a month, where 3 % "
                "would be usual: the date is the booking's, not the decision's",
                **{f"share_on_{which}_day": share},
            )


def _before_creation(dataset: Dataset, wins: pl.DataFrame) -> Iterator[Finding]:
    born = dataset.leads.select("lead_id", "created_at")
    joined = wins.join(born, on="lead_id")
    share = len(joined.filter(pl.col("occurred_at") < pl.col("created_at"))) / len(wins)
    if share > LIMITS.before_creation:
        yield _finding(
            "outcomes",
            "suspicious",
            f"{_pct(share)} of conversions are dated before their lead was created",
            share_before_creation=share,
        )


@dataclass(frozen=True)
class _Pace:
    """Events per conversion and day before and after it, and once it was over for good."""

    before: float
    after: float
    late: float


def _back_dated(dataset: Dataset, rows: AuditRows) -> Finding | None:
    """Compare the pace of leads before their stated win, after it, and long after or once known."""
    known = dataset.outcomes.group_by("lead_id", at="occurred_at").agg(pl.col("known_at").min())
    seen = (
        rows.conversions.filter(pl.col("at") + 90 * _DAY <= dataset.data_cutoff)
        .join(known, on=["lead_id", "at"], maintain_order="left")
        .with_columns(delay=pl.col("known_at") - pl.col("at"))
    )
    late = seen.filter(pl.col("delay") >= LIMITS.slow_days * _DAY)
    events = _evaluating(dataset, seen["lead_id"])
    # Those recorded late are looked at by themselves: they may be a part only.
    found = [_judged(part, events) for part in (late, seen) if len(part) >= LIMITS.fewest_wins]
    return next((one for one in found if one and one.verdict == "leak"), None) or next(
        (one for one in found if one), None
    )


def _judged(wins: pl.DataFrame, events: pl.DataFrame) -> Finding | None:
    joined = events.join(wins.select("lead_id", "at", "known_at"), on="lead_id")
    # Days tell of dates a week early, weeks of dates months early.
    paces = [_pace(joined, len(wins), days) for days in (4, 14)]
    pace = max(paces, key=lambda one: one.after / one.before if one.before > 0 else 0.0)
    if not pace.before > 0:
        return None
    ratio = pace.after / pace.before
    # Who never stops may be a customer who goes on shopping; who stops later had not bought yet.
    stops = pace.late <= LIMITS.quiet_at_last * pace.before
    if not stops or ratio < LIMITS.busy_after_win_some:
        return None
    days = float(wins["delay"].dt.total_hours().median() or 0) / 24  # type: ignore[arg-type]
    return _finding(
        "outcomes",
        "leak" if ratio >= LIMITS.busy_after_win else "suspicious",
        f"of {len(wins):,} conversions, leads are {ratio:.1f} times as active in the days after "
        "the stated date as in those before and fall silent only later: dates lie before the true "
        "ones" + (f"; they are recorded a median of {days:.0f} days after it" if days >= 1 else ""),
        n_conversions=len(wins),
        events_per_day_before=pace.before,
        events_per_day_after=pace.after,
        events_per_day_late=pace.late,
        median_delay_days=days,
    )


def _pace(joined: pl.DataFrame, n_wins: int, days: int) -> _Pace:
    def per_day(first: int, last: int, *, since: str = "at") -> float:
        gap = pl.col("occurred_at") - pl.col(since)
        inside = joined.select(gap.is_between(first * _DAY, last * _DAY, closed="left").sum())
        return float(inside.item()) / (last - first) / n_wins

    # Once the win was recorded, where that was later than the days just looked at.
    is_known_later = ((joined["known_at"] - joined["at"]) >= days * _DAY).mean()
    late = [per_day(60, 90)]
    if is_known_later == 1:
        late.append(per_day(1, 14, since="known_at"))
    return _Pace(per_day(-days, -1), per_day(1, days), min(late))


def _evaluating(dataset: Dataset, leads: pl.Series) -> pl.DataFrame:
    """Return events of leads, of the types that also those have who never buy.

    What customers do after the win is no sign of an early date.
    """
    is_win = pl.col("outcome").is_in(dataset.config.conversion.outcomes)
    buyers = dataset.outcomes.filter(is_win)["lead_id"].unique()
    of_others = (~pl.col("lead_id").is_in(buyers.implode())).mean()
    shares = dataset.events.group_by("event_type").agg(share=of_others)
    types = shares.filter(pl.col("share") >= LIMITS.also_of_others)["event_type"]
    events = people_events(dataset, leads.unique().sort())
    return events.filter(pl.col("event_type").is_in(types.implode())).select(
        "lead_id", "occurred_at"
    )


def _pct(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
