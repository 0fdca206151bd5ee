import functools
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from intentcast.contracts import Scores
from intentcast.histories import (
    EngagementEvent,
    KnownOutcome,
    LeadHistory,
    history_from_dataset,
    history_from_json,
    history_to_json,
)
from intentcast.propensity.horizons import predict_horizons
from intentcast.scoring import answer, answer_history, load_bundle, predict_history, score
from intentcast.stages import STAGES
from intentcast.training import fit_model
from serving.answers import PredictionAnswer
from tests.fixtures_world import (
    AS_OF,
    CONFIG,
    HORIZONS,
    bundle,
    pack,
    place,
    trained,
    world,
    world_snapshots,
    world_times,
)

STEPS = ("logistic", "lightgbm")
SECRET = "zz-secret-77"


def scored(step="logistic"):
    return score(bundle(step), world(), world_snapshots())


def lively_lead():
    """The lead with most events of its own before the as-of time."""
    known = world().events.filter(pl.col("known_at") < AS_OF)
    counts = known.join(world_snapshots(), on="lead_id").group_by("lead_id").len()
    return counts.sort("len", "lead_id", descending=[True, False])["lead_id"][0]


def snapshot_of_lead(lead_id):
    return world_snapshots().filter(pl.col("lead_id") == lead_id)


def history(lead_id=None):
    return history_from_dataset(world(), snapshot_of_lead(lead_id or lively_lead()))


def numbers(found):
    """The parts of an answer that must not change by what is not known yet."""
    keys = ("probabilities", "tier", "stage", "handoff", "packet", "reasons", "rules")
    return json.dumps({key: found[key] for key in keys})


# The table of scores.


@pytest.mark.parametrize("step", STEPS)
def test_scores_have_one_row_per_lead_and_horizon_sorted(step):
    scores = scored(step)
    assert scores.columns == Scores.column_names()
    assert len(scores) == len(world_snapshots()) * len(HORIZONS)
    assert scores.equals(scores.sort("lead_id", "as_of", "horizon_days"))
    assert set(scores["horizon_days"]) == set(HORIZONS)
    assert scores["model_version"].unique().to_list() == [bundle(step).version]
    assert set(scores["stage"]) <= set(STAGES)


@pytest.mark.parametrize("step", STEPS)
def test_probabilities_never_fall_with_the_horizon_and_lie_in_their_interval(step):
    scores = scored(step)
    assert (scores["low"] <= scores["probability"]).all()
    assert (scores["probability"] <= scores["high"]).all()
    for column in ("probability", "low", "high"):
        short, long = (
            scores.filter(pl.col("horizon_days") == days)[column].to_numpy() for days in HORIZONS
        )
        assert (short <= long).all()


def test_where_a_longer_horizon_would_be_less_likely_it_gets_the_shorter_ones_probability():
    """Trained apart, two horizons may disagree; with their models swapped they surely do."""
    models = trained().champion
    swapped = {30: models[90], 90: models[30]}
    features = trained().featurizer.transform(world(), world_snapshots()).doubles
    found = predict_horizons(swapped, features)
    assert found.horizons_days == HORIZONS
    short = models[90].probabilities(features)
    assert (models[30].probabilities(features) < short).any()
    assert (found.probabilities[:, 0] == short).all()
    for part in (found.probabilities, found.low, found.high):
        assert (np.diff(part, axis=1) >= 0).all()
    assert (found.margins[:, 1] == models[30].learner.margins(features)).all()


def test_a_tier_is_of_the_primary_horizon():
    loaded = bundle("logistic")
    primary = scored().filter(pl.col("horizon_days") == loaded.primary_horizon_days)
    assert primary["tier"].to_list() == loaded.tiers.tiers(primary["probability"].to_numpy())
    per_lead = scored().group_by("lead_id").agg(pl.col("tier").n_unique())
    assert per_lead["tier"].max() == 1


def test_the_order_of_snapshots_changes_no_bit():
    shuffled = world_snapshots().sample(fraction=1.0, shuffle=True, seed=1)
    assert score(bundle("lightgbm"), world(), shuffled).equals(scored("lightgbm"))


# What is recorded later changes nothing.


def later_rows(frame, **changes):
    """Copies of some rows, known at or after the as-of time."""
    known = {"known_at": AS_OF, "occurred_at": AS_OF - timedelta(days=3)} | changes
    return frame.head(200).with_columns(
        pl.lit(value).cast(frame.schema[name]).alias(name) for name, value in known.items()
    )


