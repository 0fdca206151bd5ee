"""Calibration by segment: found where it is off, not where it is not, of however many."""

from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.evaluation.arena import Arena
from intentcast.evaluation.segment_words import segment_in_words, segment_verdict
from intentcast.evaluation.segments import (
    STAGE,
    _quarters,
    design_effect,
    holm,
    judge_level,
    segment_rows,
)
from tests.fixtures_world import backtested, handoff_settings


def drawn(seed, n, *, off=0.0, per_account=1):
    """Return outcomes of true probability p + `off`, p, and accounts that share their luck."""
    rng = np.random.default_rng(seed)
    accounts = np.arange(n) // per_account
    p = rng.uniform(0.02, 0.3, accounts.max() + 1)[accounts]
    luck = rng.random(accounts.max() + 1)[accounts]
    return (luck < p + off).astype(float), p, accounts


def test_a_level_that_is_off_is_found():
    found = judge_level(*drawn(1, 3000, off=0.1))
    assert found["p_value"] < 1e-6
    assert found["ci95"][0] < 0.1 < found["ci95"][1]
    assert found["difference"] == pytest.approx(0.1, abs=0.03)


def test_a_true_level_is_found_off_in_one_of_twenty_also_where_accounts_recur():
    wrong = [
        judge_level(*drawn(seed, 2000, per_account=10))["p_value"] < 0.05 for seed in range(400)
    ]
    assert 0.02 <= np.mean(wrong) <= 0.085


def test_too_few_conversions_or_accounts_are_not_judged():
    few = judge_level(np.zeros(200), np.full(200, 0.01), np.arange(200))
    assert (few["verdict"], few["p_value"]) == ("too few", None)
    one_firm = judge_level(np.ones(200), np.full(200, 0.5), np.zeros(200, dtype=int))
    assert one_firm["verdict"] == "too few"


def test_none_converted_where_many_were_promised_is_judged():
    found = judge_level(np.zeros(500), np.full(500, 0.2), np.arange(500))
    assert found["p_value"] < 1e-6
    assert found["difference"] < 0


def test_none_converted_of_few_accounts_with_many_snapshots_may_be_chance():
    # 40 accounts of 20 snapshots: 2 of them were to convert, and bring 40 snapshots.
    accounts = np.arange(800) // 20
    p = np.full(800, 0.05)
    effect = design_effect(*drawn(5, 40_000, per_account=20))
    assert effect == pytest.approx(20, rel=0.15)
    assert judge_level(np.zeros(800), p, accounts, effect=effect)["p_value"] > 0.1
    assert judge_level(np.zeros(800), p, accounts)["p_value"] < 1e-6


def test_holm_on_its_textbook_case():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_adjusted_values_keep_their_order_and_are_never_smaller(values):
    adjusted = holm(values)
    assert all(a >= p for a, p in zip(adjusted, values, strict=True))
    assert all(a <= 1 for a in adjusted)
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_of_twenty_true_segments_none_is_called_wrong_in_most_reports():
    any_wrong = []
    for report in range(60):
        values = [judge_level(*drawn(1000 * report + i, 600))["p_value"] for i in range(20)]
        any_wrong.append(min(holm(values)) < 0.05)
    assert np.mean(any_wrong) <= 0.15


def test_quarters_of_numbers_hold_about_a_quarter_each():
    texts = pl.Series([str(i) for i in range(100)] + [None, "many"])
    found = _quarters(texts)
    assert found.null_count() == 2
    assert set(found.drop_nulls().value_counts()["count"]) <= {24, 25, 26}
    assert "under 25" in found.to_list()


def test_quarters_of_one_value_or_none_do_no_harm():
    assert _quarters(pl.Series(["7", "7"])).to_list() == ["7 or more", "7 or more"]
    assert _quarters(pl.Series([None, None], dtype=pl.String)).null_count() == 2


@cache
def rows():
    result = backtested()
    signals = handoff_settings().signals
    primary = result.dataset.config.conversion.primary_horizon_days
    arena = Arena(result, primary)
    return arena, segment_rows(result.dataset, arena, "champion", signals=signals)


def test_the_stage_and_bands_of_numbers_are_segments_too():
    arena, found = rows()
    attributes = {row["attribute"] for row in found}
    assert {STAGE, "employee_count", "industry"} <= attributes
    for name in (STAGE, "employee_count"):
        n = sum(row["n_snapshots"] for row in found if row["attribute"] == name)
        assert 0 < n <= len(arena.converted)


def test_a_segment_that_is_off_by_design_is_named():
    arena, before = rows()
    result = backtested()
    level = max(
        (row for row in before if row["attribute"] == "industry"),
        key=lambda row: row["n_converted"],
    )["level"]
    inside = result.dataset.accounts.filter(pl.col("industry") == level)
    leads = result.dataset.leads.filter(pl.col("account_id").is_in(inside["account_id"].implode()))
    here = arena.keys["lead_id"].is_in(leads["lead_id"].implode()).to_numpy()

    class Tripled(Arena):
        def probability(self, name):
            p = super().probability(name)
            return np.where(here, np.minimum(0.2 + 3 * p, 0.95), p)

    primary = result.dataset.config.conversion.primary_horizon_days
    found = segment_rows(result.dataset, Tripled(result, primary), "champion")
    row = next(row for row in found if row["level"] == level)
    assert row["verdict"] == "too high", row
    assert "said too much" in segment_in_words(row)
    assert level in segment_verdict(found)


def test_every_segment_is_said_to_be_judged_or_not():
    _, found = rows()
    for row in found:
        assert (row["p_value"] is None) == (row["verdict"] == "too few")
        assert (row["p_adjusted"] is None) == (row["p_value"] is None)
        assert segment_in_words(row)
    assert segment_verdict([]) == segment_verdict([row for row in found if not row["p_value"]])
