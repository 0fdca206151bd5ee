"""Which snapshots the leakage audit looks at: mature ones, the present cohort, conversions."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.contracts import INSTANT
from intentcast.labels import label_snapshots, matured, was_at_risk
from intentcast.snapshots import account_numbers, as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset

_MAX_ANCHORS = 4000
_FEWEST_TIMES = 8


@dataclass(frozen=True)
class Alike:
    """Leads of the same age, then and now, so that past and present can be compared.

    Attributes:
        past: Weight of each snapshot, shape (n,); ages are then as in the present cohort.
        never: Likewise, of the snapshots of leads that never convert; 0 for the others.
        present: Which present leads have such a past to be compared with.
    """

    past: NDArray[np.float64]
    never: NDArray[np.float64]
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class AuditRows:
    """What is audited.

    Attributes:
        snapshots: Mature, of leads at risk: `lead_id`, `account_id`, `as_of`.
        converted: 0 or 1 within the primary horizon, shape (n,).
        never: Whether the lead never converts in the data, shape (n,).
        clusters: Account numbers, shape (n,).
        present: The cohort at the data cut-off: nobody in it has converted yet.
        conversions: `lead_id`, `account_id`, `at`: one row per conversion of a lead that is looked
            at, at most 4,000.
        others: Likewise, a snapshot each of leads that never convert: what is usual.
        leads: Everyone who is looked at, sorted.
        share: Of the cohort's snapshots that are audited.
        alike: Which of the present leads are compared with the past, and how it is weighted.
    """

    snapshots: pl.DataFrame
    converted: NDArray[np.float64]
    never: NDArray[np.bool_]
    clusters: NDArray[np.int64]
    present: pl.DataFrame
    conversions: pl.DataFrame
    others: pl.DataFrame
    leads: pl.Series
    share: float
    alike: "Alike"

    def ahead(self, days: int = 1) -> pl.DataFrame:
        """Return the snapshots with as-of times that many days later."""
        return self.snapshots.with_columns(pl.col("as_of") + timedelta(days=days))


def audit_rows(dataset: Dataset, *, max_rows: int) -> AuditRows:
    """Choose what is audited: every k-th as-of time, then whole accounts by their number.

    The choice depends on names and times alone, never on chance or on the order of rows.
    """
    snapshots, share = _sampled(dataset, max_rows)
    conversion = dataset.config.conversion
    cutoff = dataset.data_cutoff
    label = label_snapshots(
        snapshots, dataset, horizon_days=conversion.primary_horizon_days, known_by=cutoff
    )
    kept = label.is_not_null() & was_at_risk(snapshots, dataset, known_by=cutoff)
    snapshots, label = snapshots.filter(kept), label.filter(kept)
    present = build_snapshots(dataset, [cutoff])
    if len(present) > max_rows:
        present = present.filter(_accounts_to_keep(present, max_rows))
    wins = dataset.outcomes.filter(pl.col("outcome").is_in(conversion.outcomes))
    ever = wins["lead_id"].unique()
    accounts = dataset.leads.select("lead_id", "account_id")
    conversions = (
        wins.filter(pl.col("lead_id").is_in(snapshots["lead_id"].unique().implode()))
        .select("lead_id", at="occurred_at")
        .unique()
        .sort("lead_id", "at")
        .join(accounts, on="lead_id", maintain_order="left")
    )
    if not conversion.recurring:
        conversions = conversions.unique("lead_id", keep="first", maintain_order=True)
    never = ~snapshots["lead_id"].is_in(ever.implode())
    others = (
        snapshots.filter(never)
        .group_by("lead_id", maintain_order=True)
        .agg(pl.col("account_id").first(), at=pl.col("as_of").gather(pl.len() // 2).first())
    )
    return AuditRows(
        snapshots=snapshots,
        converted=label.cast(pl.Float64).to_numpy(),
        never=never.to_numpy(),
        clusters=account_numbers(snapshots["account_id"]),
        present=present,
        conversions=_every_kth(conversions, _MAX_ANCHORS),
        others=_every_kth(others, _MAX_ANCHORS),
        leads=pl.concat([snapshots["lead_id"], present["lead_id"]]).unique().sort(),
        share=share,
        alike=_alike(dataset, snapshots, never.to_numpy(), present),
    )


def _alike(
    dataset: Dataset, snapshots: pl.DataFrame, never: NDArray[np.bool_], present: pl.DataFrame
) -> Alike:
    """Match by age since creation, in bins half as wide again as the one before.

    A present lead that was itself in the past at that age is left out: in a closed panel, whoever
    tends to convert has left, and those still there are the very leads that never did.
    """
    born = dataset.leads.select("lead_id", "created_at")

    def binned(frame: pl.DataFrame) -> pl.DataFrame:
        days = (pl.col("as_of") - pl.col("created_at")).dt.total_hours() / 24
        place = (days.clip(7.0) / 7.0).log(1.5).floor().cast(pl.Int64)
        return frame.join(born, on="lead_id", how="left", maintain_order="left").select(
            "lead_id", age=place
        )

    past, now = binned(snapshots), binned(present)
    own = past.unique().with_columns(is_own=True)
    is_new = ~now.join(own, on=["lead_id", "age"], how="left", maintain_order="left")[
        "is_own"
    ].fill_null(value=False)
    ages, ages_now = past["age"].to_numpy(), now["age"].to_numpy()
    size = int(max(ages.max(initial=0), ages_now.max(initial=0))) + 1
    n_never = np.bincount(ages[never], minlength=size)
    n_past = np.bincount(ages, minlength=size)
    kept = is_new.to_numpy() & (n_never[ages_now] > 0) & (n_past[ages_now] > n_never[ages_now])
    n_now = np.bincount(ages_now[kept], minlength=size)
    of_past = (n_now / np.maximum(n_past, 1))[ages]
    of_never = np.where(never, (n_now / np.maximum(n_never, 1))[ages], 0.0)
    return Alike(of_past, of_never, kept)


def _sampled(dataset: Dataset, max_rows: int) -> tuple[pl.DataFrame, float]:
    span = cohort_span(dataset)
    times = as_of_times(span, dataset.config.cohort.every_days)
    mature = matured(times, dataset, known_by=dataset.data_cutoff)
    if not mature:
        columns = {"lead_id": pl.String(), "as_of": INSTANT, "account_id": pl.String()}
        return pl.DataFrame(schema=columns), 1.0
    # One cohort tells about how large all are, without building them all.
    probe = len(build_snapshots(dataset, [mature[len(mature) // 2]]))
    most = max(1, len(mature) // _FEWEST_TIMES)
    step = min(max(1, -(-probe * len(mature) // max_rows)), most)
    snapshots = build_snapshots(dataset, mature[::-1][::step])
    share = 1.0 / step
    if len(snapshots) > max_rows:
        keep = _accounts_to_keep(snapshots, max_rows)
        share *= float(keep.mean())  # type: ignore[arg-type]
        snapshots = snapshots.filter(keep)
    return snapshots, share


def _accounts_to_keep(snapshots: pl.DataFrame, max_rows: int) -> pl.Series:
    """Return which rows are of accounts whose number, a hash of the name, falls into the share."""
    parts = 10_000
    share = int(parts * max_rows / len(snapshots))
    return pl.Series(account_numbers(snapshots["account_id"]) % parts < share)


def _every_kth(frame: pl.DataFrame, most: int) -> pl.DataFrame:
    return frame.gather_every(max(1, -(-len(frame) // most)))