@pytest.mark.parametrize("step", STEPS)
def test_rows_recorded_at_or_after_the_as_of_time_change_no_bit_of_a_batch(step):
    data = world()
    mine = world_snapshots()["lead_id"].implode()
    of_cohort = data.events.filter(pl.col("lead_id").is_in(mine))
    lead = lively_lead()
    changes = pl.DataFrame(
        {
            "entity": ["lead"], "entity_id": [lead], "attribute": ["job_title"],
            "value": ["changed"], "recorded_at": [AS_OF],
        },
        schema=data.attribute_changes.schema,
    )  # fmt: skip
    grown = replace(
        data,
        events=pl.concat(
            [
                data.events,
                later_rows(of_cohort, event_id=None),
                later_rows(of_cohort, event_id=None, known_at=AS_OF + timedelta(days=1)),
            ]
        ),
        outcomes=pl.concat([data.outcomes, later_rows(data.outcomes)]),
        attribute_changes=pl.concat([data.attribute_changes, changes]),
    )
    assert len(grown.events) == len(data.events) + 400
    assert score(bundle(step), grown, world_snapshots()).equals(scored(step))
    one = snapshot_of_lead(lead)
    before, after = (answer(bundle(step), d, one, explain=True) for d in (data, grown))
    assert numbers(before) == numbers(after)


@pytest.mark.parametrize("step", STEPS)
def test_rows_recorded_at_or_after_the_as_of_time_change_no_bit_of_a_request(step):
    known = history()
    late = [
        replace(known.events[0], event_id=None, recorded_at=AS_OF),
        replace(known.events[0], event_id=None, occurred_at=AS_OF, recorded_at=None),
        replace(known.events[-1], event_id=None, recorded_at=AS_OF + timedelta(days=9)),
    ]
    week_ago = AS_OF - timedelta(days=7)
    outcomes = [
        KnownOutcome(who, week_ago, name, recorded_at=AS_OF)
        for who in (known.lead_id, "a-colleague")
        for name in ("closed_won", "closed_lost", "returned", "mql_rejected", "opportunity_created")
    ]
    before = answer_history(bundle(step), known, explain=True)
    grown = replace(known, events=(*late, *known.events), outcomes=(*outcomes, *known.outcomes))
    after = answer_history(bundle(step), grown, explain=True)
    assert numbers(after) == numbers(before)
    assert "3 events known at or after as_of were not used" in after["warnings"]


@pytest.mark.parametrize("step", STEPS)
def test_earlier_outcomes_and_colleagues_of_a_request_do_count(step):
    known = history()
    week_ago = AS_OF - timedelta(days=7)
    features = predict_history(bundle(step), known)[0]
    told = {
        "outcomes": (*known.outcomes, KnownOutcome("a-colleague", week_ago, "closed_won")),
        "events": (*known.events, EngagementEvent("a-colleague", week_ago, "page_view")),
    }
    names = bundle(step).featurizer.spec.names
    for field, area in (("outcomes", "account.colleagues_won"), ("events", "account.colleagues_")):
        found = predict_history(bundle(step), replace(known, **{field: told[field]}))[0]
        changed = {
            name.split(".any.")[0]
            for name, a, b in zip(names, features[0], found[0], strict=True)
            if not (a == b or (np.isnan(a) and np.isnan(b)))
        }
        assert {name for name in changed if name.startswith(area)}


# The answer.


@pytest.mark.parametrize("step", STEPS)
def test_the_answer_has_the_documented_shape(step):
    found = answer_history(bundle(step), history(), explain=True)
    assert list(found) == [
        "lead_id", "as_of", "probabilities", "tier", "stage", "step", "handoff", "packet",
        "reasons", "rules", "model", "warnings",
    ]  # fmt: skip
    assert found["as_of"] == "2025-12-15T00:00:00Z"
    assert found["step"] == step
    assert [list(p) for p in found["probabilities"]] == [
        ["horizon_days", "probability", "low", "high"]
    ] * 2
    assert found["model"] == {
        "name": "small",
        "version": bundle(step).version,
        "sha256": bundle(step).sha256,
    }
    assert {c["name"] for c in found["handoff"]["criteria"]} == {
        "opt-out", "re-nurture", "at once", "consistency", "focus", "intent", "fit",
    }  # fmt: skip
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))


