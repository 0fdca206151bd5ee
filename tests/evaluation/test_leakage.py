"""Planted leaks are caught by name; what is honest is let through."""

import json
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from intentcast.errors import InputError, RefusedError
from intentcast.evaluation.leakage import audit_leakage
from intentcast.evaluation.leakage_page import leakage_lines
from tests import leak_plants
from tests.conftest import at, event, outcome
from tests.fixtures_world import place, shuffled_copy, world

HOUR = timedelta(hours=1)
PLANTED = {
    "package": leak_plants.filled_in_after_the_win,
    "contract_sent": leak_plants.contract_sent_on_the_win,
    "stage": leak_plants.stage_overwritten,
    "reference_call": leak_plants.event_entered_afterwards,
    "priority": leak_plants.noisy_copy_of_the_label,
    "record": leak_plants.number_given_on_closing,
}
BACK_DATED = (
    leak_plants.outcomes_back_dated,
    leak_plants.outcomes_back_dated_without_recording,
)


@pytest.fixture(scope="module")
def clean():
    return audit_leakage(world())


@pytest.fixture(scope="module")
def leaky():
    """The small world with a back-filled package."""
    return audit_leakage(leak_plants.filled_in_after_the_win(world()))


def verdict(audit, name):
    (found,) = [found for found in audit.findings if found.name == name]
    return found.verdict


def test_a_clean_world_has_no_leak_and_nothing_suspicious(clean):
    assert {found.verdict for found in clean.findings} == {"fine"}
    assert clean.refuse() == ()


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_leak_is_caught_by_name_and_nothing_else_is(name):
    audit = audit_leakage(PLANTED[name](world()))
    assert [found.name for found in audit.leaks] == [name]


@pytest.mark.parametrize("plant", BACK_DATED)
def test_back_dated_conversions_are_caught(plant):
    audit = audit_leakage(plant(world()))
    assert "leak" in {found.verdict for found in audit.findings if found.name == "outcomes"}


@pytest.mark.parametrize("days", [7, 20, 120])
def test_conversions_dated_a_week_or_months_early_are_caught(days):
    audit = audit_leakage(leak_plants.outcomes_back_dated(world(), days=days))
    assert "outcomes" in {found.name for found in audit.leaks}


def test_a_third_of_the_conversions_dated_early_is_caught_by_its_late_recording():
    audit = audit_leakage(leak_plants.some_outcomes_back_dated(world()))
    assert "outcomes" in {found.name for found in audit.leaks}


def test_half_of_the_conversions_dated_early_is_suspicious_where_no_recording_tells():
    data = leak_plants.some_outcomes_back_dated(world(), share=2)
    never = pl.lit(None, dtype=data.outcomes.schema["recorded_at"])
    outcomes = data.outcomes.with_columns(recorded_at=never, known_at="occurred_at")
    audit = audit_leakage(replace(data, outcomes=outcomes))
    assert any("dates lie before" in found.evidence for found in audit.with_verdict("suspicious"))


def test_conversions_recorded_months_late_but_dated_rightly_are_fine():
    """Finance books them when they are paid."""
    booked = pl.col("recorded_at").dt.offset_by("60d")
    data = replace(
        world(), outcomes=world().outcomes.with_columns(recorded_at=booked, known_at=booked)
    )
    kept = data.outcomes.filter(pl.col("known_at") < world().data_cutoff)
    audit = audit_leakage(replace(data, outcomes=kept))
    assert not [found for found in audit.findings if found.kind == "table"]


def test_what_customers_do_after_the_win_is_no_sign_of_an_early_date():
    """Daily log-ins begin with the win and last."""
    won = leak_plants.wins(world()).join(pl.DataFrame({"day": range(1, 120, 2)}), how="cross")
    at_day = pl.col("won_at") + pl.duration(days="day")
    times = dict.fromkeys(("occurred_at", "known_at", "recorded_at"), at_day)
    rows = won.select("lead_id", event_type=pl.lit("login"), **times)
    rows = rows.filter(pl.col("known_at") < world().data_cutoff)
    audit = audit_leakage(leak_plants.with_events(world(), rows))
    assert {found.verdict for found in audit.findings} == {"fine"}


def test_a_number_that_only_winners_have_dated_by_the_win_is_caught():
    won = leak_plants.wins(world())
    number = won["won_at"].dt.strftime("%y%m%d")
    created = world().leads["created_at"].dt.strftime("%y%m%d")
    numbers = (
        world()
        .leads.select("lead_id", created=created)
        .join(won.select("lead_id", number=number), on="lead_id", how="left")
        .select("lead_id", serial=pl.coalesce("number", "created").cast(pl.Int64))
    )
    audit = audit_leakage(leak_plants.with_attribute(world(), numbers, numeric=True))
    assert [found.name for found in audit.leaks] == ["serial"]


