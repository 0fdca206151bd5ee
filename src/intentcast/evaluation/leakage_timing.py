"""How columns move around the outcome: occurrences by days to it, and values changed after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from intentcast.evaluation.leakage_columns import Column, GroupCounts
from intentcast.evaluation.leakage_rows import AuditRows
from intentcast.snapshots import attributes_as_of
from intentcast.sources import Dataset, as_text

# Days from the outcome at which occurrences so far are counted; the windows lie between them.
OFFSETS_DAYS = (-90, -30, -7, -1, 0, 1, 7, 30)
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass(frozen=True)
class EventStudy:
    """Occurrences of an event type or channel around conversions.

    Attributes:
        per_week: Occurrences per conversion and week in each window between `OFFSETS_DAYS`.
        others_per_week: The same around a moment in the life of leads that never convert.
        has_day_before: Share of conversions with one known a day before.
        has_day_after: Share with one known a day after; where conversions recur, at its instant.
        at_outcome: Of all occurrences of the audited leads, the share within a day of a
            conversion; where conversions recur, before it.
        known_first: Of those, the share known an hour or more before the conversion was.
    """

    per_week: tuple[float, ...]
    others_per_week: tuple[float, ...]
    has_day_before: float
    has_day_after: float
    at_outcome: float
    known_first: float


def event_gaps(dataset: Dataset, events: pl.DataFrame) -> pl.DataFrame:
    """Return `event_type` and `channel` of events, and how they lie to the lead's nearest win.

    Returns:
        Also `is_near`, within a day of the win (where wins recur, in the day before it), and
        `is_first`: near, and known an hour or more before the win was.
    """
    wins = dataset.outcomes.filter(
        pl.col("outcome").is_in(dataset.config.conversion.outcomes)
    ).select("lead_id", won_at="occurred_at", won_known_at="known_at")
    latest = -timedelta(microseconds=1) if dataset.config.conversion.recurring else _DAY
    is_near = (pl.col("occurred_at") - pl.col("won_at")).is_between(-_DAY, latest)
    is_known_first = pl.col("known_at") + _HOUR <= pl.col("won_known_at")
    return (
        events.select("lead_id", "occurred_at", "known_at", "event_type", "channel")
        .sort("occurred_at", maintain_order=True)
        .join_asof(
            wins.sort("won_at", maintain_order=True),
            left_on="occurred_at",
            right_on="won_at",
            by="lead_id",
            strategy="nearest",
            check_sortedness=False,
        )
        .with_columns(is_near=is_near.fill_null(value=False))
        .select(
            "event_type",
            "channel",
            "is_near",
            is_first=pl.col("is_near") & is_known_first,
        )
    )


def event_studies(
    rows: AuditRows,
    counts: GroupCounts,
    columns: list[Column],
    gaps: pl.DataFrame,
    *,
    is_recurring: bool,
) -> dict[str, EventStudy]:
    """Return the study of each event type or channel, all of one kind.

    Args:
        rows: What is audited.
        counts: Of the kind.
        columns: All of one kind.
        gaps: `event_gaps`.
        is_recurring: Whether conversions recur.
    """
    if not columns:
        return {}
    source = "event_type" if columns[0].kind == "event type" else "channel"
    shares = gaps.group_by(source).agg(pl.len(), pl.col("is_near").sum(), pl.col("is_first").sum())
    by_group = {group: (n, k, m) for group, n, k, m in shares.iter_rows()}
    out = {}
    for column in columns:
        n, k, m = by_group[column.name]
        at_win = _counts(counts, column.name, rows.conversions)
        elsewhere = _counts(counts, column.name, rows.others)
        after = OFFSETS_DAYS.index(0 if is_recurring else 1)
        out[column.name] = EventStudy(
            per_week=_per_week(at_win),
            others_per_week=_per_week(elsewhere),
            has_day_before=_share(at_win[OFFSETS_DAYS.index(-1)] > 0),
            has_day_after=_share(at_win[after] > 0),
            at_outcome=k / n,
            known_first=m / max(k, 1),
        )
    return out


def _counts(counts: GroupCounts, group: str, anchors: pl.DataFrame) -> list[np.ndarray]:
    leads, at = anchors["lead_id"], anchors["at"]
    return [counts.before(group, leads, at + timedelta(days=days)) for days in OFFSETS_DAYS]


def _share(mask: np.ndarray) -> float:
    return float(mask.mean()) if len(mask) else float("nan")


def _per_week(counts: list[np.ndarray]) -> tuple[float, ...]:
    spans = np.diff(OFFSETS_DAYS)
    if not len(counts[0]):
        return tuple(float("nan") for _ in spans)
    means = np.diff([float(c.mean()) for c in counts])
    return tuple(float(mean * 7 / days) for mean, days in zip(means, spans, strict=True))


@dataclass(frozen=True)
class ChangeStudy:
    """Changes of one attribute.

    Attributes:
        n_changes: Recorded, of entities that have an outcome.
        after_outcome: Share of them recorded at or after the entity's first outcome that counts
            as conversion or closing.
        holds_latest: Of entities whose first recorded change came after they were created, the
            share whose row in leads or accounts holds the latest value: then, before that change, a
            later value shows.
        n_changed: Those entities.
        at_conversion: Share of the changes within a day of a conversion and known before it was.
    """

    n_changes: int
    after_outcome: float
    holds_latest: float
    n_changed: int
    at_conversion: float


def outcome_ends(dataset: Dataset) -> dict[str, pl.DataFrame]:
    """Return when leads and accounts came to an end, by `lead_id` and by `account_id`.

    Returns:
        Frames of `entity_id`, `ended_at` (the first conversion or closing), and `won_at` and
        `won_known_at` (the first conversion; null without one).
    """
    conversion = dataset.config.conversion
    is_win = pl.col("outcome").is_in(conversion.outcomes)
    ended = dataset.outcomes.filter(is_win | pl.col("outcome").is_in(conversion.closing)).join(
        dataset.leads.select("lead_id", "account_id"), on="lead_id"
    )
    return {
        key: ended.group_by(entity_id=key).agg(
            ended_at=pl.col("occurred_at").min(),
            won_at=pl.col("occurred_at").filter(is_win).min(),
            won_known_at=pl.col("known_at").filter(is_win).min(),
        )
        for key in ("lead_id", "account_id")
    }


def change_study(dataset: Dataset, ends: Mapping[str, pl.DataFrame], attribute: str) -> ChangeStudy:
    """Return how an attribute's recorded changes lie to the outcome, given `outcome_ends`."""
    is_lead = attribute in dataset.leads.columns
    key, table = ("lead_id", dataset.leads) if is_lead else ("account_id", dataset.accounts)
    changes = dataset.attribute_changes.filter(
        (pl.col("attribute") == attribute) & (pl.col("entity") == key.removesuffix("_id"))
    ).with_columns(as_text("value", pl.String()).alias("value"))
    dated = changes.join(ends[key], on="entity_id")
    near = dated.filter(
        (pl.col("recorded_at") - pl.col("won_at")).is_between(-_DAY, _DAY)
        & (pl.col("recorded_at") + _HOUR <= pl.col("won_known_at"))
    )
    late = dated.filter(pl.col("recorded_at") >= pl.col("ended_at"))
    values = table.select(
        pl.col(key).alias("entity_id"), as_text(attribute, table.schema[attribute]).alias("now")
    )
    born = dataset.leads.group_by(pl.col(key).alias("entity_id")).agg(pl.col("created_at").min())
    last = (
        changes.group_by("entity_id")
        .agg(pl.col("value").last(), since=pl.col("recorded_at").min())
        .join(values, on="entity_id")
        .join(born, on="entity_id")
        .filter(pl.col("since") > pl.col("created_at"))
    )
    same = last.filter(pl.col("value").eq_missing(pl.col("now")))
    return ChangeStudy(
        n_changes=len(dated),
        after_outcome=len(late) / len(dated) if len(dated) else 0.0,
        holds_latest=len(same) / len(last) if len(last) else 0.0,
        n_changed=len(last),
        at_conversion=len(near) / len(dated) if len(dated) else 0.0,
    )