def test_reasons_and_ledger_come_only_when_asked_for():
    found = answer_history(bundle("logistic"), history(), explain=False)
    assert found["reasons"] == []
    assert found["rules"]["ledger"] == []
    asked = answer_history(bundle("logistic"), history(), explain=True)
    assert asked["reasons"]
    assert asked["rules"]["ledger"]
    assert asked["probabilities"] == found["probabilities"]


def test_the_ledger_adds_up_to_the_score():
    for lead_id in world_snapshots()["lead_id"].head(30):
        rules = answer_history(bundle("logistic"), history(lead_id), explain=True)["rules"]
        assert sum(line["points"] for line in rules["ledger"]) == pytest.approx(rules["score"])


def test_without_a_scorecard_there_are_no_rules_and_no_fit_criterion():
    bare = replace(bundle("logistic"), scorecard=None)
    found = answer_history(bare, history(), explain=True)
    assert found["rules"] is None
    assert "fit" not in [c["name"] for c in found["handoff"]["criteria"]]


def test_a_hot_lead_has_intent_and_a_cold_one_has_none():
    loaded = bundle("logistic")
    scores = scored().filter(pl.col("horizon_days") == 90).sort("probability", "lead_id")
    for lead_id in (scores["lead_id"][0], scores["lead_id"][-1]):
        found = answer_history(loaded, history(lead_id), explain=False)
        [intent] = [c for c in found["handoff"]["criteria"] if c["name"] == "intent"]
        assert intent["met"] == (found["tier"] == "hot")
        needed = [c["met"] for c in found["handoff"]["criteria"] if c["needed"]]
        assert found["handoff"]["ready"] == all(needed)


# Hand-off: the packet, and leads that were sent back.


def asked(**more):
    """A lead of the small world's kind that asked for a demo yesterday."""
    return quiet(account_id="A", events=(event(event_type="demo_request"),), **more)


def test_a_lead_that_asked_for_sales_goes_at_once_with_a_packet():
    found = answer_history(bundle("logistic"), asked(account_attributes=KNOWN), explain=True)
    assert found["handoff"]["ready"]
    assert found["handoff"]["route"] == "at once"
    packet = found["packet"]
    assert (packet["role"], packet["source"], packet["contact_within_hours"]) == (
        "CTO", "webinar", 24,
    )  # fmt: skip
    assert packet["about"] == {"industry": "software", "employee_count": "50", "country": "DE"}
    assert packet["why_now"][0] == "asked for sales: demo request on 2025-12-14"
    assert packet["last_key_action"]["event_type"] == "demo_request"


def test_a_packet_comes_only_when_asked_for_and_only_of_a_lead_that_is_ready():
    ready = answer_history(bundle("logistic"), asked(), explain=False)
    assert ready["handoff"]["ready"]
    assert ready["packet"] is None
    waiting = answer_history(bundle("logistic"), quiet(), explain=True)
    assert not waiting["handoff"]["ready"]
    assert waiting["packet"] is None


def test_the_server_s_page_knows_every_field_of_an_answer_with_a_packet():
    found = answer_history(bundle("logistic"), asked(), explain=True)
    assert found["packet"]
    typed = PredictionAnswer.model_validate(found).model_dump(mode="json")
    assert typed == json.loads(json.dumps(found))


def criterion(found, name):
    return next(c for c in found["handoff"]["criteria"] if c["name"] == name)


def test_a_lead_that_sales_sent_back_waits_until_it_does_something_new():
    back = KnownOutcome("L-new", AS_OF - timedelta(hours=9), "mql_rejected", reason="too early")
    found = answer_history(bundle("logistic"), asked(outcomes=(back,)), explain=True)
    assert not found["handoff"]["ready"]
    assert criterion(found, "re-nurture") == {
        "name": "re-nurture",
        "met": False,
        "needed": True,
        "detail": "sent back on 2025-12-14: too early; new behaviour since: none, 2 needed before "
        "2026-03-14",
    }
    again = event(event_type="demo_request", occurred_at=AS_OF - timedelta(hours=1))
    later = asked(outcomes=(back,))
    later = replace(later, events=(*later.events, again))
    assert answer_history(bundle("logistic"), later, explain=True)["handoff"]["route"] == "at once"