def test_a_running_number_given_on_creation_is_fine():
    rank = world().leads["created_at"].rank("ordinal").cast(pl.Int64)
    numbers = world().leads.select("lead_id", serial=5000 + 3 * rank)
    audit = audit_leakage(leak_plants.with_attribute(world(), numbers, numeric=True))
    assert verdict(audit, "serial") == "fine"


def test_leaks_planted_together_are_each_caught():
    data = world()
    for plant in PLANTED.values():
        data = plant(data)
    assert {found.name for found in audit_leakage(data).leaks} == set(PLANTED)


def test_a_stage_whose_history_is_recorded_is_no_leak():
    """Each lead is open until its last outcome is known; from then on the stage says so."""
    data = leak_plants.stage_overwritten(world())
    last = data.outcomes.group_by("lead_id").agg(
        value=pl.col("outcome").sort_by("known_at").last(), recorded_at=pl.col("known_at").max()
    )
    changes = last.select(
        pl.lit("lead").alias("entity"),
        pl.col("lead_id").alias("entity_id"),
        pl.lit("stage").alias("attribute"),
        "value",
        "recorded_at",
    )
    dated = replace(
        data,
        leads=data.leads.with_columns(stage=pl.lit("open")),
        attribute_changes=pl.concat([data.attribute_changes, changes]).sort(
            "entity", "entity_id", "attribute", "recorded_at", "value"
        ),
    )
    audit = audit_leakage(dated)
    assert verdict(audit, "stage") == "fine"
    (found,) = [found for found in audit.findings if found.name == "stage"]
    assert found.figures["share_changed_after_outcome"] > 0.9


def test_a_stage_that_changes_on_the_win_before_the_win_is_known_is_suspicious():
    won = leak_plants.wins(world()).filter(pl.col("won_at") + HOUR < pl.col("won_known_at"))
    changes = won.select(
        pl.lit("lead").alias("entity"),
        pl.col("lead_id").alias("entity_id"),
        pl.lit("stage").alias("attribute"),
        pl.lit("customer").alias("value"),
        pl.col("won_at").alias("recorded_at"),
    )
    data = leak_plants.stage_overwritten(world())
    dated = replace(
        data, leads=data.leads.with_columns(stage=pl.lit("open")), attribute_changes=changes
    )
    audit = audit_leakage(dated)
    assert verdict(audit, "stage") == "suspicious"
    (found,) = [found for found in audit.findings if found.name == "stage"]
    assert found.figures["known_around_conversion"] == [1.0] * 8


def test_a_back_filled_column_is_known_long_before_the_win_as_nothing_honest_is(leaky):
    (found,) = leaky.leaks
    assert found.figures["known_around_conversion"] == [1.0] * 8
    assert found.figures["known_present"] == 0.0


def test_a_table_that_holds_the_latest_value_beside_its_changes_is_suspicious():
    data = world()
    titles = data.attribute_changes.filter(pl.col("attribute") == "job_title")
    later = titles.group_by("entity_id").agg(pl.all().sort_by("recorded_at").last())
    # The first value, recorded on creation, is forgotten; another hundred changed since.
    more = data.leads.filter(~pl.col("lead_id").is_in(later["entity_id"].implode())).head(100)
    changes = more.select(
        pl.lit("lead").alias("entity"),
        pl.col("lead_id").alias("entity_id"),
        pl.lit("job_title").alias("attribute"),
        pl.col("job_title").alias("value"),
        pl.col("created_at").dt.offset_by("200d").alias("recorded_at"),
    )
    audit = audit_leakage(
        replace(data, attribute_changes=pl.concat([data.attribute_changes, changes]))
    )
    assert verdict(audit, "job_title") == "suspicious"


def test_an_event_that_follows_the_recorded_win_is_suspicious_and_refuses_nothing():
    """A welcome mail: no open lead can have one."""
    won = leak_plants.wins(world())
    when = pl.col("won_known_at").dt.offset_by("1h")
    rows = won.select("lead_id", occurred_at=when, known_at=when, event_type=pl.lit("welcome"))
    audit = audit_leakage(leak_plants.with_events(world(), rows))
    assert verdict(audit, "welcome") != "leak"


