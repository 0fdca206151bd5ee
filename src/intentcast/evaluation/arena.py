"""The leads that every contender of a backtest scored, in one order, to compare them on."""

import numpy as np
import polars as pl

from intentcast.evaluation.backtest import CHAMPION, BacktestResult
from intentcast.evaluation.capacity import Floats, Ints
from intentcast.evaluation.compare import PairedComparison, compare_paired
from intentcast.snapshots import account_numbers, lead_numbers


class Arena:
    """Mature test snapshots of one horizon, with every contender's scores in the same order."""

    def __init__(self, result: BacktestResult, horizon_days: int) -> None:
        mature = result.predictions.filter(
            (pl.col("horizon_days") == horizon_days) & pl.col("converted").is_not_null()
        )
        self.names: list[str] = mature["contender"].unique().sort().to_list()
        self.rows: dict[str, pl.DataFrame] = {
            name: mature.filter(pl.col("contender") == name).sort("as_of", "lead_id")
            for name in self.names
        }
        any_rows = self.rows[CHAMPION]
        keys = any_rows.select("lead_id", "as_of", "fold").join(
            result.snapshots.select("lead_id", "as_of", "account_id"),
            on=["lead_id", "as_of"],
            maintain_order="left",
        )
        self.keys = keys
        self.converted: Floats = any_rows["converted"].cast(pl.Float64).to_numpy()
        self.leads: Ints = lead_numbers(keys["lead_id"])
        self.accounts: Ints = account_numbers(keys["account_id"])
        self.times: Ints = keys["as_of"].dt.timestamp("us").to_numpy()
        self.every_days = result.dataset.config.cohort.every_days
        self.per_week = result.dataset.config.capacity.handoffs_per_week
        self.per_time = result.dataset.config.handoffs_per_time

    def score(self, name: str) -> Floats:
        """Return a contender's scores, shape (n,)."""
        return self.rows[name]["score"].to_numpy()

    def probability(self, name: str) -> Floats | None:
        """Return its probabilities, or None where it gives none."""
        column = self.rows[name]["probability"]
        return None if column.null_count() else column.to_numpy()

    @property
    def n_weeks(self) -> float:
        """Weeks that the as-of times stand for."""
        return len(np.unique(self.times)) * self.every_days / 7

    def compare(self, a: str, b: str) -> PairedComparison:
        """Hand over the same number of leads by each contender's scores; see `compare_paired`."""
        return compare_paired(
            a,
            self.score(a),
            b,
            self.score(b),
            converted=self.converted,
            leads=self.leads,
            accounts=self.accounts,
            times=self.times,
            per_time=self.per_time,
        )