def test_a_return_in_the_data_set_and_in_a_request_is_the_same_return():
    data = world()
    known = data.outcomes.filter(
        pl.col("known_at").is_between(AS_OF - timedelta(days=60), AS_OF, closed="left"),
        outcome="mql_rejected",
    )
    lead_id = known.join(world_snapshots(), on="lead_id").sort("lead_id")["lead_id"][0]
    of_data = answer(bundle("logistic"), data, snapshot_of_lead(lead_id), explain=True)
    of_request = answer_history(bundle("logistic"), history(lead_id), explain=True)
    told = criterion(of_data, "re-nurture")
    assert told["detail"].startswith("sent back on 2025-1")
    [reason] = known.filter(lead_id=lead_id)["reason"].tail(1)
    assert f": {reason};" in told["detail"]
    assert criterion(of_request, "re-nurture") == told
    # Without what sales said, nobody is waiting.
    silent = replace(data, outcomes=data.outcomes.filter(pl.col("outcome") != "mql_rejected"))
    never = answer(bundle("logistic"), silent, snapshot_of_lead(lead_id), explain=True)
    assert criterion(never, "re-nurture")["detail"] == "never sent back by sales"


# Warnings.


def quiet(**more):
    return LeadHistory(
        "L-new",
        datetime(2025, 11, 1, tzinfo=UTC),
        AS_OF,
        **({"attributes": {"job_title": "CTO", "source": "webinar"}} | more),
    )


def event(**more):
    row = {"lead_id": "L-new", "occurred_at": AS_OF - timedelta(days=1), "event_type": "page_view"}
    return EngagementEvent(**(row | more))


def never_abstaining(model):
    settings = model.settings.model_copy(
        update={
            "calibration": model.settings.calibration.model_copy(update={"abstain_wider_than": 1.0})
        }
    )
    return replace(model, settings=settings)


def warnings_of(found):
    return answer_history(never_abstaining(bundle("logistic")), found, explain=True)["warnings"]


def test_a_wide_interval_is_said_to_be_too_little_known_and_only_that():
    model = bundle("logistic")
    scores = score(model, world(), world_snapshots())
    wide = scores["high"] - scores["low"] > 0.5
    assert scores["too_little_known"].to_list() == wide.to_list()
    assert 0 < wide.sum() < len(wide)
    narrow = score(never_abstaining(model), world(), world_snapshots())
    assert not narrow["too_little_known"].any()
    same = ("probability", "low", "high", "tier")
    assert narrow.select(same).equals(scores.select(same))


def test_an_answer_about_which_too_little_is_known_says_between_what():
    model = bundle("logistic")
    scores = score(model, world(), world_snapshots()).filter(pl.col("horizon_days") == 90)
    for is_wide in (True, False):
        row = scores.filter(pl.col("too_little_known") == is_wide).row(0, named=True)
        snapshot = world_snapshots().filter(pl.col("lead_id") == row["lead_id"])
        found = answer(model, world(), snapshot, explain=False)
        said = [text for text in found["warnings"] if "too little known" in text]
        ends = f"{row['low']:.1%} and {row['high']:.1%}".replace("%", " %")
        expected = f"too little known: the probability lies between {ends}"
        assert said == ([expected] if is_wide else [])


KNOWN = {"employee_count": 50, "industry": "software", "country": "DE"}


def test_a_lead_that_is_all_known_has_no_warning():
    assert warnings_of(history()) == []


def test_a_lead_without_events_is_answered_with_a_warning():
    found = answer_history(bundle("logistic"), quiet(account_attributes=KNOWN), explain=True)
    assert found["warnings"] == ["no events of the lead before as_of"]
    assert 0 < found["probabilities"][0]["probability"] < 1
    assert found["stage"] == "awareness"


def test_a_colleagues_event_is_none_of_the_leads():
    found = quiet(account_attributes=KNOWN, account_id="A", events=(event(lead_id="other"),))
    assert warnings_of(found) == ["no events of the lead before as_of"]


def test_vocabulary_that_training_did_not_see_is_warned_of():
    rows = (
        event(event_type=SECRET),
        event(event_type=SECRET, channel=SECRET),
        event(content="qqxxyy wwvvkk"),
        event(is_machine=True, event_type=SECRET, channel=SECRET, content=SECRET),
    )
    assert warnings_of(quiet(account_attributes=KNOWN, events=rows)) == [
        "2 events of event types not seen in training, counted as other",
        "1 events of channels not seen in training, counted as other",
        "1 of 1 events on content of no known theme",
    ]


