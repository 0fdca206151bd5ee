"""The client: typed answers, typed errors, and what it tries again."""

import json
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from intentcast.client import (
    Client,
    NotAllowedError,
    Prediction,
    RequestRefusedError,
    UnavailableError,
)
from intentcast.errors import InputError, IntentcastError
from tests.serving_requests import request, serve

pytest_plugins = ["tests.serving_world"]

PROBLEM = {"type": "urn:intentcast:problem:overloaded", "detail": "busy", "status": 503}
INVALID = {
    "type": "urn:intentcast:problem:invalid-request",
    "detail": "1 wrong field",
    "errors": [{"field": "lead.lead_id", "reason": "is required"}],
}


@pytest.fixture(scope="module")
def answer(world):
    """Return a real answer of the server."""
    with serve(world.logistic) as client:
        return client.post("/v1/predictions", json=request()).json()


@pytest.fixture
def script():
    """Give an address that answers as told: a list of status, headers and body; then it closes."""
    told, seen = [], []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            seen.append((self.command, self.path, dict(self.headers), body))
            if not told:
                self.close_connection = True
                return
            status, headers, body = told.pop(0)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    server.told, server.seen = told, seen
    server.address_text = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(script):
    """Return a client whose pauses take no time but are written down."""
    pauses = []
    with Client(script.address_text, key="ic_secret", timeout=5, sleep=pauses.append) as client:
        client.pauses = pauses
        yield client


def test_an_answer_is_typed_and_whole(client, script, answer):
    script.told.append((200, {}, answer))
    found = client.predict(request())
    assert isinstance(found, Prediction)
    assert found.lead_id == "L1"
    assert found.as_of.isoformat() == "2026-11-21T10:00:00+00:00"
    assert found.probability(30) == answer["probabilities"][0]["probability"]
    assert found.reasons[0].text == answer["reasons"][0]["text"]
    assert found.model.sha256 == answer["model"]["sha256"]
    assert found.raw == answer
    with pytest.raises(InputError, match="one of 30, 90"):
        found.probability(31)
    ((method, path, headers, body),) = script.seen
    assert (method, path) == ("POST", "/v1/predictions")
    assert headers["Authorization"] == "Bearer ic_secret"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == request()


def test_fields_that_a_newer_server_adds_do_no_harm(answer):
    newer = {**answer, "mood": "good", "model": {**answer["model"], "colour": "blue"}}
    assert Prediction.from_json(newer).raw["mood"] == "good"


def test_a_batch_keeps_its_order_and_gives_errors_in_their_place(client, script, answer):
    invalid = {"error": {**INVALID, "status": 422}}
    script.told.append((200, {"X-Request-ID": "abc"}, [answer, invalid, answer]))
    first, second, third = client.predict_batch([request(), {}, request()])
    assert first == third
    assert isinstance(second, RequestRefusedError)
    assert second.wrong_fields == {"lead.lead_id": "is required"}
    assert second.request_id == "abc"


def test_an_item_that_the_server_failed_at_is_its_failure_not_the_request_s(client, script, answer):
    failed = {"type": "urn:intentcast:problem:unexpected", "status": 500, "request_id": "r1"}
    script.told.append((200, {}, [{"error": {**failed, "detail": "an unexpected error"}}, answer]))
    first, second = client.predict_batch([request(), request()])
    assert isinstance(first, UnavailableError)
    assert (first.status, first.request_id) == (500, "r1")
    assert "an unexpected error" in str(first)
    assert isinstance(second, Prediction)


@pytest.mark.parametrize("status", [429, 503])
def test_what_says_when_to_ask_again_is_asked_again_then(client, script, answer, status):
    script.told += [(status, {"Retry-After": "2"}, PROBLEM)] * 2 + [(200, {}, answer)]
    assert client.predict(request()).tier == answer["tier"]
    for pause, more in zip(client.pauses, (0.1, 0.2), strict=True):
        assert 2.0 + more / 2 <= pause <= 2.0 + more
    assert len(script.seen) == 3


