"""Bad input to the server: each gets a 4xx problem that names the field and repeats nothing."""

import io
import json
import time

import pytest

from tests.serving_requests import changed, event, outcome, request, serve

pytest_plugins = ["tests.serving_world"]

JSON = {"Content-Type": "application/json"}
MARK = "mark-of-the-input"
ATTRIBUTE = "must be a string, a number, true, false or null"


@pytest.fixture(scope="module")
def log():
    return io.StringIO()


@pytest.fixture(scope="module")
def client(world, log):
    small = {"max_body_bytes": 60_000, "max_batch_bytes": 90_000, "max_items": 3, "max_events": 4}
    few = {"max_outcomes": 4, "max_colleagues": 4}
    with serve(world.logistic, log_to=log, **small, **few) as client:
        yield client
    for line in log.getvalue().splitlines():
        assert isinstance(json.loads(line), dict)
    assert MARK not in log.getvalue()


def post(client, content, **headers):
    return client.post("/v1/predictions", content=content, headers=JSON | headers)


def problem(response, status):
    """Return the problem of a response, having checked its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) <= {"type", "title", "status", "detail", "errors"}
    assert body["status"] == status
    assert MARK not in response.text
    assert len(response.content) < 10_000
    return body


def wrong_fields(client, body):
    """Return the wrong fields of a request, and that a batch says the same of it."""
    content = body if isinstance(body, str) else json.dumps(body)
    errors = problem(post(client, content), 422)["errors"]
    response = client.post("/v1/predictions:batch", content=f"[{content}]", headers=JSON)
    assert response.status_code == 200
    assert response.json()[0]["error"]["errors"] == errors
    return {error["field"]: error["reason"] for error in errors}


def raw(path, literal):
    """Return a request's text with a literal, JSON or not, at a dotted path."""
    return json.dumps(changed(path, "@@@")).replace('"@@@"', literal)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("events.0.value", "must be a finite number"),
        ("events.1.duration_seconds", "must be a finite number"),
        ("lead.attributes.employee_count", "must be a finite number, at most 1e+15 in size"),
        ("lead.lead_id", "must be a string"),
        ("as_of", "must be a time as text, such as 2026-01-31T09:00:00Z"),
        ("explain", "must be true or false"),
        ("unknown", "is not a known field"),
    ],
)
def test_a_number_that_is_none_is_refused_by_name(client, path, reason, literal):
    assert wrong_fields(client, raw(path, literal)) == {path: reason}


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("events.0.value", True, "must be a number"),
        ("events.0.value", "1", "must be a number"),
        ("events.0.value", 1e300, "must be at most 1e+15"),
        ("events.0.value", 10**400, "must be a number"),
        ("events.0.duration_seconds", -1, "must be at least 0"),
        ("events.0.is_machine", 1, "must be true or false"),
        ("events.0.is_machine", "false", "must be true or false"),
        ("events.0.event_type", None, "must be a string"),
        ("events.0.event_type", " ", "must not be empty"),
        ("events.0.event_id", 7, "must be a string"),
        ("events.0.content", "x" * 2049, "must have at most 2048 characters"),
        ("events.0.channel", "x" * 257, "must have at most 256 characters"),
        ("events.0.lead_id", "", "must not be empty"),
        ("events.0.colour", MARK, "is not a known field"),
        ("events.0", MARK, "must be an object"),
        ("events", {}, "must be a list"),
        ("events", MARK, "must be a list"),
        ("events", None, "must be a list"),
        ("lead", None, "must be an object"),
        ("lead", [], "must be an object"),
        ("lead.lead_id", 7, "must be a string"),
        ("lead.lead_id", "x" * 257, "must have at most 256 characters"),
        ("lead.score", 1, "is not a known field"),
        ("lead.attributes", [], "must be an object"),
        ("lead.attributes.x", [], ATTRIBUTE),
        ("lead.attributes.x", {}, ATTRIBUTE),
        ("lead.attributes.x", "y" * 2049, "must have at most 2048 characters"),
        ("lead.attributes.x", 10**400, "must be a finite number, at most 1e+15 in size"),
        ("lead.attributes.lead_id", MARK, "is not an attribute but a field of its own"),
        ("account.attributes.created_at", MARK, "is not an attribute but a field of its own"),
        ("account.attributes.account_id", MARK, "is not an attribute but a field of its own"),
        ("account.attributes", {f"a{i}": 1 for i in range(201)}, "must have at most 200 entries"),
        ("account", "x", "must be an object"),
        ("explain", 1, "must be true or false"),
        ("explain", "true", "must be true or false"),
        ("explain", None, "must be true or false"),
        ("events", [event()] * 5, "must have at most 4 entries"),
        ("outcomes", [outcome()] * 5, "must have at most 4 entries"),
        ("outcomes", None, "must be a list"),
        ("outcomes", {}, "must be a list"),
        ("outcomes", MARK, "must be a list"),
        ("outcomes.0", MARK, "must be an object"),
        ("outcomes.0.lead_id", 7, "must be a string"),
        ("outcomes.0.lead_id", "", "must not be empty"),
        ("outcomes.0.lead_id", "x" * 257, "must have at most 256 characters"),
        ("outcomes.0.outcome", True, "must be a string"),
        ("outcomes.0.outcome", " ", "must not be empty"),
        ("outcomes.0.outcome", "x" * 257, "must have at most 256 characters"),
        ("outcomes.0.amount", 9, "is not a known field"),
        ("outcomes.0.recorded_at", 0, "must be a time as text, such as 2026-01-31T09:00:00Z"),
        ("colleagues", [{"lead_id": str(i)} for i in range(5)], "must have at most 4 entries"),
        ("colleagues", None, "must be a list"),
        ("colleagues", {"L2": {}}, "must be a list"),
        ("colleagues.0", MARK, "must be an object"),
        ("colleagues.0.lead_id", None, "must be a string"),
        ("colleagues.0.lead_id", " ", "must not be empty"),
        ("colleagues.0.lead_id", "x" * 257, "must have at most 256 characters"),
        ("colleagues.0.job_title", MARK, "is not a known field"),
        ("colleagues.0.attributes", None, "must be an object"),
        ("colleagues.0.attributes.job_title", [], ATTRIBUTE),
        ("colleagues.0.attributes.lead_id", MARK, "is not an attribute but a field of its own"),
        (
            "colleagues.0.attributes",
            {f"a{i}": 1 for i in range(201)},
            "must have at most 200 entries",
        ),
    ],
)
def test_a_value_of_another_type_or_size_is_refused_by_name(client, path, value, reason):
    assert wrong_fields(client, changed(path, value)) == {path: reason}