def test_content_of_no_theme_is_warned_of_once_most_of_it_is():
    known = [title for titles in bundle("logistic").featurizer.themes.examples for title in titles]
    rows = [event(content=known[0]), event(content="qqxxyy"), event(content="wwvvkk")]
    assert warnings_of(quiet(account_attributes=KNOWN, events=tuple(rows))) == [
        "2 of 3 events on content of no known theme"
    ]
    rows.append(event(content=known[1]))
    assert warnings_of(quiet(account_attributes=KNOWN, events=tuple(rows))) == []


def test_attributes_that_are_unknown_are_named():
    known = quiet(account_attributes={"industry": "software"}, events=(event(),))
    assert warnings_of(known) == ["attributes unknown: employee_count, country"]
    nothing = quiet(attributes={}, events=(event(),))
    assert warnings_of(nothing) == [
        "attributes unknown: employee_count, industry, country, job_title, source"
    ]


def test_warnings_never_repeat_what_was_sent():
    found = quiet(
        attributes={"job_title": SECRET, SECRET: SECRET},
        account_attributes={"industry": SECRET},
        account_id=SECRET,
        events=(
            event(event_type=SECRET, channel=SECRET, content=SECRET, event_id=SECRET),
            event(lead_id=SECRET, occurred_at=AS_OF),
        ),
    )
    assert warnings_of(found)
    assert SECRET not in json.dumps(warnings_of(found))


def test_reasons_of_a_lead_that_never_did_anything_are_whole_sentences():
    found = answer_history(bundle("lightgbm"), quiet(attributes={}), explain=True)
    assert found["reasons"]
    for reason in found["reasons"]:
        assert not re.search(r"\bnan\b|None|_|\.\d+d", reason["text"], re.IGNORECASE)
        assert reason["direction"] == ("raises" if reason["contribution"] > 0 else "lowers")


def test_an_attribute_named_like_a_key_changes_no_bit():
    plain = history()
    odd = replace(plain, attributes={**plain.attributes, "lead_id": "x", "account_id": "y"})
    one, other = (
        answer_history(bundle("logistic"), history_from_json(history_to_json(h)), explain=True)
        for h in (plain, odd)
    )
    assert numbers(one) == numbers(other)


# A model that leaves out families of features.


@functools.cache
def partial_bundle():
    """A bundle without the families that words and hand-off criteria speak of."""
    without = ("recency", "consistency", "coherence", "last", "account", "fit")
    settings = CONFIG.features.model_copy(update={"without": without})
    config = CONFIG.model_copy(update={"features": settings, "max_rows": 1000})
    data = world()
    model = fit_model(data, times=world_times(), known_by=data.data_cutoff, config=config)
    return load_bundle(pack(model, place() / "bundles-partial"))


def test_families_that_a_model_leaves_out_are_in_no_column_of_it():
    families = {column.family for column in partial_bundle().featurizer.spec.columns}
    assert families >= {"counts", "escalation", "dormancy", "lifecycle"}
    assert not families & {"recency", "consistency", "coherence", "last", "account", "fit"}


def test_hand_off_and_reasons_of_a_model_without_some_families_are_whole():
    found = answer_history(partial_bundle(), history(), explain=True)
    full = answer_history(bundle("logistic"), history(), explain=True)
    # What a lead did does not depend on what a model looks at.
    details = [
        {c["name"]: c["detail"] for c in told["handoff"]["criteria"] if c["name"] != "intent"}
        for told in (found, full)
    ]
    assert details[0] == details[1]
    assert found["reasons"]
    for reason in found["reasons"]:
        assert not re.search(r"\bnan\b|None|_|\.\d+d", reason["text"], re.IGNORECASE)


def test_a_batch_of_a_model_without_some_families_is_each_lead_alone_to_the_bit():
    batch = score(partial_bundle(), world(), world_snapshots().head(5))
    for row in range(5):
        lead = world_snapshots()[row]
        told = answer_history(partial_bundle(), history_from_dataset(world(), lead), explain=False)
        mine = batch.filter(pl.col("lead_id") == lead["lead_id"][0]).sort("horizon_days")
        assert [p["probability"] for p in told["probabilities"]] == mine["probability"].to_list()
