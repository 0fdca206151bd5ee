"""The champion's out-of-time predictions that have matured, as evidence for thresholds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from intentcast.config import LearnerConfig
from intentcast.errors import RefusedError
from intentcast.evaluation.backtest import CHAMPION, BacktestResult, run_backtest
from intentcast.snapshots import known_dataset
from intentcast.sources import Dataset
from intentcast.thresholds.evidence import Evidence, gather


@dataclass(frozen=True)
class OutOfTime:
    """Predictions of models that had not seen the as-of times they predict.

    Attributes:
        dataset: Cut at the moment of calibration.
        predictions: The champion's, primary horizon, matured: `lead_id`, `account_id`, `as_of`,
            `probability`, `converted`, `fold`.
        evidence: The same as arrays.
        n_folds: Models fitted.
    """

    dataset: Dataset
    predictions: pl.DataFrame
    evidence: Evidence
    n_folds: int


def known_until(dataset: Dataset, known_by: datetime) -> Dataset:
    """Return the data set as it was: nothing that became known at or after `known_by`.

    Attributes of leads and accounts stay as the tables have them, as everywhere; changes recorded
    later are left out.
    """
    cohort = dataset.config.cohort
    ends = min(cohort.end, known_by) if cohort.end else None
    config = dataset.config.model_copy(update={"cohort": cohort.model_copy(update={"end": ends})})
    return replace(
        known_dataset(dataset, known_by),
        config=config,
        leads=dataset.leads.filter(pl.col("created_at") < known_by),
        data_cutoff=min(dataset.data_cutoff, known_by),
    )


def predict_out_of_time(
    dataset: Dataset,
    *,
    known_by: datetime,
    config: LearnerConfig,
    on_progress: Callable[[str], None] | None = None,
) -> OutOfTime:
    """Refit the champion before each test window, as the backtest does, and predict in it.

    Args:
        dataset: Its `backtest` and `cohort` settings give the windows.
        known_by: The instant at which the calibration pretends to happen.
        config: `conversion.toml`.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: If a fold has too little to learn from, or no prediction has matured.
    """
    seen = known_until(dataset, known_by)
    result = run_backtest(
        seen, config=config, scorecards=[], contenders=(), on_progress=on_progress
    )
    return matured(result)


def matured(result: BacktestResult) -> OutOfTime:
    """Return the champion's predictions of a backtest whose horizon is over, as evidence.

    Raises:
        RefusedError: If there are none.
    """
    seen = result.dataset
    days = seen.config.conversion.primary_horizon_days
    champion = (
        result.predictions.filter(
            (pl.col("contender") == CHAMPION)
            & (pl.col("horizon_days") == days)
            & pl.col("converted").is_not_null()
        )
        .join(seen.leads.select("lead_id", "account_id"), on="lead_id")
        .select("lead_id", "account_id", "as_of", "probability", "converted", "fold")
        .sort("lead_id", "as_of")
    )
    if champion.is_empty():
        raise RefusedError(
            f"no out-of-time prediction whose {days} days are over by {seen.data_cutoff:%Y-%m-%d}",
            expected="predictions with known outcomes",
            next_step="set backtest.first_test earlier, or calibrate later",
        )
    evidence = gather(
        champion["probability"].to_numpy(),
        champion["converted"].to_numpy(),
        champion["lead_id"].to_numpy(),
        champion["account_id"].to_numpy(),
        champion["as_of"].dt.timestamp("us").to_numpy(),
        every_days=seen.config.cohort.every_days,
        horizon_days=days,
        now=round(seen.data_cutoff.timestamp() * 1_000_000),
    )
    return OutOfTime(seen, champion, evidence, len(result.folds))
