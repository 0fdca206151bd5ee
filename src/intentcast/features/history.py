"""Engagement histories as sorted arrays of codes: what the kernel walks over."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.features.kernel import DAY_US, Floats, Ints, entity_bounds
from intentcast.features.spec import FeatureSpec
from intentcast.features.themes import ThemeModel
from intentcast.sources import Dataset


@dataclass(frozen=True)
class History:
    """Events of the entities under scrutiny, and the snapshots that look at them.

    Events are sorted by entity and `known`; ties are in the data set's canonical order.

    Attributes:
        event_bounds: Where each entity's events start, shape (n_entities + 1,).
        snapshot_bounds: Where its snapshots start, likewise.
        known: Microseconds, shape (n_events,).
        occurred: Microseconds.
        codes: Groups that each event adds to, shape (n_events, n_codings), −1 for none.
        weights: What it adds, same shape.
        lead: Number of the lead that acted.
        content: Number of the content, −1 for none.
        as_of: Microseconds, shape (n_snapshots,), sorted inside each entity.
        snapshot: Row of the snapshot table that each belongs to.
    """

    event_bounds: Ints
    snapshot_bounds: Ints
    known: Ints
    occurred: Ints
    codes: NDArray[np.int32]
    weights: Floats
    lead: Ints
    content: Ints
    as_of: Ints
    snapshot: Ints

    def ordered_by(self, key: Ints) -> tuple[Ints, Ints, Ints]:
        """Return `known`, `occurred` and `key` sorted by entity, key and `known`."""
        entity = np.repeat(np.arange(len(self.event_bounds) - 1), np.diff(self.event_bounds))
        order = np.lexsort((self.known, key, entity))
        return self.known[order], self.occurred[order], key[order]

    @property
    def day(self) -> Ints:
        """UTC day of each event."""
        return self.occurred // DAY_US


def coded_events(dataset: Dataset, spec: FeatureSpec, themes: ThemeModel) -> pl.DataFrame:
    """Return human events in canonical order with their group numbers.

    Machine events are left out here, once, so that no feature can count them.

    Returns:
        `lead_id`, `account_id`, `known_at`, `occurred_at`, `content_code`, and one column of group
        numbers per coding (`any`, `type`, `theme`, `channel`, and `valued` where values count).
    """
    events = dataset.events.filter(~pl.col("is_machine").fill_null(value=False))
    contents = events["content"].drop_nulls().unique().sort()
    theme_of = themes.assign(contents.to_list())
    content = pl.DataFrame(
        {
            "content": contents,
            "content_code": pl.Series(range(len(contents)), dtype=pl.Int64),
            "theme": pl.Series(theme_of, dtype=pl.Int32),
        }
    )
    first_type = 1
    first_theme = first_type + len(spec.type_names)
    first_channel = first_theme + len(spec.theme_names)
    valued = first_channel + len(spec.channel_names)
    columns = [
        pl.lit(0, dtype=pl.Int32).alias("any"),
        _coded("event_type", spec.event_types, first_type).alias("type"),
        (pl.col("theme") + first_theme).fill_null(-1).cast(pl.Int32).alias("theme"),
        _coded("channel", spec.channels, first_channel).fill_null(-1).alias("channel"),
    ]
    if spec.has_values:
        has_value = pl.col("value").is_not_null()
        columns.append(
            pl.when(has_value).then(pl.lit(valued)).otherwise(-1).cast(pl.Int32).alias("valued")
        )
    return (
        events.join(
            dataset.leads.select("lead_id", "account_id"), on="lead_id", maintain_order="left"
        )
        .join(content, on="content", how="left", maintain_order="left")
        .select(
            "lead_id",
            "account_id",
            "known_at",
            "occurred_at",
            pl.col("value").fill_null(0.0),
            pl.col("content_code").fill_null(-1),
            *columns,
        )
    )


def _coded(column: str, levels: tuple[str, ...], first: int) -> pl.Expr:
    """Number of the level; unseen levels share the one after the last; null stays null."""
    numbers = pl.Series(range(first, first + len(levels)), dtype=pl.Int32)
    known = (
        pl.col(column).replace_strict(
            pl.Series(levels, dtype=pl.String),
            numbers,
            default=first + len(levels),
            return_dtype=pl.Int32,
        )
        if levels
        else pl.lit(first, dtype=pl.Int32)
    )
    return pl.when(pl.col(column).is_not_null()).then(known)


def build_history(events: pl.DataFrame, snapshots: pl.DataFrame, *, entity: str) -> History:
    """Sort coded events and snapshots by `entity` (a column of both) and time.

    Events of entities without a snapshot are left out.
    """
    keys = snapshots[entity].unique().sort()
    number = pl.DataFrame({entity: keys, "entity": pl.Series(range(len(keys)), dtype=pl.Int64)})
    looked_at = (
        snapshots.select(entity, "as_of")
        .with_row_index("snapshot")
        .join(number, on=entity)
        .sort("entity", "as_of", "snapshot")
    )
    # Canonical order within a lead is kept by the stable sort; across leads of an account, equal
    # instants are ordered by lead, which canonical order already has.
    events = events.join(number, on=entity, maintain_order="left").sort(
        "entity", "known_at", maintain_order=True
    )
    codings = [name for name in ("any", "type", "theme", "channel", "valued") if name in events]
    codes = np.ascontiguousarray(events.select(codings).to_numpy().astype(np.int32))
    weights = np.ones(codes.shape)
    if "valued" in codings:
        weights[:, codings.index("valued")] = events["value"].to_numpy()
    n = len(keys)
    return History(
        event_bounds=entity_bounds(events["entity"].to_numpy(), n),
        snapshot_bounds=entity_bounds(looked_at["entity"].to_numpy(), n),
        known=_micros(events["known_at"]),
        occurred=_micros(events["occurred_at"]),
        codes=codes.reshape(len(events), len(codings)),
        weights=weights.reshape(len(events), len(codings)),
        lead=events["lead_id"].rank("dense").cast(pl.Int64).to_numpy(),
        content=events["content_code"].to_numpy(),
        as_of=_micros(looked_at["as_of"]),
        snapshot=looked_at["snapshot"].cast(pl.Int64).to_numpy(),
    )


def _micros(column: pl.Series) -> Ints:
    return np.ascontiguousarray(column.dt.timestamp("us").to_numpy().astype(np.int64))
