"""A lead's answer alone, by way of JSON, is its row in a batch, to the bit."""

import functools
import json

import polars as pl
import pytest

from intentcast.histories import history_from_dataset, history_from_json, history_to_json
from intentcast.scoring import answer, answer_history, score
from intentcast.snapshots import build_snapshots
from tests.fixtures_world import bundle, world, world_snapshots, world_times

N_LEADS = 100


@functools.cache
def snapshots():
    """About a hundred leads, half at one time and half at several, colleagues among them."""
    several = build_snapshots(world(), world_times()[-12::4])
    apart = several.sample(N_LEADS // 2, seed=2).sort("lead_id", "as_of")
    return pl.concat([world_snapshots().head(N_LEADS // 2), apart]).unique(maintain_order=True)


@functools.cache
def sent():
    """Each snapshot, and its lead's history as a service sends it and a server reads it."""
    found = []
    for row in range(len(snapshots())):
        history = history_from_dataset(world(), snapshots()[row])
        body = json.dumps(history_to_json(history), allow_nan=False)
        found.append((snapshots()[row], history_from_json(json.loads(body))))
    return found


def test_features_from_requests_are_those_from_tables_to_the_bit():
    featurizer = bundle("logistic").featurizer
    batch = featurizer.transform(world(), snapshots())
    found = featurizer.transform_histories([history for _, history in sent()], world().config)
    assert found.names == batch.names
    assert found.values.tobytes() == batch.values.tobytes()


@pytest.mark.parametrize("step", ["logistic", "lightgbm"])
def test_a_batch_of_leads_and_each_lead_alone_agree_to_the_bit(step):
    loaded = bundle(step)
    batch = score(loaded, world(), snapshots())
    rows = dict(iter(batch.group_by("lead_id", "as_of")))
    assert len(rows) >= 90
    for snapshot, history in sent():
        found = answer_history(loaded, history, explain=False)
        mine = rows[snapshot["lead_id"][0], snapshot["as_of"][0]].sort("horizon_days")
        assert [
            (p["horizon_days"], p["probability"], p["low"], p["high"])
            for p in found["probabilities"]
        ] == mine.select("horizon_days", "probability", "low", "high").rows()
        assert mine["tier"].to_list() == [found["tier"]] * 2
        assert mine["stage"].to_list() == [found["stage"]] * 2


@pytest.mark.parametrize("step", ["logistic", "lightgbm"])
def test_the_whole_answer_is_the_same_from_a_request_as_from_the_data_set(step):
    loaded = bundle(step)
    for snapshot, history in sent()[::9]:
        of_request = answer_history(loaded, history, explain=True)
        of_data = answer(loaded, world(), snapshot, explain=True)
        # A request holds nothing that was known later, the data set may.
        of_data["warnings"] = [w for w in of_data["warnings"] if "at or after" not in w]
        assert json.dumps(of_request) == json.dumps(of_data)


def test_a_lead_alone_in_a_batch_has_the_bits_it_has_among_others():
    batch = score(bundle("lightgbm"), world(), snapshots())
    for snapshot, _ in sent()[::10]:
        alone = score(bundle("lightgbm"), world(), snapshot)
        assert alone.equals(batch.join(snapshot, on=["lead_id", "as_of"], how="semi"))
