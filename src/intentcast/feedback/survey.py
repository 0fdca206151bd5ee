"""Everything that sales' decisions say, as JSON values with their denominators."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import polars as pl

from intentcast.feedback.associations import associate
from intentcast.feedback.rates import accepted_rate, rates_by
from intentcast.feedback.suggestions import ANY_REASON, telling_rules, threshold_cuts
from intentcast.stages import STAGES
from intentcast.tiers import TIERS, TierPolicy


def survey_feedback(
    judged: pl.DataFrame,
    hits: pl.DataFrame,
    *,
    tiers: TierPolicy,
    span: tuple[datetime, datetime],
    learnt_before: datetime,
) -> dict[str, Any]:
    """Return rates, reasons, what goes with them, and what they suggest.

    Args:
        judged: From `decisions`, with `probability`, `tier`, `stage`, `theme` and `converted`
            (null where the horizon is not over) of each.
        hits: From `rule_hits`; `row` is a position in `judged`.
        tiers: The thresholds that the tiers come from.
        span: From when until when decisions were looked for.
        learnt_before: The model learnt from what was known before.
    """
    # The order decides which permutations are drawn: it must not be that of the caller's rows.
    rows = (
        judged.with_row_index("row")
        .sort("account_id", "as_of", "lead_id")
        .with_columns(pl.col("account_id").rank("dense").cast(pl.Int64).alias("account"))
    )
    rejected, number = rows["is_rejected"].to_numpy(), rows["account"].to_numpy()
    n_weeks = max((span[1] - span[0]).total_seconds() / 604_800, 1.0)
    counts = (
        rows["reason"]
        .drop_nulls()
        .value_counts()
        .sort(["count", "reason"], descending=[True, False])
    )
    reasons = {
        name: (rows["reason"] == name).fill_null(value=False).to_numpy()
        for name in counts["reason"]
    }
    marks = {}
    for item in hits["item"].unique().sort():
        met = hits.filter(pl.col("item") == item)["row"].implode()
        marks["rule", item] = rows["row"].is_in(met).to_numpy()
    for theme in rows["theme"].unique().sort():
        marks["theme", theme] = (rows["theme"] == theme).to_numpy()
    associations = associate(marks, {ANY_REASON: rejected, **reasons}, ~rejected, number)
    cuts = threshold_cuts(rows, hot=tiers.hot, n_weeks=n_weeks)
    overall = accepted_rate("all", rejected, number)
    kept = tiers.deprioritise is not None
    shown = TIERS[::-1] if kept else TIERS[:0:-1]
    return {
        "from": span[0].isoformat(),
        "to": span[1].isoformat(),
        "n_weeks": n_weeks,
        "n_leads": rows["lead_id"].n_unique(),
        "learnt_before": learnt_before.isoformat(),
        "n_perhaps_learnt_from": int((rows["as_of"] < learnt_before).sum()),
        "horizon_days": tiers.horizon_days,
        "hot": tiers.hot,
        "warm": tiers.warm,
        "overall": asdict(overall),
        "tiers": [asdict(rate) for rate in rates_by(rows, "tier", shown)],
        "stages": [asdict(rate) for rate in rates_by(rows, "stage", STAGES[::-1])],
        "reasons": [
            {"reason": name, "n_rejected": n, "share": n / overall.n_rejected}
            for name, n in counts.iter_rows()
        ],
        "n_tested": sum(row.p is not None for row in associations),
        "associations": [{**asdict(row), "share": row.share} for row in associations],
        "thresholds": [asdict(cut) for cut in cuts],
        "telling_rules": [row.mark for row in telling_rules(associations)],
        "selection": "Only leads that were handed over are decided on.",
    }
