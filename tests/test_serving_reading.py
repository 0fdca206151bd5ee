"""The quick reader of requests accepts only what the models accept, and reads the same from it."""

import json
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.payloads import items_of, parse_json
from serving.problems import MALFORMED, ProblemError
from serving.reading import _plain, read_request
from serving.rows import FIELDS
from serving.schemas import EventIn, PredictionRequest, RequestContext
from serving.validation import validated
from tests.serving_requests import NOW, changed, event, request

CONTEXT = RequestContext(NOW, max_events=50, max_outcomes=50, max_colleagues=50, longest_horizon=90)


def closely(text):
    """Return what the models alone make of a body: a history, or the problem."""
    try:
        wanted = validated(PredictionRequest, parse_json(text), context=CONTEXT)
        history = wanted.history(NOW, longest=90)
    except ProblemError as error:
        return error.problem.model_dump()
    return history, wanted.explain, wanted.horizons_days


def quickly(text):
    """Return what the server makes of it: the same alone as in a batch."""
    alone = told(lambda: read_request(text, CONTEXT))
    listed = told(lambda: _second(items_of(b"[1, " + text + b"\n, 1]")))
    if isinstance(alone, dict) and alone["status"] == 400:
        assert isinstance(listed, dict)  # it says where, which is elsewhere in a batch
    else:
        assert listed == alone
    return alone


def _second(items):
    _, *wanted, _ = items
    if len(wanted) != 1:  # a text with a comma on the outside is no value
        raise ProblemError(MALFORMED, "not one value")
    return read_request(wanted[0], CONTEXT)


def told(read):
    try:
        found = read()
    except ProblemError as error:
        return error.problem.model_dump()
    return found.history, found.explain, list(found.horizons) if found.horizons else None


def is_quick(body, **spelled):
    """Whether a body is read without the close look."""
    return _plain(json.dumps(body, **spelled).encode(), CONTEXT) is not None


def test_an_ordinary_request_is_read_quickly():
    assert is_quick(request())
    assert is_quick(request(), indent=2)
    assert is_quick({"lead": request()["lead"]})
    assert set(EventIn.model_fields) == set(FIELDS)


@pytest.mark.parametrize(
    "more",
    [
        {"content": "Preise für Größere"},
        {"content": " padded ", "channel": ""},
        {"content": 'a "quoted" \\ path'},
        {"value": 12.5, "duration_seconds": 0},
        {"value": -1e3, "is_machine": True, "event_id": "7", "recorded_at": None},
        {"recorded_at": "2026-11-20T10:11:00.123456+02:00"},
    ],
)
@pytest.mark.parametrize("is_ascii", [True, False])
def test_an_event_with_any_of_its_fields_is_read_quickly(more, is_ascii):
    body = request(events=[event(**more), event()])
    assert is_quick(body, ensure_ascii=is_ascii)
    text = json.dumps(body, ensure_ascii=is_ascii).encode()
    assert quickly(text) == closely(text)


times = st.sampled_from(
    [
        "2026-11-20T10:11:00Z",
        "2026-11-20t10:11:00.123456789z",
        "2026-11-20 10:11:00+05:30",
        "2026-11-20T10:11:00.5-00:00",
        "2024-02-29T23:59:59Z",
        "2023-02-29T23:59:59Z",
        "1989-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
        "2027-01-01T00:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T10:11:60Z",
        "2026-11-20T10:11:00",
        "2026-11-20T10:11Z",
        " 2026-11-20T10:11:00Z",
        "2026-11-20T10:11:00Z\n2026-11-20T10:11:00Z",
        "1700000000",
        "2026-11-20T10:11:00+24:00",
        "2026-11-20T10:11:00+05:75",
        "２026-11-20T10:11:00Z",
        1700000000,
        None,
        "",
    ]
)
texts = st.one_of(
    st.sampled_from(
        ["L1", " L2 ", "", "  ", "a\0b", "\ud800", "x" * 256, "x" * 257, "Grüße", '":', "\\u0000"]
    ),
    st.text(max_size=5),
    st.none(),
    st.sampled_from([1, True, ["x"]]),
)
numbers = st.one_of(
    st.sampled_from([0, -1, 1.5, 1e15, 1e16, float("nan"), float("inf"), True, "1", None, 10**400]),
    st.floats(),
)
values = {
    "lead_id": texts, "occurred_at": times, "event_type": texts, "content": texts,
    "channel": texts, "value": numbers, "duration_seconds": numbers,
    "is_machine": st.sampled_from([True, False, None, 1, "true"]), "event_id": texts,
    "recorded_at": times, "odd": texts,
}  # fmt: skip
good = st.fixed_dictionaries(
    {
        "lead_id": st.sampled_from(["L1", "L2"]),
        "occurred_at": st.datetimes(
            min_value=(NOW - timedelta(days=400)).replace(tzinfo=None),
            max_value=NOW.replace(tzinfo=None),
        ).map(lambda t: t.isoformat(timespec="seconds") + "Z"),
        "event_type": st.text("abc_ ", min_size=1, max_size=4).filter(str.strip),
    }
)
rows = st.tuples(good, st.dictionaries(st.sampled_from(sorted(values)), st.none(), max_size=2))


