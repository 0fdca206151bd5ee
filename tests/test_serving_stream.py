"""NDJSON: line by line what a batch answers, in bounded memory, and errors in their place."""

import json

import pytest

from tests.serving_requests import changed, event, request, serve

pytest_plugins = ["tests.serving_world"]
STREAM = "/v1/predictions:stream"
TYPE = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def client(world):
    with serve(world.boosted, max_events=50, max_body_bytes=20_000) as client:
        yield client


def sent(client, *lines, end="\n"):
    """Return the answers to lines."""
    body = "\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines) + end
    response = client.post(STREAM, content=body.encode(), headers=TYPE)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.text.endswith("\n") or not response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_lines_are_answered_in_order_as_a_batch_answers_them(client):
    items = [
        request(events=[event(occurred_at=f"2026-11-{day:02}T10:00:00Z")], explain=day % 2 == 0)
        for day in range(1, 21)
    ] * 13
    items[7] = request(horizons_days=[7, 45])
    assert sent(client, *items) == client.post("/v1/predictions:batch", json=items).json()


def test_the_last_line_needs_no_break_and_blank_lines_are_none(client):
    alone = client.post("/v1/predictions", json=request()).json()
    assert sent(client, request(), "", "  ", request(), end="") == [alone, alone]
    assert sent(client, "", end="") == []


def test_a_bad_line_is_an_error_in_its_place_and_the_others_are_scored(client):
    twice = json.dumps(request()).replace('"as_of": ', '"as_of": null, "as_of": ')
    lines = [request(), "{", changed("as_of", "2020"), twice, "x" * 20_001, "\xff{", request()]
    first, broken, odd, repeated, long, other, last = sent(client, *lines)
    assert first == last == client.post("/v1/predictions", json=request()).json()
    assert broken["error"]["status"] == other["error"]["status"] == 400
    assert [wrong["field"] for wrong in odd["error"]["errors"]] == ["as_of"]
    assert repeated["error"]["errors"] == [{"field": "as_of", "reason": "is given more than once"}]
    assert long["error"]["status"] == 413
    assert "x" * 30 not in json.dumps(long)


def test_a_line_of_any_number_of_pieces_is_one_line(client):
    whole = (json.dumps(request()) + "\n").encode() * 3
    pieces = (whole[start : start + 97] for start in range(0, len(whole), 97))
    response = client.post(STREAM, content=pieces, headers=TYPE)
    alone = client.post("/v1/predictions", json=request()).json()
    assert [json.loads(line) for line in response.text.splitlines()] == [alone] * 3


def test_a_stream_may_be_far_larger_than_a_body(client):
    lines = [request(explain=False)] * 400
    found = sent(client, *lines)
    assert len(json.dumps(lines)) > 20_000 * 10
    assert len(found) == 400
    assert all(answer == found[0] for answer in found)


@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
def test_another_type_of_body_is_refused(client, kind):
    response = client.post(STREAM, content=b"{}", headers={"Content-Type": kind})
    assert response.status_code == 415
    assert "application/x-ndjson" in response.json()["detail"]
