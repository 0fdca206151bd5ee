"""What the lead's account does: people engaged, and colleagues without the lead itself."""

import numpy as np
import polars as pl

from intentcast.features.history import build_history
from intentcast.features.kernel import DAY_US, Floats, decayed_sums, distinct_counts
from intentcast.features.spec import FeatureSpec

# Own activity is subtracted from the account's; what the two walks round differently is below this.
_DECIMALS = 9


def account_features(
    events: pl.DataFrame, snapshots: pl.DataFrame, spec: FeatureSpec, own_sums: Floats
) -> Floats:
    """Return distinct people engaged per window, then colleagues' recency-weighted sums.

    Colleagues' sum = the account's sum − the lead's own, rounded to nine decimals.

    Args:
        events: From `coded_events`.
        snapshots: `lead_id`, `account_id`, `as_of`.
        spec: Its groups, half-lives and windows.
        own_sums: The leads' own sums, shape (n_snapshots, n_groups, n_half_lives).

    Returns:
        Shape (n_snapshots, n_windows + (1 + n_themes) · n_half_lives).
    """
    looks = snapshots.select("account_id", "as_of").unique().sort("account_id", "as_of")
    place = (
        snapshots.select("account_id", "as_of")
        .join(looks.with_row_index("look"), on=["account_id", "as_of"], maintain_order="left")[
            "look"
        ]
        .to_numpy()
    )
    history = build_history(events, looks, entity="account_id")
    groups = _any_and_themes(spec)
    new_number = np.full(len(spec.groups), -1, dtype=np.int32)
    new_number[groups] = np.arange(len(groups), dtype=np.int32)
    codes = np.where(history.codes >= 0, new_number[history.codes], np.int32(-1)).astype(np.int32)
    half_lives = np.array(spec.half_lives_days) * DAY_US
    windows = np.array(spec.windows_days, dtype=np.int64) * DAY_US
    sums, _ = decayed_sums(
        history.event_bounds,
        history.snapshot_bounds,
        history.known,
        history.occurred,
        codes,
        history.weights,
        history.as_of,
        half_lives,
        len(groups),
    )
    known, occurred, person = history.ordered_by(history.lead)
    people = distinct_counts(
        history.event_bounds,
        history.snapshot_bounds,
        known,
        occurred,
        person,
        history.as_of,
        windows,
    )
    at = np.empty(len(looks), dtype=np.int64)
    at[history.snapshot] = np.arange(len(looks))
    account_sums = sums[at][place]
    colleagues = np.maximum(np.round(account_sums - own_sums[:, groups, :], _DECIMALS), 0.0)
    shape = (len(snapshots), len(groups) * len(half_lives))
    return np.hstack([people[at][place], colleagues.reshape(shape)])


def _any_and_themes(spec: FeatureSpec) -> list[int]:
    families = [family for family, _ in spec.groups]
    return [i for i, family in enumerate(families) if family in ("engagement", "theme")]
