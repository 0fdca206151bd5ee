"""How far a probability falls by itself: tiers are left a little below where they are entered.

The noise is measured on steps from one as-of time to the next in which nothing became known of the
lead's account: what moves the probability then is passing time alone. A tier is left where the
probability has fallen by more than nine of ten such steps do near the threshold, in log-odds. A
lead that keeps silent still leaves, after some steps; one that only trembles does not.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from intentcast.propensity.margins import logit, sigmoid
from intentcast.sources import Dataset

_SHARE = 0.9
# Without noise to measure, and at the least.
_DEFAULT, _LEAST = 0.1, 0.01
_FEWEST = 50


@dataclass(frozen=True)
class Noise:
    """How far probabilities move without news, in log-odds per step.

    Attributes:
        fall: The 90th percentile of the fall from one as-of time to the next.
        n_steps: Steps that it was measured on.
        is_measured: False where there were too few, and a default is used.
    """

    fall: float
    n_steps: int
    is_measured: bool


def quiet_steps(dataset: Dataset, predictions: pl.DataFrame) -> pl.DataFrame:
    """Return steps of leads whose account did nothing in between, within one fold.

    Args:
        dataset: Its events, outcomes and attribute changes say of whom something became known;
            machines' events do not count.
        predictions: `lead_id`, `as_of`, `probability`, `fold`.

    Returns:
        `probability` and `after`.
    """
    accounts = dataset.leads.select("lead_id", "account_id")
    seen = (
        _news(dataset, accounts)
        .sort("known_at")
        .with_columns(n_known=pl.int_range(1, pl.len() + 1).over("account_id"))
    )
    # Known strictly before as_of, as everywhere: a hair earlier on the clock of microseconds.
    at = (
        predictions.select("lead_id", "as_of", "probability", "fold")
        .join(accounts, on="lead_id")
        .with_columns(just_before=pl.col("as_of").dt.offset_by("-1us"))
        .sort("just_before", "lead_id")
    )
    counted = at.join_asof(
        seen.select("account_id", "known_at", "n_known"),
        left_on="just_before",
        right_on="known_at",
        by="account_id",
        check_sortedness=False,
    ).sort("lead_id", "as_of")
    step = pl.col("as_of").diff().over("lead_id")
    every = pl.duration(days=dataset.config.cohort.every_days)
    following = counted.with_columns(
        after=pl.col("probability").shift(-1).over("lead_id", "fold"),
        n_after=pl.col("n_known").fill_null(0).shift(-1).over("lead_id", "fold"),
        gap=step.shift(-1).over("lead_id"),
    )
    is_quiet = (pl.col("n_after") == pl.col("n_known").fill_null(0)) & (pl.col("gap") == every)
    return following.filter(is_quiet & pl.col("after").is_not_null()).select("probability", "after")


def _news(dataset: Dataset, accounts: pl.DataFrame) -> pl.DataFrame:
    """Return all that became known of an account and may move a probability: when, of whom."""
    changes = dataset.attribute_changes.rename({"recorded_at": "known_at"})
    human = dataset.events.filter(~pl.col("is_machine").fill_null(value=False))
    of_leads = [
        human.select("lead_id", "known_at"),
        dataset.outcomes.select("lead_id", "known_at"),
        changes.filter(pl.col("entity") == "lead").select("known_at", lead_id="entity_id"),
    ]
    of_accounts = changes.filter(pl.col("entity") == "account")
    return pl.concat(
        [
            *(
                part.join(accounts, on="lead_id").select("account_id", "known_at")
                for part in of_leads
            ),
            of_accounts.select("known_at", account_id="entity_id").select("account_id", "known_at"),
        ]
    )


def noise_near(threshold: float, steps: pl.DataFrame) -> Noise:
    """Return the fall of quiet steps that begin within a factor of two of the odds."""
    p, after = steps["probability"].to_numpy(), steps["after"].to_numpy()
    near = np.abs(logit(p) - logit(np.array([threshold]))) <= np.log(2)
    n = int(near.sum())
    if n < _FEWEST:
        return Noise(_DEFAULT, n, is_measured=False)
    fall = logit(p[near]) - logit(after[near])
    # "higher": a fall that was seen, the same on every machine.
    typical = float(np.quantile(fall, _SHARE, method="higher"))
    return Noise(max(_LEAST, typical), n, is_measured=True)


def leave_below(threshold: float, fall: float) -> float:
    """Return the threshold moved down by a fall in log-odds."""
    return float(sigmoid(logit(np.array([threshold])) - fall)[0])
