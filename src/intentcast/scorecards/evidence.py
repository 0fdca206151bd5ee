"""What repricing learns from: snapshots with rule hits, and what became of their leads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.errors import RefusedError
from intentcast.labels import label_snapshots, matured, was_at_risk
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.hits import Floats, RuleHits, rule_hits
from intentcast.snapshots import account_numbers, build_snapshots
from intentcast.sources import Dataset


@dataclass(frozen=True)
class Hits:
    """Who was in the cohort at as-of times, and which rules they had met: no outcome yet.

    Attributes:
        snapshots: `lead_id`, `as_of`, `account_id`, sorted by lead and time.
        hits: Of the present table.
    """

    snapshots: pl.DataFrame
    hits: RuleHits


@dataclass(frozen=True)
class Evidence:
    """Rows to fit points to.

    Attributes:
        snapshots: `lead_id`, `as_of`, `account_id`, sorted by lead and time.
        hits: Of the present table.
        target: Conversions (0 or 1) or probabilities, shape (n,).
        known_by: Nothing known at or after this instant was used.
    """

    snapshots: pl.DataFrame
    hits: RuleHits
    target: Floats
    known_by: datetime

    @property
    def accounts(self) -> NDArray[np.int64]:
        """A number per account that depends on its name alone, shape (n,)."""
        return account_numbers(self.snapshots["account_id"])

    @property
    def times(self) -> NDArray[np.int64]:
        """As-of times in microseconds, shape (n,)."""
        out: NDArray[np.int64] = self.snapshots["as_of"].dt.timestamp("us").to_numpy()
        return out

    @property
    def n_converted(self) -> int:
        """Leads that converted; of probabilities, the sum of each lead's highest, rounded."""
        _, mass = self._of_leads()
        return round(float(mass.sum()))

    def at(self, keep: NDArray[np.bool_]) -> "Evidence":
        """Return some of the rows."""
        return Evidence(
            self.snapshots.filter(keep), self.hits.at(keep), self.target[keep], self.known_by
        )

    def support(self) -> list[tuple[int, int]]:
        """Return, per rule, how many leads ever met it, and how many of them converted."""
        lead, mass = self._of_leads()
        found = []
        for met in (self.hits.alone > 0).T:
            ever = np.zeros(len(mass), dtype=np.bool_)
            ever[lead[met]] = True
            found.append((int(ever.sum()), round(float(mass[ever].sum()))))
        return found

    def _of_leads(self) -> tuple[NDArray[np.int64], Floats]:
        """Return each row's lead as a number, and each lead's highest target."""
        lead = self.snapshots["lead_id"].rank("dense").to_numpy().astype(np.int64) - 1
        mass = np.zeros(int(lead.max()) + 1 if len(lead) else 0)
        np.maximum.at(mass, lead, self.target)
        return lead, mass


def gather(
    card: Scorecard, dataset: Dataset, *, times: Sequence[datetime], known_by: datetime
) -> Hits:
    """Return the rule hits at the as-of times whose primary horizon is over by `known_by`.

    Raises:
        RefusedError: If no as-of time is over by then, or nobody was in the cohort.
    """
    days = dataset.config.conversion.primary_horizon_days
    over = matured(times, dataset, known_by=known_by)
    snapshots = build_snapshots(dataset, over) if over else None
    if snapshots is None or snapshots.is_empty():
        raise RefusedError(
            f"no lead in the cohort whose {days} days are over by {known_by:%Y-%m-%d}",
            expected="outcomes to fit points to",
            next_step="wait until a horizon is over, or start the cohort earlier",
        )
    return Hits(snapshots, rule_hits(card, dataset, snapshots))


def labelled(gathered: Hits, dataset: Dataset, *, known_by: datetime) -> Evidence:
    """Add what was known of the outcomes strictly before `known_by`, where it was known.

    Leads that had converted already, as is known by then, are left out: see `was_at_risk`.
    """
    snapshots = gathered.snapshots
    days = dataset.config.conversion.primary_horizon_days
    labels = label_snapshots(snapshots, dataset, horizon_days=days, known_by=known_by)
    at_risk = was_at_risk(snapshots, dataset, known_by=known_by)
    kept = (labels.is_not_null() & at_risk).to_numpy()
    target = labels.filter(pl.Series(kept)).cast(pl.Float64).to_numpy()
    return Evidence(snapshots.filter(kept), gathered.hits.at(kept), target, known_by)