@st.composite
def events(draw):
    row, odd = draw(rows)
    return row | {name: draw(values[name]) for name in odd}


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events(), max_size=3))
def test_a_request_is_read_as_the_models_read_it_or_refused_as_they_refuse_it(rows):
    text = json.dumps(request(events=rows)).encode()
    assert quickly(text) == closely(text)


_WHOLE = json.dumps(
    request(events=[event(value=1.5, is_machine=False, event_id="e"), event("L2")])
).encode()


@settings(deadline=None, max_examples=300)
@given(
    st.integers(0, len(_WHOLE)),
    st.integers(0, 3),
    st.one_of(
        st.sampled_from(
            [
                b'"',
                b"\\",
                b"{",
                b"}",
                b"[",
                b"]",
                b",",
                b":",
                b" ",
                b"0",
                b"-",
                b".",
                b"e5",
                b"null",
            ]
        ),
        st.binary(max_size=2),
    ),
)
def test_a_text_with_a_few_bytes_replaced_is_read_as_the_models_read_it(place, n, other):
    text = _WHOLE[:place] + other + _WHOLE[place + n :]
    assert quickly(text) == closely(text)


@pytest.mark.parametrize(
    "text", ["0", "7", "-7.25", "0.1", "123456789012345", "4.35", "1e3", "-0.0"]
)
def test_a_number_is_the_double_that_is_nearest_to_its_text(text):
    body = (
        json.dumps(request(events=[event(value=7)]))
        .encode()
        .replace(b": 7}", f": {text}}}".encode())
    )
    history, _, _ = quickly(body)
    assert str(history.events[0].value) == str(float(text))


@pytest.mark.parametrize(
    "text",
    [
        b'{"lead": {"lead_id": "L1", "created_at": "2026-05-02T09:00:00Z"}, "explain" : false}',
        b'{"lead": {"lead_id": "L1", "lead_id" : "L2", "created_at": "2026-05-02T09:00:00Z"}}',
        b'{"lead": {"lead_id": "a\\":b:{\\\\", "created_at": "2026-05-02T09:00:00Z"}}',
        b"[]", b"{}", b"", b"nul", b"\xff", b"[" * 5000, b'{"a": ' + b"9" * 5000 + b"}",
        b'\xef\xbb\xbf{"lead": {}}', b'{"lead": NaN}', b'"x"', b"1 2",
    ],
)  # fmt: skip
def test_a_text_that_is_odd_as_json_is_read_or_refused_as_before(text):
    assert quickly(text) == closely(text)


@pytest.mark.parametrize("value", [[], [1], [{"a": "],["}, [[]], 'b"\\', {"c": [2, {}]}, None]])
@pytest.mark.parametrize("spelled", [{}, {"indent": 1}, {"separators": (",", ":")}])
def test_a_list_is_split_into_its_items(value, spelled):
    text = json.dumps(value, **spelled).encode()
    assert [json.loads(item) for item in items_of(b" " + text + b"\n")] == value


def test_a_long_list_is_split_into_its_items():
    assert items_of(json.dumps(list(range(1000))).encode())[999] == b"999"


@pytest.mark.parametrize(
    ("text", "status"),
    [(b"", 400), (b"[1,]", 400), (b"[,1]", 400), (b"[1", 400), (b"[1]]", 400), (b"[1}", 400),
     (b'["a]', 400), (b"[[1]", 400), (b"{}", 422), (b'"[]"', 422), (b"null", 422)],
)  # fmt: skip
def test_what_is_no_list_has_no_items(text, status):
    with pytest.raises(ProblemError) as caught:
        items_of(text)
    assert caught.value.problem.status == status


@pytest.mark.parametrize(
    "place", ["events.0.content", "lead.attributes.x", "as_of", "events", "lead"]
)
def test_a_key_that_is_given_twice_is_never_read_quickly(place):
    steps = place.split(".")
    name = json.dumps(steps[-1])
    body = json.dumps(changed(place, "@") if "attributes" in place else request())
    twice = body.replace(f"{name}: ", f"{name} : null, {name}: ", 1).encode()
    assert _plain(twice, CONTEXT) is None
    assert quickly(twice) == closely(twice)


def test_more_events_than_are_allowed_are_refused_by_both():
    text = json.dumps(request(events=[event()] * 51)).encode()
    assert quickly(text) == closely(text)
    assert quickly(text)["errors"] == [
        {"field": "events", "reason": "must have at most 50 entries"}
    ]


@pytest.mark.parametrize(
    ("horizons", "reason"),
    [
        ([91], {"horizons_days.0": "must be at most 90, the model's longest"}),
        ([30, 0], {"horizons_days.1": "must be at least 1"}),
        ([], {"horizons_days": "must have at least 1 entries"}),
        ([7] * 21, {"horizons_days": "must have at most 20 entries"}),
        ([True], {"horizons_days.0": "must be a whole number"}),
        ([1.5], {"horizons_days.0": "must be a whole number"}),
        ([10**30], {"horizons_days.0": "must be at most 90, the model's longest"}),
        ("30", {"horizons_days": "must be a list"}),
    ],
)
def test_horizons_that_the_model_cannot_answer_are_refused_by_name(horizons, reason):
    found = quickly(json.dumps(request(horizons_days=horizons)).encode())
    assert {wrong["field"]: wrong["reason"] for wrong in found["errors"]} == reason
