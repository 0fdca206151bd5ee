"""Content that several people of an account look at, worked out by hand; as-of 2024-03-04."""

from tests.features.by_hand import AS_OF, seen, told


def shared(*events, **more):
    """Contents seen by two or more people of the account, and those of them by the lead too."""
    got = told(*events, **more)
    return got["account.shared_content.any.14d"], got["account.shared_content.own.14d"]


def test_a_content_is_shared_once_two_people_saw_it():
    events = [
        seen("2024-03-01", "/pricing"),
        seen("2024-02-28", "/pricing", who="L2"),
        seen("2024-02-27", "/rollout", who="L2"),
        seen("2024-02-26", "/rollout", who="L3"),
        seen("2024-03-02", "/careers", who="L3"),
    ]
    assert shared(*events) == (2.0, 1.0)


def test_the_same_person_twice_does_not_share():
    events = [seen("2024-03-01", "/pricing"), seen("2024-03-02", "/pricing")]
    assert shared(*events) == (0.0, 0.0)
    colleague = [seen(f"2024-03-0{day}", "/rollout", who="L2") for day in (1, 2, 3)]
    assert shared(*events, *colleague) == (0.0, 0.0)


def test_a_third_person_adds_no_further_content():
    assert shared(*(seen("2024-03-01", "/pricing", who=f"L{i}") for i in range(1, 5))) == (1.0, 1.0)


def test_fourteen_days_to_the_instant_are_still_together():
    lead = seen("2024-03-01", "/pricing")
    assert shared(lead, seen("2024-02-19", "/pricing", who="L2")) == (1.0, 1.0)
    before = seen("2024-02-18T23:59:59.999999", "/pricing", who="L2")
    assert shared(lead, before) == (0.0, 0.0)


def test_a_later_look_keeps_a_content_shared():
    events = [
        seen("2024-03-01", "/pricing"),
        seen("2024-02-01", "/pricing", who="L2"),
        seen("2024-02-25", "/pricing", who="L2"),
    ]
    assert shared(*events) == (1.0, 1.0)
    assert shared(*events, as_of="2024-03-10") == (1.0, 1.0)
    assert shared(*events, as_of="2024-03-11") == (0.0, 0.0)


def test_a_look_counts_from_when_it_is_known():
    events = [seen("2024-02-28", "/pricing"), seen("2024-02-28", "/pricing", who="L2", known=AS_OF)]
    assert shared(*events) == (0.0, 0.0)
    assert shared(*events, as_of="2024-03-05") == (1.0, 1.0)


def test_events_without_content_share_nothing():
    assert shared(seen("2024-03-01"), seen("2024-03-01", who="L2")) == (0.0, 0.0)


def test_machines_share_nothing():
    events = [seen("2024-03-01", "/pricing"), seen("2024-03-01", "/pricing", who="L2")]
    robot = seen("2024-03-01", "/pricing", who="L2", is_machine=True)
    assert shared(*events) == (1.0, 1.0)
    assert shared(events[0], robot) == (0.0, 0.0)
