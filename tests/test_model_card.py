"""The card is of the bundle's own files: what is in it is in them."""

import json

import pytest

from intentcast.model_card import bundle_card, model_card
from tests.test_report import summary
from tests.tiny_world import tiny_bundle, tiny_bundle_folder, tiny_config


def parts():
    folder = tiny_bundle_folder()
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return tiny_bundle().manifest, files


def test_the_bundles_card_is_what_its_own_files_give():
    manifest, files = parts()
    unversioned = {k: v for k, v in manifest.items() if k not in ("version", "created")}
    assert files["model_card.md"].decode() == model_card(unversioned, files)


def test_it_says_what_it_learnt_from_how_well_and_who_may_be_misled():
    manifest, files = parts()
    metrics = json.loads(files["metrics.json"])
    card = bundle_card(tiny_bundle_folder())
    for words in (
        "# Model card: tiny\n",
        "reaches closed_won within 30, 90 days",
        "| learnt from what was known before | 2026-01-01 00:00 UTC |",
        f"| training snapshots | {manifest['n_snapshots']:,} |",
        f"| of them converted within 90 days | {manifest['n_converted']:,} |",
        "| cohort | leads with an event in the last 180 days, every 28 days |",
        f"Step: **{metrics['step']}**. {metrics['reason']}.",
        f"| 30 d | {metrics['horizons']['30']['base_rate']:.4f} |",
        f"| 90 d | {metrics['horizons']['90']['base_rate']:.4f} |",
        "## Intended use",
        "## Limits: who may be misled",
        f"Version {manifest['version']}, ",
    ):
        assert words in card
    assert "## Backtest" not in card


def test_features_are_counted_by_family_and_the_families_that_are_off_are_not_there():
    card = bundle_card(tiny_bundle_folder())
    [line] = [line for line in card.splitlines() if line.startswith("| features |")]
    counts = [
        int(part.split()[-1]) for part in line.partition("(")[2].partition(")")[0].split(", ")
    ]
    assert sum(counts) == tiny_bundle().manifest["n_features"]
    assert tiny_config().features.without == ("consistency",)
    assert "consistency" not in line


def test_a_backtests_figures_are_added_where_there_is_one():
    report = summary()
    card = bundle_card(tiny_bundle_folder(), backtest=report)
    assert "## Backtest" in card
    assert f"| AUC | {report['contenders']['champion']['auc']:.3f} |" in card


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accepted_leaks": ["deal_stage"]}, "| leaks accepted by name | deal_stage |"),
        ({"reason": "Because"}, ". Because."),
    ],
)
def test_the_card_follows_the_metrics(change, words):
    manifest, files = parts()
    metrics = json.loads(files["metrics.json"]) | change
    assert words in model_card(manifest, files | {"metrics.json": json.dumps(metrics).encode()})
