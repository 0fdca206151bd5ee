"""How near a points table comes to the model it was distilled from, on leads of later times."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from intentcast.evaluation.capacity import handed_over
from intentcast.scorecards import Scorecard, score_snapshots
from intentcast.scorecards.hits import Floats
from intentcast.sources import Dataset
from intentcast.tiers import TierPolicy


@dataclass(frozen=True)
class Agreement:
    """Table and model on the same snapshots.

    Attributes:
        rank_correlation: Spearman's, ties averaged, of scores and probabilities; the mean over
            as-of times, weighted by leads. NaN where either never differs between leads.
        same_tier: Share of snapshots in the same of hot, warm and cold by both; leads that are out
            by the table are left out.
        top_overlap: Share of the leads that either would hand over at one as-of time that both
            would, the mean over as-of times; nobody counts as handed over before.
        top_size: How many leads that was.
        n_snapshots: Compared.
        n_times: As-of times.
    """

    rank_correlation: float
    same_tier: float
    top_overlap: float
    top_size: float
    n_snapshots: int
    n_times: int

    def to_json(self) -> dict[str, Any]:
        """Return the agreement as JSON values; null where a figure is not defined."""
        return {
            name: None if isinstance(value, float) and np.isnan(value) else value
            for name, value in asdict(self).items()
        }


def agreement(
    card: Scorecard,
    dataset: Dataset,
    snapshots: pl.DataFrame,
    probabilities: Floats,
    *,
    tiers: TierPolicy,
    top_size: float,
) -> Agreement:
    """Compare a table with a model.

    Args:
        card: The points table.
        dataset: Holds the leads.
        snapshots: `lead_id`, `as_of`, `account_id`; at least one.
        probabilities: The model's, shape (n,).
        tiers: The model's thresholds.
        top_size: Leads that sales can take at an as-of time.
    """
    scored = score_snapshots(card, dataset, snapshots)
    score = scored["score"].to_numpy()
    in_table = scored["tier"].to_numpy()
    in_model = np.array(tiers.tiers(probabilities))
    # A points table has no list of leads to leave alone: cold is its lowest class.
    in_model[in_model == "deprioritised"] = "cold"
    is_in = in_table != "out"
    times = snapshots["as_of"].dt.timestamp("us").to_numpy()
    correlations, overlaps, sizes = [], [], []
    for time in np.unique(times):
        here = times == time
        n = int(here.sum())
        correlations.append((_rank_correlation(score[here], probabilities[here]), n))
        a, b = handed_over(
            [score[here], probabilities[here]],
            np.zeros(n),
            np.arange(n),
            times[here],
            per_time=top_size,
        )
        overlaps.append(float(np.minimum(a, b).sum() / a.sum()))
        sizes.append(float(a.sum()))
    known = [(value, n) for value, n in correlations if not np.isnan(value)]
    total = sum(n for _, n in known)
    return Agreement(
        rank_correlation=sum(v * n for v, n in known) / total if total else float("nan"),
        same_tier=float((in_table == in_model)[is_in].mean()) if is_in.any() else float("nan"),
        top_overlap=float(np.mean(overlaps)),
        top_size=float(np.mean(sizes)),
        n_snapshots=len(snapshots),
        n_times=len(sizes),
    )


def _rank_correlation(a: Floats, b: Floats) -> float:
    ranks = [pl.Series(x).rank("average").to_numpy() for x in (a, b)]
    left, right = (rank - rank.mean() for rank in ranks)
    size = float(np.sqrt((left * left).sum() * (right * right).sum()))
    return float((left * right).sum()) / size if size > 0 else float("nan")
