"""A table of leads is judged as each lead alone is."""

import functools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from intentcast.handoff import (
    AtOnce,
    Consistency,
    Criteria,
    Fit,
    Focus,
    HandoffSettings,
    Intent,
    OptOut,
)
from intentcast.handoffs import handoff_snapshots
from intentcast.histories import history_from_dataset
from intentcast.returns import Renurture
from intentcast.scoring import answer_history, judge_snapshots
from intentcast.snapshots import build_snapshots
from tests.fixtures_world import AS_OF, bundle, handoff_settings, world, world_snapshots

NAMES = {
    "opt-out": "opt_out", "re-nurture": "renurture", "at once": "at_once",
    "consistency": "consistency", "focus": "focus", "intent": "intent", "fit": "fit",
}  # fmt: skip


@functools.cache
def mixed():
    """Leads at three times; those that sales sent back or that asked for sales are all there."""
    times = [datetime(2025, month, 3, tzinfo=UTC) for month in (5, 9)] + [AS_OF]
    snapshots = build_snapshots(world(), times)
    asked = world().events.filter(pl.col("event_type").is_in(["demo_request", "unsubscribe"]))
    back = world().outcomes.filter(outcome="mql_rejected")
    odd = pl.concat([asked["lead_id"], back["lead_id"]]).unique()
    is_odd = pl.col("lead_id").is_in(odd.implode())
    return pl.concat([snapshots.filter(is_odd), snapshots.filter(~is_odd)]).sample(130, seed=5)


@functools.cache
def histories():
    return [history_from_dataset(world(), mixed()[row]) for row in range(len(mixed()))]


LOOSE = HandoffSettings(
    criteria=Criteria(
        consistency=Consistency(active_days=1, within_days=30),
        focus=Focus(core_share=0.2),
        intent=Intent(at_least=0.02),
        at_once=AtOnce(within_days=60, needs_fit=True),
        opt_out=OptOut(event_types=("unsubscribe",), revoked_by=("page_view",)),
        renurture=Renurture(active_days=3),
        fit=Fit(attribute_points=30),
    )
)
NO_ENTRY = HandoffSettings(
    criteria=Criteria(
        consistency=Consistency(on=False),
        focus=Focus(on=False),
        intent=Intent(on=False),
        fit=Fit(on=False),
        opt_out=OptOut(on=False),
    )
)


@pytest.mark.parametrize("settings", [handoff_settings(), LOOSE, NO_ENTRY])
def test_a_table_is_judged_as_each_lead_alone_is(settings):
    loaded = replace(bundle("logistic"), handoff=settings)
    snapshots = mixed()
    table = judge_snapshots(loaded, world(), snapshots)
    assert table.select("lead_id", "as_of").equals(snapshots.select("lead_id", "as_of"))
    for history, judged in zip(histories(), table.iter_rows(named=True), strict=True):
        alone = answer_history(loaded, history, explain=False)["handoff"]
        assert (judged["ready"], judged["route"]) == (alone["ready"], alone["route"])
        expected = dict.fromkeys(NAMES.values()) | {
            NAMES[c["name"]]: c["met"] for c in alone["criteria"]
        }
        assert {name: judged[name] for name in expected} == expected


def test_the_compared_leads_differ_in_every_criterion():
    table = judge_snapshots(replace(bundle("logistic"), handoff=LOOSE), world(), mixed())
    for name in (*NAMES.values(), "ready"):
        assert set(table[name]) == {True, False}, name
    assert set(table["route"]) == {None, "at once", "criteria"}


def judged(data):
    return handoff_snapshots(
        handoff_settings(),
        data,
        world_snapshots(),
        sales=world().config.sales,
        probabilities=np.full(len(world_snapshots()), 0.9),
        tiers=bundle("logistic").tiers,
        core_shares=None,
        attribute_points=None,
    )


def test_rows_recorded_at_or_after_the_as_of_time_and_their_order_change_no_row():
    data = world()
    events = data.events.head(300).with_columns(
        pl.lit(AS_OF).alias("known_at"), pl.lit(AS_OF - timedelta(days=2)).alias("occurred_at")
    )
    kinds = ("demo_request", "unsubscribe", "page_view")
    late = [events.with_columns(event_type=pl.lit(kind)) for kind in kinds]
    outcomes = data.outcomes.with_columns(
        pl.lit(AS_OF).alias("known_at"), pl.lit("mql_rejected").alias("outcome")
    )
    grown = replace(
        data,
        events=pl.concat([data.events, *late]).sample(fraction=1.0, shuffle=True, seed=3),
        outcomes=pl.concat([data.outcomes, outcomes]).sample(fraction=1.0, shuffle=True, seed=3),
    )
    assert judged(grown).equals(judged(data))


def test_no_leads_are_judged_without_an_error():
    nobody = world_snapshots().head(0)
    assert judge_snapshots(bundle("logistic"), world(), nobody).is_empty()