def test_an_event_type_that_is_no_longer_recorded_is_no_leak():
    """A webinar series that ended half a year ago is missing among open leads, honestly."""
    data = world()
    end = at("2025-06-01")
    is_kept = (pl.col("event_type") != "webinar_attend") | (pl.col("occurred_at") < end)
    audit = audit_leakage(replace(data, events=data.events.filter(is_kept)))
    assert audit.leaks == ()


def test_in_a_closed_panel_an_honest_column_that_runs_out_is_no_leak(make_dataset):
    audit = audit_leakage(make_dataset(**leak_plants.closed_panel()))
    (card,) = [found for found in audit.findings if found.name == "card"]
    assert card.figures["auc_low"] > 0.6
    assert card.figures["known_present"] < 0.7 * card.figures["known_others"]
    assert audit.leaks == ()


@pytest.mark.parametrize(
    ("plant", "name"),
    [
        (leak_plants.filled_in_after_the_win, "package"),
        (leak_plants.event_entered_afterwards, "reference_call"),
    ],
)
def test_in_a_closed_panel_what_only_winners_have_is_caught(make_dataset, plant, name):
    audit = audit_leakage(plant(make_dataset(**leak_plants.closed_panel())))
    assert [found.name for found in audit.leaks] == [name]


def test_the_evidence_is_one_sentence(leaky):
    for found in leaky.findings:
        assert found.evidence
        assert ". " not in found.evidence
        assert len(found.evidence) < 260


def test_a_leak_refuses_training_and_names_the_override(leaky):
    with pytest.raises(RefusedError, match=r"1 leak .*package.*--accept-leak package"):
        leaky.refuse()


def test_an_accepted_leak_is_returned_by_name(leaky):
    assert leaky.refuse(accepted=["package"]) == ("package",)


def test_accepting_one_leak_does_not_accept_another():
    data = leak_plants.filled_in_after_the_win(leak_plants.contract_sent_on_the_win(world()))
    with pytest.raises(RefusedError, match=r"1 leak .*--accept-leak contract_sent"):
        audit_leakage(data).refuse(accepted=["package"])


def test_accepting_what_is_no_column_is_an_error(clean):
    with pytest.raises(InputError, match="pakcage"):
        clean.refuse(accepted=["pakcage"])


def test_the_name_of_a_leak_is_quoted_for_the_shell():
    data = leak_plants.filled_in_after_the_win(world())
    leads = data.leads.rename({"package": "package sold"})
    attributes = data.config.attributes.model_copy(
        update={"categorical": ("industry", "package sold")}
    )
    config = data.config.model_copy(update={"attributes": attributes})
    with pytest.raises(RefusedError, match="--accept-leak 'package sold'"):
        audit_leakage(replace(data, leads=leads, config=config)).refuse()


def test_removing_a_leak_costs_average_precision(leaky):
    (found,) = leaky.leaks
    assert found.figures["average_precision_lost"] > 0.3
    assert leaky.average_precision > 0.5


def test_the_audit_does_not_depend_on_the_order_of_rows(clean):
    from intentcast.sources import load_dataset

    other = audit_leakage(load_dataset(shuffled_copy(place() / "leakage-shuffled", seed=5)))
    assert other.to_json() == clean.to_json()


def test_a_sample_of_a_large_data_set_is_stated(clean):
    part = audit_leakage(world(), max_rows=2000)
    # Whole accounts are taken by a hash of their name: about so many.
    assert 1700 <= part.n_snapshots <= 2300 < clean.n_snapshots
    assert 0 < part.share_audited < clean.share_audited <= 1
    assert part.leaks == ()


def test_too_few_conversions_are_said_and_not_judged(make_dataset):
    data = make_dataset()
    audit = audit_leakage(data)
    assert audit.findings == ()
    assert "1 account" in audit.note or "0 accounts" in audit.note
    assert audit.refuse() == ()


def test_a_data_set_without_mature_snapshots_is_not_judged(make_dataset):
    data = make_dataset(
        events=[event("L1", "2024-02-01"), event("L1", "2024-02-03")],
        outcomes=[outcome("L1", "2024-02-02")],
    )
    assert audit_leakage(data).note


def test_the_audit_is_json(leaky):
    written = json.loads(json.dumps(leaky.to_json(), allow_nan=False))
    assert written["findings"][0]["name"] == "package"
    assert written["findings"][0]["figures"]["is_dated"] is False


@pytest.mark.parametrize("name", PLANTED)
def test_the_page_is_80_columns_wide_and_names_the_leak(name):
    lines = list(leakage_lines(audit_leakage(PLANTED[name](world()))))
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("LEAK ") and name in line for line in lines)