def test_a_date_will_do_and_nonsense_is_as_if_nothing_were_said(client, script, answer):
    later = formatdate(time.time() + 3, usegmt=True)
    script.told += [
        (503, {"Retry-After": later}, PROBLEM),
        (503, {"Retry-After": "soon"}, b"<html>busy</html>"),
        (503, {"Retry-After": "-1"}, b"[1]"),
        (503, {}, PROBLEM),
        (200, {}, answer),
    ]
    client.predict(request())
    assert 1.5 < client.pauses[0] <= 3.1
    # Doubling from a tenth of a second, each somewhere in its upper half.
    for pause, most in zip(client.pauses[1:], (0.2, 0.4, 0.8), strict=True):
        assert most / 2 <= pause <= most


def test_what_says_to_ask_again_at_once_is_not_asked_without_end(client, script, answer):
    script.told += [(503, {"Retry-After": "0"}, PROBLEM)] * 3 + [(200, {}, answer)]
    client.predict(request())
    for pause, most in zip(client.pauses, (0.1, 0.2, 0.4), strict=True):
        assert most / 2 <= pause <= most


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>hello</html>"), (200, b""), (200, {}), (200, [1]), (200, b"1"), (200, b"\xff"),
     (204, b""), (302, b"<html>elsewhere</html>"), (201, {})],
)  # fmt: skip
def test_what_no_server_of_ours_says_is_a_typed_error(client, script, status, body):
    asked = [lambda: client.predict(request()), lambda: client.predict_batch([request()])]
    if body != {}:
        asked.append(client.model)
    for ask in asked:
        script.told.append((status, {"X-Request-ID": "abc"}, body))
        with pytest.raises(UnavailableError, match=f"{status}: not what") as failed:
            ask()
        assert (failed.value.status, failed.value.request_id) == (status, "abc")
    assert len(script.seen) == len(asked)


def test_beyond_its_patience_it_gives_up_at_once(client, script):
    script.told.append((429, {"Retry-After": "3600"}, PROBLEM))
    with pytest.raises(UnavailableError, match="429: busy") as gave_up:
        client.predict(request())
    assert gave_up.value.status == 429
    assert client.pauses == []


def test_a_connection_that_breaks_is_opened_again(script, answer):
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        script.told.append((200, {}, answer))

    script.told.append((200, {"Connection": "close"}, answer))
    with Client(script.address_text, sleep=sleep) as client:
        client.predict(request())
        assert not client.is_ready()
        assert client.predict(request()).tier == answer["tier"]
    assert len(pauses) == 1


def test_where_nobody_listens_it_gives_up_when_its_patience_ends():
    impatient = Client("http://127.0.0.1:9", timeout=1, patience=0.3)
    with pytest.raises(UnavailableError, match="no answer") as gave_up:
        impatient.model()
    assert gave_up.value.status is None


def test_a_server_that_never_answers_costs_the_time_out_and_no_more(script):
    del script.told[:]
    started = time.monotonic()
    with pytest.raises(UnavailableError):
        Client(script.address_text, timeout=0.2, patience=0.5).model()
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, RequestRefusedError), (413, RequestRefusedError), (422, RequestRefusedError),
     (401, NotAllowedError), (403, NotAllowedError), (500, UnavailableError)],
)  # fmt: skip
def test_other_errors_are_typed_and_not_tried_again(client, script, status, kind):
    script.told.append((status, {"X-Request-ID": "abc"}, INVALID))
    with pytest.raises(kind) as refused:
        client.predict({})
    assert isinstance(refused.value, IntentcastError)
    assert len(script.seen) == 1
    assert "ic_secret" not in str(refused.value) + repr(client)
    if kind is RequestRefusedError:
        assert refused.value.kind == "invalid-request"
        assert "lead.lead_id is required" in str(refused.value)
        assert refused.value.request_id == "abc"


@pytest.mark.parametrize(
    "address",
    ["", "127.0.0.1:8080", "ftp://x", "http://", "http://h:99999", "http://h:port", "http://[::1"],
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InputError, match="the address"):
        Client(address)


def test_a_number_that_json_does_not_have_is_refused_before_it_is_sent(client, script):
    with pytest.raises(ValueError, match="Out of range"):
        client.predict({"lead": float("nan")})
    assert script.seen == []


def test_it_imports_nothing_that_a_caller_would_wait_for():
    import subprocess
    import sys

    heavy = "{'numpy', 'polars', 'pydantic'} & {*sys.modules}"
    code = f"import sys, intentcast; intentcast.Client; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