def known_around(
    dataset: Dataset, rows: AuditRows, attributes: Sequence[str]
) -> dict[str, tuple[float, ...]]:
    """Return the share of conversions at which each attribute is known, by `OFFSETS_DAYS`.

    Of an attribute without recorded changes it is the same at any time, which is all that the data
    can say.
    """
    if not attributes:
        return {}
    shares = []
    for days in OFFSETS_DAYS:
        at = rows.conversions.with_columns(as_of=pl.col("at") + timedelta(days=days))
        values = attributes_as_of(dataset, at, attributes)
        shares.append(values.select(pl.all().is_not_null().mean()))
    return {name: tuple(share[name][0] for share in shares) for name in attributes}


def tells_when(
    dataset: Dataset, ends: Mapping[str, pl.DataFrame], attribute: str
) -> tuple[float, int]:
    """Return how far an attribute's digits rise with the date of the outcome, and from how many.

    The partial rank correlation (Spearman) of the number that the value's digits make with the
    time of the lead's conversion or closing, given when the lead was created: an honest running
    number rises with creation and has no more to tell; one given out on the win has. Of all leads
    with an outcome and of converters alone, the stronger.

    Args:
        dataset: To audit.
        ends: `outcome_ends`.
        attribute: Which.

    Returns:
        Correlation in [−1, 1], NaN from fewer than 30 leads or from fewer than 10 values; n leads.
    """
    key = "lead_id" if attribute in dataset.leads.columns else "account_id"
    table = dataset.leads if key == "lead_id" else dataset.accounts
    text = as_text(attribute, table.schema[attribute])
    if attribute not in dataset.config.attributes.numeric:
        # Beyond 18 digits a number is no longer told from its neighbour.
        text = text.str.replace_all(r"\D", "").str.head(18)
    values = table.select(key, text.cast(pl.Float64, strict=False).alias("number"))
    ended = (
        dataset.leads.select("lead_id", "account_id", "created_at")
        .join(ends["lead_id"], left_on="lead_id", right_on="entity_id")
        .join(values, on=key)
        .drop_nulls("number")
        .filter(pl.col("number").is_finite())
    )
    found = [_partial_rank(part) for part in (ended, ended.drop_nulls("won_at"))]
    return max(found, key=lambda one: (abs(one[0]) if one[0] == one[0] else -1.0, one[1]))


def _partial_rank(ended: pl.DataFrame) -> tuple[float, int]:
    n = len(ended)
    if n < 30 or ended["number"].n_unique() < 10:
        return float("nan"), n
    ranks = ended.select(pl.col("number", "ended_at", "created_at").rank("average")).to_numpy()
    ranks -= ranks.mean(axis=0)
    # What is left of each once creation is taken out; all of it where creation does not vary.
    created = ranks[:, 2]
    size = float(created @ created)
    rest = ranks[:, :2] - np.outer(created, created @ ranks[:, :2] / size) if size else ranks[:, :2]
    scale = float(np.sqrt((rest[:, 0] @ rest[:, 0]) * (rest[:, 1] @ rest[:, 1])))
    return (float(rest[:, 0] @ rest[:, 1]) / scale if scale > 1e-6 * n else float("nan")), n
