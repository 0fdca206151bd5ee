"""The buying stage that a lead's behaviour shows: awareness, interest, evaluation, pre-deal."""

import re
from datetime import timedelta
from typing import Annotated, Literal

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from intentcast.sources import Dataset

Stage = Literal["awareness", "interest", "evaluation", "pre-deal"]
STAGES: tuple[Stage, ...] = ("awareness", "interest", "evaluation", "pre-deal")


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
        pl.Series([""]).str.contains(pattern)
    except (re.error, pl.exceptions.ComputeError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


class StageSignal(BaseModel):
    """Behaviour that shows a stage; see `models/handoff.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Stage
    event_types: tuple[str, ...] = ()
    content: Annotated[str, AfterValidator(_compiles)] | None = None
    at_least: int = Field(default=1, ge=1)
    people: int = Field(default=1, ge=1)
    within_days: int = Field(ge=1)


def stage_snapshots(
    signals: tuple[StageSignal, ...], dataset: Dataset, snapshots: pl.DataFrame
) -> pl.Series:
    """Return each snapshot's stage: the furthest with a signal, else awareness.

    Only human events known strictly before the as-of time count, and only those that occurred in
    the signal's window `[as_of − within_days, as_of)`.

    Args:
        signals: From `models/handoff.toml`.
        dataset: Its events.
        snapshots: `lead_id`, `account_id`, `as_of`.

    Returns:
        Strings, shape (n_snapshots,).
    """
    events = (
        dataset.events.filter(~pl.col("is_machine").fill_null(value=False))
        .select("lead_id", "known_at", "occurred_at", "event_type", "content")
        .join(dataset.leads.select("lead_id", "account_id"), on="lead_id", maintain_order="left")
    )
    rows = snapshots.select("lead_id", "account_id", "as_of").with_row_index("position")
    furthest = pl.Series("stage", [0] * len(rows), dtype=pl.Int64)
    for signal in signals:
        shown = _positions(signal, events, rows)
        level = STAGES.index(signal.stage)
        is_shown = rows["position"].is_in(shown.implode())
        furthest = pl.select(
            pl.when(is_shown).then(pl.max_horizontal(furthest, pl.lit(level))).otherwise(furthest)
        ).to_series()
    return furthest.replace_strict(dict(enumerate(STAGES)), return_dtype=pl.String).alias("stage")


def _positions(signal: StageSignal, events: pl.DataFrame, rows: pl.DataFrame) -> pl.Series:
    """Return the rows that show one signal."""
    matching = events
    if signal.event_types:
        matching = matching.filter(pl.col("event_type").is_in(signal.event_types))
    if signal.content is not None:
        matching = matching.filter(pl.col("content").str.contains(signal.content))
    entity = "account_id" if signal.people > 1 else "lead_id"
    actor = matching.rename({"lead_id": "actor"}).with_columns(lead_id=pl.col("actor"))
    seen = rows.join(
        actor.drop("account_id" if entity == "lead_id" else "lead_id"), on=entity
    ).filter(
        (pl.col("known_at") < pl.col("as_of"))
        & (pl.col("occurred_at") >= pl.col("as_of") - timedelta(days=signal.within_days))
    )
    if signal.people > 1:
        # The lead itself must be among the people on that content.
        shared = seen.group_by("position", "content").agg(
            pl.col("actor").n_unique().alias("people"),
            (pl.col("actor") == pl.col("lead_id")).any().alias("own"),
        )
        enough = (
            (pl.col("people") >= signal.people) & pl.col("own") & pl.col("content").is_not_null()
        )
        return shared.filter(enough)["position"].unique()
    counted = seen.group_by("position").len()
    return counted.filter(pl.col("len") >= signal.at_least)["position"]
