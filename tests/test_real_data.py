"""The real data sets kept beside a checkout, where they are: what the champion must reach there."""

import shutil
from pathlib import Path

import pytest

from intentcast.config import LearnerConfig, read_settings
from intentcast.evaluation.backtest import run_backtest
from intentcast.evaluation.summary import summarise
from intentcast.shipped import shipped
from intentcast.sources import load_dataset

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SETTINGS = {
    "bpi2012": """
name = "bpi2012"
[conversion]
outcomes = ["closed_won"]
closing = ["closed_lost"]
horizons_days = [30]
[cohort]
rule = "created"
within_days = 60
every_days = 7
start = 2011-11-01
end = 2012-02-08
[attributes]
numeric = ["amount_requested"]
[backtest]
first_test = 2011-12-13
folds = 1
""",
    "online_retail": """
name = "online_retail"
[conversion]
outcomes = ["order"]
recurring = true
horizons_days = [30]
[cohort]
rule = "engaged"
within_days = 180
every_days = 7
start = 2011-03-01
end = 2011-11-08
[attributes]
categorical = ["country"]
[backtest]
first_test = 2011-08-01
folds = 1
""",
}

pytestmark = pytest.mark.slow


def champion(name, folder):
    if not (SHARED / name).is_dir():
        pytest.skip(f"{name} is not beside this checkout")
    shutil.copytree(SHARED / name, folder, dirs_exist_ok=True)
    (folder / "dataset.toml").write_text(SETTINGS[name])
    config = read_settings(
        shipped("conversion.toml", in_checkout="models/conversion.toml"), LearnerConfig
    )
    result = run_backtest(load_dataset(folder), config=config, scorecards=[])
    return summarise(result)["contenders"]["champion"]


def test_the_champion_ranks_bpi2012_as_well_as_the_best_known_baselines(tmp_path):
    found = champion("bpi2012", tmp_path / "bpi2012")
    assert found["auc"] >= 0.755
    assert found["average_precision"] >= 0.575


def test_the_champion_ranks_online_retail(tmp_path):
    found = champion("online_retail", tmp_path / "online_retail")
    assert found["average_precision"] >= 0.600
