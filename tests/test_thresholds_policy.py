"""The policy file, churn and hysteresis."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.errors import InputError, RefusedError
from intentcast.scoring import predict, score, with_policy
from intentcast.thresholds.churn import measure_churn, refuse_churn
from intentcast.thresholds.hysteresis import leave_below, noise_near, quiet_steps
from intentcast.thresholds.policy import (
    BundleRef,
    Policy,
    PolicyError,
    check_policy,
    read_policy,
    write_policy,
)
from intentcast.tiers import TierPolicy
from serving.models import BundleRefusedError, ServedModel
from serving.places import Place
from tests.conftest import at, event
from tests.fixtures_world import HORIZONS, bundle, bundle_folder, world, world_snapshots

TIERS = TierPolicy(
    horizon_days=HORIZONS[-1],
    hot=0.5,
    warm=0.2,
    handoffs_per_week=3,
    n_leads=10,
    n_weeks=2.0,
    hot_leave=0.45,
    warm_leave=0.15,
    deprioritise=0.05,
    deprioritise_leave=0.04,
)
POLICY = Policy(
    dataset="small",
    version=2,
    created=datetime(2026, 1, 2, tzinfo=UTC).isoformat(),
    previous={"version": 1, "sha256": "0" * 64},
    bundle=BundleRef("small", "2026-01-02.1", "a" * 64),
    tiers=TIERS,
    known_by=datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
    details={"curve": [0.1, 1 / 3]},
)


@pytest.fixture
def path(tmp_path):
    write_policy(POLICY, tmp_path / "policy.json")
    return tmp_path / "policy.json"


def test_a_policy_survives_its_file(path):
    assert read_policy(path) == POLICY
    assert read_policy(path).sha256 == POLICY.sha256


def test_every_flipped_digit_is_refused(path):
    data = path.read_bytes()
    places = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
    for i in places[:: max(1, len(places) // 60)]:
        flipped = bytearray(data)
        flipped[i] ^= 1
        path.write_bytes(bytes(flipped))
        with pytest.raises(PolicyError):
            read_policy(path)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"format": 1}', b'{"format": NaN}'])
def test_what_is_no_policy_is_refused(tmp_path, data):
    path = tmp_path / "policy.json"
    path.write_bytes(data)
    with pytest.raises(PolicyError):
        read_policy(path)
    with pytest.raises(InputError, match="no policy"):
        read_policy(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "change",
    [
        {"hot": 0.1},
        {"warm_leave": 0.3},
        {"hot_leave": 0.6},
        {"deprioritise": 0.3},
        {"hot": 1.5},
        {"warm": -0.1},
        {"hot": True},
        {"horizon_days": 90.0},
    ],
)
def test_thresholds_out_of_order_are_refused_although_the_checksum_is_right(path, change):
    write_policy(replace(POLICY, tiers=replace(TIERS, **change)), path)
    with pytest.raises(PolicyError, match="thresholds"):
        read_policy(path)


def test_a_key_too_many_is_refused(path):
    raw = json.loads(path.read_bytes())
    path.write_text(json.dumps({**raw, "extra": 1}))
    with pytest.raises(PolicyError, match="extra"):
        read_policy(path)


def test_a_policy_of_another_horizon_is_refused_and_of_another_bundle_warned_of():
    where = {"name": "small", "version": "2026-01-02.1", "horizon_days": HORIZONS[-1]}
    assert check_policy(POLICY, **where) == []
    [warning] = check_policy(POLICY, **{**where, "version": "2026-04-01.1"})
    assert "2026-01-02.1" in warning
    with pytest.raises(PolicyError, match="30 days"):
        check_policy(POLICY, **{**where, "horizon_days": 30})


def test_scoring_takes_the_policys_tiers(path):
    loaded, warnings = with_policy(bundle("logistic"), path)
    assert warnings == []
    snapshots = world_snapshots()
    _, predicted = predict(loaded, world(), snapshots)
    p = predicted.probabilities[:, -1]
    told = score(loaded, world(), snapshots).filter(pl.col("horizon_days") == HORIZONS[-1])
    by_lead = dict(told.select("lead_id", "tier").iter_rows())
    assert [by_lead[lead] for lead in snapshots["lead_id"]] == TIERS.tiers(p)


def test_a_lead_keeps_its_tier_above_the_leave_threshold_when_scored_again(path):
    loaded, _ = with_policy(bundle("logistic"), path)
    snapshots = world_snapshots()
    was = snapshots.select("lead_id", tier=pl.lit("hot"))
    told = score(loaded, world(), snapshots, previous=was)
    hot = told.filter((pl.col("horizon_days") == HORIZONS[-1]) & (pl.col("tier") == "hot"))
    assert hot["probability"].min() >= TIERS.hot_leave
    again = score(loaded, world(), snapshots, previous=told)
    assert again.equals(told)
    reversed_rows = score(loaded, world(), snapshots, previous=told.reverse())
    assert reversed_rows.equals(told)


# Churn.


def test_churn_counts_who_flips_by_the_thresholds_alone():
    old = replace(TIERS, deprioritise=None, deprioritise_leave=None)
    new = replace(TIERS, hot=0.6, hot_leave=None)
    churn = measure_churn(np.array([0.01, 0.1, 0.3, 0.55, 0.7]), old, new)
    assert (churn.n_flipped, churn.n_listed, churn.share) == (1, 1, 0.2)
    assert churn.moves == {"hot → warm": 1}
    refuse_churn(churn, most=0.2, proposed="p.json")
    with pytest.raises(RefusedError, match=r"1 of 5 leads \(20.0%\)"):
        refuse_churn(churn, most=0.19, proposed="p.json")


def test_the_same_thresholds_flip_nobody():
    churn = measure_churn(np.linspace(0, 1, 101), TIERS, TIERS)
    assert (churn.n_flipped, churn.n_listed, churn.moves) == (0, 0, {})


def test_from_list_to_list_counts():
    wider = replace(TIERS, deprioritise=0.1, deprioritise_leave=None)
    churn = measure_churn(np.array([0.07]), TIERS, wider)
    assert churn.moves == {"cold → deprioritised": 1}


# Hysteresis.


@given(st.floats(0.001, 0.999), st.floats(0.01, 3))
def test_a_tier_is_left_below_where_it_is_entered(threshold, fall):
    assert 0 < leave_below(threshold, fall) < threshold


def test_quiet_steps_are_those_in_which_the_account_did_nothing(make_dataset):
    leads = [
        {"lead_id": lead, "created_at": "2024-01-01", "account_id": account}
        for lead, account in (("L1", "A"), ("L2", "A"), ("L3", "B"))
    ]
    events = [
        event("L1", "2024-02-01"),
        event("L2", "2024-02-10"),
        event("L3", "2024-02-08"),
        event("L3", "2024-02-17", is_machine=True),
    ]
    data = make_dataset(leads=leads, events=events)
    times = [at("2024-02-08"), at("2024-02-15"), at("2024-02-22")]
    predictions = pl.DataFrame(
        {
            "lead_id": ["L1"] * 3 + ["L3"] * 3,
            "as_of": times * 2,
            "probability": [0.5, 0.6, 0.55, 0.3, 0.4, 0.35],
            "fold": [1] * 6,
        },
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )
    # L1's colleague came on the 10th; L3's event of the 8th was not known before the 8th.
    found = quiet_steps(data, predictions).sort("probability")
    assert found.rows() == [(0.4, 0.35), (0.6, 0.55)]
    other_fold = predictions.with_columns(fold=pl.Series([1, 1, 2] * 2))
    assert quiet_steps(data, other_fold).is_empty()


@pytest.mark.parametrize("what", ["outcome", "change"])
def test_a_step_in_which_an_outcome_or_an_attribute_became_known_is_not_quiet(make_dataset, what):
    leads = [{"lead_id": "L1", "created_at": "2024-01-01", "account_id": "A"}]
    leads += [{"lead_id": "L2", "created_at": "2024-01-01", "account_id": "A"}]
    outcome = {"lead_id": "L2", "occurred_at": "2024-02-10", "outcome": "opportunity_created"}
    change = {
        "entity": "account", "entity_id": "A", "attribute": "size", "value": "9",
        "recorded_at": "2024-02-10",
    }  # fmt: skip
    data = make_dataset(
        leads=leads,
        events=[event("L1", "2024-02-01")],
        **({"outcomes": [outcome]} if what == "outcome" else {"attribute_changes": [change]}),
    )
    predictions = pl.DataFrame(
        {
            "lead_id": ["L1"] * 3,
            "as_of": [at("2024-02-08"), at("2024-02-15"), at("2024-02-22")],
            "probability": [0.5, 0.6, 0.55],
            "fold": [1] * 3,
        },
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )
    assert quiet_steps(data, predictions).rows() == [(0.6, 0.55)]


def test_the_fall_is_that_of_nine_in_ten_quiet_steps():
    drops = np.linspace(0.0, 0.99, 100)
    steps = pl.DataFrame({"probability": np.full(100, 0.5), "after": 1 / (1 + np.exp(drops))})
    found = noise_near(0.5, steps)
    assert found.is_measured
    assert found.fall == pytest.approx(0.9, abs=0.011)
    assert not noise_near(0.01, steps).is_measured


# The server.


def test_the_server_takes_the_policys_tiers_and_keeps_them_where_the_next_is_refused(path):
    served = ServedModel(Place(bundle_folder("logistic")), policy=path)
    assert served.reload().tiers == TIERS
    assert served.warnings == ()
    write_policy(replace(POLICY, tiers=replace(TIERS, horizon_days=7)), path)
    with pytest.raises(BundleRefusedError, match="7 days"):
        served.reload()
    assert served.bundle.tiers == TIERS
    write_policy(replace(POLICY, bundle=BundleRef("small", "2025-01-01.1", "a" * 64)), path)
    served.reload()
    assert len(served.warnings) == 1