@pytest.mark.parametrize(
    "field", ["as_of", "lead.created_at", "events.0.occurred_at", "outcomes.1.occurred_at"]
)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2026-11-20T10:00:00", "must state its zone, such as 2026-01-31T09:00:00Z"),
        ("2026-11-20 10:00:00.5", "must state its zone, such as 2026-01-31T09:00:00Z"),
        ("2026-11-20", "must be a time such as 2026-01-31T09:00:00Z"),
        ("20261120T100000Z", "must be a time such as 2026-01-31T09:00:00Z"),
        ("2026-W47-5T10:00:00Z", "must be a time such as 2026-01-31T09:00:00Z"),
        ("٢٠٢٦-11-20T10:00:00Z", "must be a time such as 2026-01-31T09:00:00Z"),
        ("yesterday", "must be a time such as 2026-01-31T09:00:00Z"),
        ("", "must be a time such as 2026-01-31T09:00:00Z"),
        ("2026-02-30T10:00:00Z", "must be a time that exists"),
        ("2026-11-20T24:00:01Z", "must be a time that exists"),
        ("2026-11-20T10:00:60Z", "must be a time that exists"),
        ("2026-11-20T10:00:00+24:00", "must be a time that exists"),
        ("0000-11-20T10:00:00Z", "must be a time that exists"),
        ("0001-01-01T00:00:00+14:00", "must be a time that exists"),
        ("1989-12-31T23:59:59Z", "must not be before 1990-01-01"),
        ("1990-01-01T00:00:00+00:01", "must not be before 1990-01-01"),
        ("2026-11-21T10:05:00.000001Z", "must not be in the future"),
        ("9999-12-31T23:59:59-14:00", "must be a time that exists"),
        ("9999-12-31T23:59:59Z", "must not be in the future"),
        (1763719200, "must be a time as text, such as 2026-01-31T09:00:00Z"),
        (True, "must be a time as text, such as 2026-01-31T09:00:00Z"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused_by_name(client, field, value, reason):
    assert wrong_fields(client, changed(field, value)) == {field: reason}


def test_five_minutes_of_clock_skew_are_allowed(client):
    response = client.post("/v1/predictions", json=request(as_of="2026-11-21T10:05:00Z"))
    assert response.status_code == 200
    assert response.json()["as_of"] == "2026-11-21T10:05:00Z"


def test_a_lead_created_after_the_as_of_time_is_refused(client):
    found = wrong_fields(client, request(as_of="2026-05-02T08:54:59Z"))
    assert found == {"lead.created_at": "must not be after as_of"}


def test_a_colleague_with_the_lead_s_own_id_is_refused_by_name(client):
    found = wrong_fields(client, request(colleagues=[{"lead_id": "L2"}, {"lead_id": " L1 "}]))
    assert found == {"colleagues.1.lead_id": "is the lead itself, not a colleague"}


def test_a_colleague_who_is_listed_twice_is_refused_by_name(client):
    twice = [{"lead_id": name, "attributes": {"job_title": name}} for name in ("L2", "L3", "L2 ")]
    found = wrong_fields(client, request(colleagues=twice))
    assert found == {"colleagues.2.lead_id": "is listed more than once"}


def test_contradictions_are_named_together(client):
    colleagues = [{"lead_id": name} for name in ("L1", "L2", "L2")]
    body = request(as_of="2026-05-01T00:00:00Z", colleagues=colleagues)
    assert wrong_fields(client, body) == {
        "lead.created_at": "must not be after as_of",
        "colleagues.0.lead_id": "is the lead itself, not a colleague",
        "colleagues.2.lead_id": "is listed more than once",
    }


@pytest.mark.parametrize(
    "missing",
    [
        "outcomes.1.lead_id",
        "outcomes.1.occurred_at",
        "outcomes.1.outcome",
        "colleagues.0.lead_id",
    ],
)
def test_a_missing_field_of_an_entry_is_named(client, missing):
    body = request()
    rows, place, name = missing.split(".")
    del body[rows][int(place)][name]
    assert wrong_fields(client, body) == {missing: "is required"}


@pytest.mark.parametrize("missing", ["lead", "lead.lead_id", "lead.created_at"])
def test_a_missing_field_is_named(client, missing):
    body = request()
    *steps, last = missing.split(".")
    del (body[steps[0]] if steps else body)[last]
    assert wrong_fields(client, body) == {missing: "is required"}


@pytest.mark.parametrize("missing", ["lead_id", "occurred_at", "event_type"])
def test_a_missing_field_of_an_event_is_named(client, missing):
    row = event()
    del row[missing]
    found = wrong_fields(client, request(events=[event(), row]))
    assert found == {f"events.1.{missing}": "is required"}


@pytest.mark.parametrize(
    "path",
    [
        "lead.lead_id",
        "events.1.value",
        "lead.attributes.x",
        "as_of",
        "outcomes.0.recorded_at",
        "colleagues.0.attributes.x",
        "colleagues",
    ],
)
def test_a_key_that_is_given_twice_is_refused_by_name(client, path):
    key = path.split(".")[-1]
    text = raw(path, "@@@").replace(f'"{key}": @@@', f'"{key}": null, "{key}": null')
    assert wrong_fields(client, text) == {path: "is given more than once"}


def test_all_wrong_fields_are_named_up_to_twenty(client):
    body = request(events=[event(a=1, b=2, c=3, d=4, e=5, f=6)] * 4)
    found = problem(client.post("/v1/predictions", json=body), 422)
    assert len(found["errors"]) == 20
    assert found["detail"] == "24 wrong fields, the first 20 of them named"


def test_a_key_that_the_sender_chose_is_repeated_short_and_plain_only(client):
    key = "<script>" + "k" * 5000
    (field,) = wrong_fields(client, changed(f"lead.{key}", 1))
    assert field == "lead._script_" + "k" * 32
    (field,) = wrong_fields(client, changed("lead.attributes.a\r\nX-Evil: 1", []))
    assert field == "lead.attributes.a__X-Evil__1"


@pytest.mark.parametrize(
    "path",
    [
        "lead.lead_id",
        "events.0.content",
        "lead.attributes.x",
        "outcomes.0.outcome",
        "colleagues.0.lead_id",
        "colleagues.0.attributes.x",
    ],
)
@pytest.mark.parametrize(
    ("literal", "reason"),
    [
        (r'"\ud800"', "must be valid Unicode"),
        (r'"a\udc00"', "must be valid Unicode"),
        (r'"a\u0000b"', "must not hold the character NUL"),
    ],
)
def test_text_that_is_no_text_is_refused_by_name(client, path, literal, reason):
    assert wrong_fields(client, raw(path, literal)) == {path: reason}


def test_a_key_that_is_no_text_is_refused(client):
    for place in ("lead", "account.attributes"):
        text = raw(f"{place}.KEY", "1").replace('"KEY"', r'"\ud800"')
        (field,) = wrong_fields(client, text)
        assert field in (place, f"{place}.___")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1,]",
        b"'x'",
        b'{"lead": \xff}',
        b'{"lead": {"lead_id": "\xed\xa0\x80"}}',
        b"\xef\xbb\xbf{}",
        b'{"lead": "\x00"}',
        b'{"lead": "a\nb"}',
        json.dumps(request()).encode("utf-16"),
        b"\x1f\x8b\x08\x00",
        b"nan",
    ],
)
def test_a_body_that_is_not_json_is_a_400(client, content):
    assert problem(post(client, content), 400)["title"] == "The body is not JSON"


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 50_000,
        b'{"lead":' * 7_000,
        b'{"lead": {"attributes": {"x": ' + b"[" * 50_000 + b"]" * 9_000 + b"}}}",
        b'{"events": [{"value": ' + b"9" * 5_000 + b"}]}",
        b'{"explain": -' + b"9" * 50_000 + b"}",
    ],
)
def test_depth_and_digits_without_end_are_refused_at_once(client, content):
    started = time.perf_counter()
    problem(post(client, content), 400)
    assert time.perf_counter() - started < 0.5


