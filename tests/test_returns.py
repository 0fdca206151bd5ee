from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from intentcast.config import Conversion, DatasetConfig, Sales, SourceDelay
from intentcast.features.requests import micros
from intentcast.histories import EngagementEvent, KnownOutcome, LeadHistory
from intentcast.returns import Renurture, return_state
from intentcast.seen import see
from serving.schemas import PredictionRequest, RequestContext
from tests.serving_requests import NOW, outcome, request

CONFIG = DatasetConfig(conversion=Conversion(outcomes=("won",), horizons_days=(90,)))
SALES = Sales(accepted=("opportunity_created",), rejected=("mql_rejected", "recycled"))
SETTINGS = Renurture(active_days=2, key_event_types=("demo_request",))
PASSIVE = frozenset({"email_open", "unsubscribe"})
SECOND = timedelta(seconds=1)
KNOWN = datetime(2026, 1, 5, 9, tzinfo=UTC)


def day(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def returned(reason="too early", occurred="2026-01-03", known=KNOWN, lead="L1", **more):
    return KnownOutcome(lead, day(occurred), "mql_rejected", known, reason, **more)


def event(when, event_type="page_view", **more):
    moment = day(when) if isinstance(when, str) else when
    row = {"lead_id": "L1", "occurred_at": moment, "event_type": event_type}
    return EngagementEvent(**row | more)


def state(as_of, *, outcomes=None, events=(), sales=SALES, settings=SETTINGS, config=CONFIG):
    moment = day(as_of) if isinstance(as_of, str) else as_of
    history = LeadHistory(
        "L1",
        datetime(2025, 1, 1, tzinfo=UTC),
        moment,
        events=tuple(events),
        outcomes=(returned(),) if outcomes is None else tuple(outcomes),
    )
    return return_state(settings, sales, see(history, config), passive=PASSIVE)


def test_the_worked_example_of_a_lead_that_was_sent_back():
    waiting = state("2026-02-01")
    assert waiting.is_waiting
    assert waiting.known == micros(KNOWN)
    assert waiting.detail == (
        "sent back on 2026-01-03: too early; new behaviour since: none, 2 needed before 2026-04-05"
    )
    one = state("2026-02-01", events=[event("2026-01-20")])
    assert one.is_waiting
    assert "new behaviour since: 1 active day, 2 needed" in one.detail
    two = state("2026-02-01", events=[event("2026-01-20"), event("2026-01-22")])
    assert not two.is_waiting
    assert two.detail == ("sent back on 2026-01-03: too early; new behaviour since: 2 active days")
    asked = state("2026-02-01", events=[event("2026-01-20", "demo_request")])
    assert not asked.is_waiting
    assert asked.detail.endswith("new behaviour since: 1 active day, demo request")


def test_a_lead_that_was_never_sent_back_is_not_waiting():
    found = state("2026-02-01", outcomes=[])
    assert (found.is_waiting, found.known) == (False, None)
    assert found.detail == "never sent back by sales"


@pytest.mark.parametrize(
    ("as_of", "is_waiting"),
    [
        (KNOWN, False),
        (KNOWN + SECOND, True),
        (KNOWN + timedelta(days=90) - SECOND, True),
        (KNOWN + timedelta(days=90), False),
    ],
)
def test_the_days_run_from_when_the_return_became_known(as_of, is_waiting):
    assert state(as_of).is_waiting == is_waiting


def test_a_return_that_is_not_known_yet_does_not_count():
    assert state(KNOWN).detail == "never sent back by sales"


def test_without_a_record_a_return_is_known_after_the_sources_delay():
    late = CONFIG.model_copy(update={"source_delay_hours": SourceDelay(outcomes=48)})
    outcomes = [returned(known=None)]
    assert state("2026-01-05", outcomes=outcomes, config=late).known is None
    found = state("2026-01-06", outcomes=outcomes, config=late)
    assert found.known == micros(day("2026-01-05"))


@pytest.mark.parametrize(
    "events",
    [
        [event(KNOWN), event(KNOWN - SECOND, "demo_request")],
        [event("2026-01-10", "email_open"), event("2026-01-11", "unsubscribe")],
        [event("2026-01-10", is_machine=True), event("2026-01-11", is_machine=True)],
        [event("2026-01-10", lead_id="L2"), event("2026-01-11", "demo_request", lead_id="L2")],
        [event("2026-01-10"), event("2026-01-11", recorded_at=day("2026-02-01"))],
        [event(day("2026-01-10") + timedelta(hours=h)) for h in range(9)],
    ],
)
def test_what_is_earlier_passive_a_machines_a_colleagues_or_of_one_day_is_nothing_new(events):
    assert state("2026-02-01", events=events).is_waiting


def test_how_much_is_new_behaviour_is_editable():
    one = [event("2026-01-20")]
    assert not state("2026-02-01", events=one, settings=Renurture(active_days=1)).is_waiting
    strict = Renurture(active_days=5, key_event_types=())
    asked = [event(f"2026-01-2{n}", "demo_request") for n in range(4)]
    assert state("2026-02-01", events=asked, settings=strict).is_waiting


def test_switched_off_nobody_waits():
    assert not state("2026-02-01", settings=Renurture(on=False)).is_waiting


def test_the_days_are_those_of_the_data_set():
    sales = SALES.model_copy(update={"renurture_days": 7})
    assert state("2026-01-12", sales=sales).is_waiting
    over = state("2026-01-13", sales=sales)
    assert not over.is_waiting
    assert over.detail == "sent back on 2026-01-03: too early; the 7 days are over"


def test_the_return_that_became_known_last_counts():
    again = returned("no budget", "2026-01-02", day("2026-03-01"))
    found = state("2026-04-10", outcomes=[again, returned()])
    assert found.is_waiting
    assert "no budget" in found.detail
    assert state("2026-04-10", outcomes=[returned(), again]) == found


def test_a_lead_that_sales_accepted_later_is_not_waiting():
    taken = KnownOutcome("L1", day("2026-01-20"), "opportunity_created")
    found = state("2026-02-01", outcomes=[returned(), taken])
    assert not found.is_waiting
    assert found.detail.endswith("too early; accepted on 2026-01-20")
    before = KnownOutcome("L1", day("2026-01-02"), "opportunity_created")
    assert state("2026-02-01", outcomes=[returned(), before]).is_waiting


def test_a_colleagues_return_is_not_the_leads():
    assert not state("2026-02-01", outcomes=[returned(lead="L2")]).is_waiting


@pytest.mark.parametrize("kind", ["mql_rejected", "recycled"])
def test_every_outcome_that_sends_back_counts(kind):
    found = state("2026-02-01", outcomes=[KnownOutcome("L1", day("2026-01-03"), kind)])
    assert found.is_waiting
    assert ": no reason given;" in found.detail


def test_a_reason_is_told_on_one_line_and_bounded():
    found = state("2026-02-01", outcomes=[returned("too\n early\x1b[31m " + "x" * 300)])
    reason = found.detail.split(": ")[1].split(";")[0]
    assert reason.startswith("too early[31m xxx")
    assert len(reason) == 80
    assert reason.endswith("…")


# In a request.


def sent(reason):
    body = request(outcomes=[outcome("L1", outcome="mql_rejected", reason=reason)])
    context = RequestContext(NOW, max_events=9, max_outcomes=9, max_colleagues=9)
    return PredictionRequest.model_validate(body, context=context).history(NOW).outcomes[0]


@pytest.mark.parametrize(
    ("reason", "read"), [("too early", "too early"), (" x ", "x"), ("", None), (None, None)]
)
def test_a_request_may_tell_the_reason(reason, read):
    assert sent(reason).reason == read


@pytest.mark.parametrize("reason", [7, ["too early"], "x" * 257, "a\0b"])
def test_a_reason_that_is_no_short_text_is_refused(reason):
    with pytest.raises(ValidationError, match=r"outcomes\.0\.reason"):
        sent(reason)
