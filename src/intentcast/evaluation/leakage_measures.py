"""What is measured of each column on the audited snapshots, the present cohort and conversions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentcast.evaluation.leakage_columns import Column, ColumnReader, Kind, people_events
from intentcast.evaluation.leakage_model import lost_without, together
from intentcast.evaluation.leakage_rows import AuditRows
from intentcast.evaluation.leakage_signals import (
    BinRates,
    Interval,
    bin_rates,
    clustered_auc,
    clustered_mean,
    still_there,
)
from intentcast.evaluation.leakage_timing import (
    EventStudy,
    change_study,
    event_gaps,
    event_studies,
    known_around,
    outcome_ends,
    tells_when,
)
from intentcast.evaluation.leakage_verdicts import Measured
from intentcast.evaluation.metrics import wilson
from intentcast.snapshots import account_numbers
from intentcast.sources import Dataset

# Where most accounts convert sooner or later, that all holders of a value did is no wonder.
_USUAL = 0.5
# Fewer open accounts do not tell what is missing among them.
_FEWEST_PRESENT = 30


def measure_columns(
    dataset: Dataset, rows: AuditRows, say: Callable[[str], None]
) -> tuple[list[Measured], tuple[float, float]]:
    """Return what was measured of each column, and the average precision of all together.

    Args:
        dataset: To audit.
        rows: What is looked at; both classes must be there.
        say: Called with what is being done.

    Returns:
        One entry per column; average precision as of the snapshots, and one day later.
    """
    events = people_events(dataset, rows.leads)
    reader = ColumnReader(dataset, rows.snapshots, events, rows.leads)
    columns = reader.columns
    say(f"leakage audit of {len(columns)} columns on {len(rows.snapshots):,} snapshots")
    if not columns:
        return [], (float("nan"), float("nan"))
    bins = reader.bins(rows.snapshots)
    ahead = reader.bins(rows.ahead())
    present = reader.bins(rows.present)
    present_accounts = account_numbers(rows.present["account_id"])
    gaps = event_gaps(dataset, events)
    is_recurring = dataset.config.conversion.recurring
    studies: dict[Column, EventStudy] = {}
    for kind, counts in reader.counts.items():
        mine = [column for column in columns if column.kind == kind]
        found = event_studies(rows, counts, mine, gaps, is_recurring=is_recurring)
        studies |= {column: found[column.name] for column in mine}
    usual = _usual_at_outcome(studies)
    attributes = [column.name for column in columns if column.kind == "attribute"]
    fills = known_around(dataset, rows, attributes)
    ends = outcome_ends(dataset)
    y, clusters = rows.converted, rows.clusters
    rates = [bin_rates(row, y, clusters) for row in bins]
    rates_ahead = [bin_rates(row, y, clusters) for row in ahead]
    table = np.array([rate.of_row for rate in rates])
    table_ahead = np.array([rate.of_row for rate in rates_ahead])
    lost, whole = lost_without(table, y, clusters)
    out = []
    for j, column in enumerate(columns):
        is_attribute = column.kind == "attribute"
        auc = clustered_auc(y, rates[j].of_row, clusters)
        has = bins[j] > 0
        # Of events, whether there is one: how many depends on how long a lead has been known.
        past, now = (bins[j], present[j]) if is_attribute else (has * 1, (present[j] > 0) * 1)
        out.append(
            Measured(
                column=column,
                auc=auc,
                gain_ahead=clustered_auc(y, rates_ahead[j].of_row, clusters).value - auc.value,
                known=float(has[y > 0].mean()),
                known_others=float(has[y == 0].mean()),
                known_present=float((present[j] > 0).mean()) if present[j].size else float("nan"),
                holders_convert=clustered_mean(y, has.astype(np.float64), clusters).low,
                base_rate=float(y.mean()),
                certain=_certain(past, now, rows, present_accounts),
                still_there=_still(bin_rates(past, y, clusters), past, now, rows, present_accounts),
                average_precision_lost=float(lost[j]),
                study=studies.get(column),
                usual_at_outcome=usual[column.kind] if not is_attribute else 0.0,
                changes=change_study(dataset, ends, column.name)
                if is_attribute and column.is_dated
                else None,
                known_around=fills[column.name] if is_attribute else None,
                tells_when=tells_when(dataset, ends, column.name) if is_attribute else None,
                recurring=is_recurring,
            )
        )
    return out, (whole, together(table_ahead, y, clusters))


def _still(
    rates: BinRates,
    past: NDArray[np.int64],
    now: NDArray[np.int64],
    rows: AuditRows,
    accounts: NDArray[np.int64],
) -> Interval:
    told, alike = rates.at(past), rows.alike
    if len(np.unique(accounts[alike.present])) < _FEWEST_PRESENT:
        return Interval(float("nan"), float("-inf"), float("inf"))
    return still_there(
        clustered_mean(told, alike.past, rows.clusters),
        clustered_mean(told, alike.never, rows.clusters),
        clustered_mean(
            rates.at(now), alike.present.astype(np.float64), accounts, least_sd=float(told.std())
        ),
    )


def _certain(
    past: NDArray[np.int64],
    now: NDArray[np.int64],
    rows: AuditRows,
    accounts: NDArray[np.int64],
) -> tuple[int, int]:
    """Return of how many accounts that ever showed a value how many converted; the surest value."""
    bins = np.concatenate([past, now])
    owner = np.concatenate([rows.clusters, accounts])
    # Of those open now it is not known yet; where a value tells in advance, some have it.
    never = np.concatenate([rows.never, np.ones(len(now), dtype=np.bool_)])
    best = (0, 0)
    n_won, n_accounts = len(np.unique(owner[~never])), len(np.unique(owner))
    if n_won > _USUAL * n_accounts:
        return best
    for value in range(1, int(bins.max(initial=0)) + 1):
        has = bins == value
        holders = np.unique(owner[has])
        won = np.unique(owner[has & ~never])
        best = max(best, (len(won), len(holders)), key=lambda one: wilson(*one)[0] if one[1] else 0)
    return best


def _usual_at_outcome(studies: dict[Column, EventStudy]) -> dict[Kind, float]:
    """Return the median share of occurrences near conversions, per kind."""
    out: dict[Kind, float] = {}
    for kind in ("event type", "channel"):
        shares = [study.at_outcome for column, study in studies.items() if column.kind == kind]
        out[kind] = float(np.median(shares)) if len(shares) > 2 else 0.0
    return out


def figures_of(seen: Measured) -> dict[str, Any]:
    """Return a column's figures as JSON values; None for what the data do not define."""
    study, changes, when = seen.study, seen.changes, seen.tells_when
    figures: dict[str, Any] = {
        "auc": finite(seen.auc.value),
        "auc_low": finite(seen.auc.low),
        "auc_high": finite(seen.auc.high),
        "auc_gain_one_day_ahead": finite(seen.gain_ahead),
        "known_converters": finite(seen.known),
        "known_others": finite(seen.known_others),
        "known_present": finite(seen.known_present),
        "signal_left_in_present": finite(seen.still_there.value),
        "signal_left_low": finite(seen.still_there.low),
        "signal_left_high": finite(seen.still_there.high),
        "accounts_with_surest_value": seen.certain[1],
        "accounts_of_them_converted": seen.certain[0],
        "average_precision_lost": finite(seen.average_precision_lost),
        "is_dated": seen.column.is_dated,
    }
    if study:
        figures |= {
            "per_week_around_conversion": [finite(x) for x in study.per_week],
            "per_week_others": [finite(x) for x in study.others_per_week],
            "had_a_day_before": finite(study.has_day_before),
            "had_a_day_after": finite(study.has_day_after),
            "share_at_conversion": finite(study.at_outcome),
        }
    if changes:
        figures |= {"share_changed_after_outcome": changes.after_outcome}
    if seen.known_around:
        figures |= {"known_around_conversion": [finite(x) for x in seen.known_around]}
    if when:
        figures |= {"correlation_with_outcome_date": finite(when[0])}
    return figures


def finite(value: float) -> float | None:
    """Return a figure as a JSON value: None where it is not finite."""
    return value if math.isfinite(value) else None
