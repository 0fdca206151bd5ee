"""Everything that sales' decisions say, as JSON values with their denominators."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import polars as pl

from intentcast.feedback.associations import associate
from intentcast.feedback.decisions import NO_REASON, count_reasons
from intentcast.feedback.rates import accepted_rate, rates_by
from intentcast.feedback.suggestions import ANY_REASON, telling_rules, threshold_cuts
from intentcast.returns import LONGEST_REASON
from intentcast.seen import shortened
from intentcast.stages import STAGES
from intentcast.tiers import TIERS, TierPolicy

MOST_REASONS = 20
OTHER_REASONS = "other reasons"


def survey_feedback(
    judged: pl.DataFrame,
    hits: pl.DataFrame,
    *,
    tiers: TierPolicy,
    span: tuple[datetime, datetime],
    learnt_before: datetime,
) -> dict[str, Any]:
    """Return rates, reasons, what goes with them, and what they suggest.

    A reason may be free text: it is cut to one line of 80 characters, and all but the 20 commonest
    are counted together as `other reasons`.

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
    rows = rows.with_columns(_on_one_line(rows["reason"]))
    told, n_reasons = _commonest(rows["reason"])
    counts = count_reasons(told)
    reasons = {name: (told == name).fill_null(value=False).to_numpy() for name in counts["reason"]}
    marks = {}
    for item in hits["item"].unique().sort():
        met = hits.filter(pl.col("item") == item)["row"].implode()
        marks["rule", item] = rows["row"].is_in(met).to_numpy()
    for theme in rows["theme"].unique().sort():
        marks["theme", theme] = (rows["theme"] == theme).to_numpy()
    associations = associate(marks, {**reasons, ANY_REASON: rejected}, ~rejected, number)
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
        "n_reasons": n_reasons,
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


def _on_one_line(reasons: pl.Series) -> pl.Series:
    """Return the reasons, printable and bounded; a blank one is none."""
    given = reasons.drop_nulls().unique().to_list()
    lines = [shortened(text, LONGEST_REASON) or NO_REASON for text in given]
    return reasons.replace_strict(given, lines, default=None, return_dtype=pl.String)


def _commonest(reasons: pl.Series) -> tuple[pl.Series, int]:
    """Return the reasons with all but the commonest as one, and how many there were."""
    names = count_reasons(reasons)["reason"].to_list()
    kept = [*names[:MOST_REASONS], *[OTHER_REASONS] * len(names[MOST_REASONS:])]
    return reasons.replace_strict(names, kept, default=None, return_dtype=pl.String), len(names)