def test_deep_but_parsable_values_are_refused_by_name(client):
    text = raw("lead.attributes.x", "[" * 300 + "]" * 300)
    assert wrong_fields(client, text) == {"lead.attributes.x": ATTRIBUTE}


@pytest.mark.parametrize("value", [None, 1, "x", [], True])
def test_a_body_that_is_no_object_is_refused(client, value):
    assert wrong_fields(client, json.dumps(value)) == {"body": "must be an object"}


@pytest.mark.parametrize("value", [{}, request(), None, 1, "x"])
def test_a_batch_that_is_no_list_is_refused(client, value):
    response = client.post("/v1/predictions:batch", content=json.dumps(value), headers=JSON)
    found = problem(response, 422)
    assert found["errors"] == [{"field": "body", "reason": "must be a list"}]


def test_a_batch_of_too_many_items_is_a_413(client):
    assert client.post("/v1/predictions:batch", json=[{}] * 3).status_code == 200
    problem(client.post("/v1/predictions:batch", json=[{}] * 4), 413)


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "", "application/x-www-form-urlencoded", "application/json; charset=latin1"],
)
def test_another_content_type_is_a_415(client, kind):
    problem(post(client, json.dumps(request()), **{"Content-Type": kind}), 415)


def test_json_in_utf_8_may_be_said_in_several_ways(client):
    for kind in ("application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"'):
        assert post(client, json.dumps(request()), **{"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_a_415_and_is_not_unpacked(client, encoding):
    problem(post(client, b"\x1f\x8b", **{"Content-Encoding": encoding}), 415)


def test_a_body_over_the_cap_is_a_413_whether_or_not_it_says_so(client):
    large = json.dumps(request()) + " " * 60_000
    problem(post(client, large), 413)
    problem(post(client, (large[i : i + 1000].encode() for i in range(0, len(large), 1000))), 413)
    problem(post(client, large, **{"Content-Length": "10"}), 413)
    problem(post(client, "{}", **{"Content-Length": "99999999999999999999999"}), 413)


def test_a_batch_has_a_cap_of_its_own(client):
    fits_a_batch = json.dumps([request()]) + " " * 70_000
    path = "/v1/predictions:batch"
    assert client.post(path, content=fits_a_batch, headers=JSON).status_code == 200
    problem(client.post(path, content=fits_a_batch + " " * 40_000, headers=JSON), 413)


def test_nothing_of_a_refused_body_is_in_the_answer(client):
    body = request(events=[{MARK: MARK, "lead_id": [MARK], "occurred_at": MARK, "value": MARK}])
    body["lead"] |= {"lead_id": {"x": MARK}, "created_at": MARK, "account_id": [MARK]}
    body["outcomes"] = [{"lead_id": [MARK], "occurred_at": MARK, "outcome": {"x": MARK}}]
    body["colleagues"] = [{"lead_id": {"x": MARK}, "attributes": {"x": [MARK]}}, MARK]
    response = client.post("/v1/predictions", json=body)
    # The one thing repeated is the name of an unknown key, and that only short and plain.
    text = response.text.replace(f'"field":"events.0.{MARK}"', "")
    assert response.status_code == 422
    assert MARK not in text
