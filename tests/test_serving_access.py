"""Keys, scopes, rates and the address that may be listened on."""

import asyncio
import hashlib
import io
import json
import re
import time
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.errors import InputError
from serving.admission import Admission, Load
from serving.keys import Key, Keyring, new_entry, read_keys
from serving.keys import main as make_key
from serving.observations import log_id_of
from serving.rates import RateLimit, Tab
from serving.settings import Settings, is_loopback, refuse_open
from tests.serving_registry import ADMIN, SCORE, with_key, write_keys
from tests.serving_requests import KEY, request, serve

pytest_plugins = ["tests.serving_world"]

ONE, BATCH = "/v1/predictions", "/v1/predictions:batch"


@pytest.fixture(scope="module")
def log():
    return io.StringIO()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return write_keys(tmp_path_factory.mktemp("keys") / "keys.toml")


@pytest.fixture(scope="module")
def client(world, keys, log):
    with serve(world.logistic, log_to=log, keys=keys, admin_key=KEY, watch_seconds=0) as client:
        yield client


def status(client, method, path, key):
    headers = with_key(key) if key else {}
    return client.request(method, path, headers=headers, content=json.dumps(request())).status_code


@pytest.mark.parametrize(
    ("method", "path", "without", "score", "admin"),
    [
        ("GET", "/livez", 200, 200, 200),
        ("GET", "/readyz", 200, 200, 200),
        ("GET", "/openapi.json", 200, 200, 200),
        ("GET", "/metrics", 401, 200, 200),
        ("GET", "/v1/model", 401, 200, 200),
        ("POST", ONE, 401, 200, 403),
        ("POST", BATCH, 401, 422, 403),
        ("POST", "/v1/model:reload", 401, 403, 200),
        ("GET", "/nothing", 401, 404, 404),
    ],
)
def test_each_scope_may_do_its_own(client, method, path, without, score, admin):
    found = [status(client, method, path, key) for key in (None, SCORE, ADMIN)]
    assert found == [without, score, admin]
    if without == 401:
        assert status(client, method, path, SCORE + "x") == 403


def test_the_admin_key_of_the_environment_still_reloads_and_does_no_more(client):
    assert status(client, "POST", "/v1/model:reload", KEY) == 200
    assert status(client, "POST", ONE, KEY) == 403


def test_keys_are_never_in_answers_or_in_the_log(client, log):
    for key in (SCORE, ADMIN, KEY, "ic_wrong"):
        answer = client.post(ONE, headers=with_key(key), json=request())
        assert key not in answer.text
    text = log.getvalue()
    assert not any(key in text for key in (SCORE, ADMIN, KEY, "ic_wrong"))
    assert {"crm", "deployer"} <= {json.loads(line).get("key") for line in text.splitlines()}


def test_two_authorization_headers_are_none(client):
    headers = [("Authorization", f"Bearer {SCORE}")] * 2
    assert client.post(ONE, headers=headers, json=request()).status_code == 401


def test_a_refused_request_s_body_is_not_read(client):
    # It would be a 415 or a 413, had anybody looked at it.
    answer = client.post(ONE, content=b"\x00" * 2_000_000, headers={"Content-Type": "x"})
    assert answer.status_code == 401


def test_every_key_is_compared_whichever_matches(monkeypatch):
    import hmac

    compared = []
    same = hmac.compare_digest

    def counting(a, b):
        compared.append(len(a) == len(b) == 32)
        return same(a, b)

    monkeypatch.setattr("serving.keys.hmac.compare_digest", counting)
    names = [f"k{i}" for i in range(5)]
    made = [
        Key(name=name, sha256=hashlib.sha256(name.encode()).hexdigest(), scopes=("score",))
        for name in names
    ]
    ring = Keyring(tuple(made), is_required=True)
    for given_key, expected in (("k0", "k0"), ("k4", "k4"), ("none", None)):
        compared.clear()
        found = ring.find(given_key.encode())
        assert (found.name if found else None) == expected
        assert compared == [True] * 5


def test_a_new_key_is_valid_with_its_entry_and_printed_once(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["serving.keys", "crm"])
    assert make_key() == 0
    printed = capsys.readouterr()
    key = printed.err.split()[-1]
    assert len(key) > 40
    assert key not in printed.out
    path = tmp_path / "keys.toml"
    path.write_text(printed.out + new_entry("other", ("admin", "score"))[1])
    ring = read_keys(Settings(keys=path))
    assert ring.find(key.encode()).name == "crm"
    assert ring.find(key[:-1].encode()) is None
    assert tomllib.loads(printed.out)["key"][0]["scopes"] == ["score"]


@pytest.mark.parametrize(
    "text",
    [
        "", "key = 1", "[[key]]\nname = 'a'", "\x00",
        "[[key]]\nname='a'\nsha256='SECRET'\nscopes=[]",
        "[[key]]\nname='a b'\nsha256='" + "a" * 64 + "'\nscopes=['score']",
        "[[key]]\nname='a'\nsha256='" + "a" * 64 + "'\nscopes=['root']",
        ("[[key]]\nname='a'\nsha256='" + "a" * 64 + "'\nscopes=['score']\n") * 2,
        "[[key]]\nname='a'\nsha256='" + "a" * 64 + "'\nscopes=['score']\nkey='SECRET'",
    ],
)  # fmt: skip
def test_a_file_that_is_not_one_of_keys_is_refused_without_its_contents(tmp_path, text):
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"keys\.toml cannot be used") as refused:
        read_keys(Settings(keys=path))
    assert "SECRET" not in str(refused.value)
    with pytest.raises(InputError, match="No such file"):
        read_keys(Settings(keys=tmp_path / "absent"))


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.1.2.3", False), ("example.org", False), ("", False),
    ],
)  # fmt: skip
def test_only_loopback_may_be_listened_on_without_keys(host, is_local, tmp_path):
    assert is_loopback(host) == is_local
    refuse_open(Settings(host=host, without_keys=True))
    refuse_open(Settings(host=host, keys=tmp_path / "keys.toml"))
    if is_local:
        refuse_open(Settings(host=host))
    else:
        # The admin key guards reload alone, so it is not enough.
        with pytest.raises(InputError, match="no keys"):
            refuse_open(Settings(host=host, admin_key=KEY))


def test_a_key_s_rate_is_a_429_that_says_when_and_another_key_s_is_its_own(world, tmp_path):
    keys = write_keys(tmp_path / "keys.toml", leads_per_second=0.5, burst=3)
    with serve(world.logistic, keys=keys, admin_key=None) as client:
        found = [client.post(ONE, json=request(), headers=with_key()) for _ in range(5)]
        assert [answer.status_code for answer in found] == [200, 200, 200, 429, 429]
        assert found[-1].headers["retry-after"] in ("1", "2")
        assert found[-1].json()["type"] == "urn:intentcast:problem:too-many-requests"
        assert client.get("/v1/model", headers=with_key()).status_code == 200


def test_a_batch_is_answered_and_then_paid_for(world):
    with serve(world.logistic, leads_per_second=1) as client:
        assert client.post(BATCH, json=[request()] * 25).status_code == 200
        later = client.post(ONE, json=request())
        assert later.status_code == 429
        assert 10 <= int(later.headers["retry-after"]) <= 16


def test_a_stream_is_answered_as_fast_as_its_key_s_rate_and_leaves_no_long_debt(world, tmp_path):
    keys = write_keys(tmp_path / "keys.toml", leads_per_second=50, burst=5)
    with serve(world.logistic, keys=keys, admin_key=None) as client:
        body = (json.dumps(request(explain=False)) + "\n").encode() * 60
        started = time.monotonic()
        headers = with_key(**{"Content-Type": "application/x-ndjson"})
        answer = client.post("/v1/predictions:stream", content=body, headers=headers)
        # All but what may come at once, and what the last block leaves to be paid.
        assert time.monotonic() - started >= (60 - 5 - 5) / 50
        assert ["tier" in line for line in map(json.loads, answer.text.splitlines())] == [True] * 60
        assert client.app.state.server.rates.debt("crm", rate=50, burst=5) <= 5 / 50
        # The price has been paid once, not again at the end.
        time.sleep(0.3)
        assert client.post(ONE, json=request(), headers=with_key()).status_code == 200


@given(
    rate=st.floats(0.1, 1000),
    burst=st.floats(1, 100),
    n_leads=st.lists(st.integers(0, 500), min_size=1, max_size=10),
)
def test_a_request_pays_for_each_lead_once_and_its_debt_is_paid_when_it_says(rate, burst, n_leads):
    now = 0.0
    tab = Tab(RateLimit(lambda: now), "a", rate=rate, burst=burst)
    assert tab.admit() == 0
    for n in sorted(n_leads):
        tab.charge(n)
        tab.charge(n)
    n_paid = max(1, *n_leads)
    assert tab.debt() == pytest.approx(max(0.0, n_paid - burst) / rate)
    now = tab.debt() * (1 + 1e-9) + 1e-9
    assert tab.debt() == 0


def test_streams_take_a_part_of_the_places_and_leave_the_rest_to_others():
    load, statuses = Load(most=8, most_bytes=1), []

    async def ask_all():
        go_on = asyncio.Event()

        async def app(_scope, _receive, send):
            await go_on.wait()
            await send({"type": "http.response.start", "status": 200})

        async def send(message):
            statuses.extend([message["status"]] if "status" in message else [])

        admission = Admission(app, load=load, streamed=frozenset({"/v1/predictions:stream"}))

        def asking(path, n):
            scope = {"type": "http", "path": path}
            return [asyncio.ensure_future(admission(scope, None, send)) for _ in range(n)]

        asked = asking("/v1/predictions:stream", 4)
        await asyncio.sleep(0)
        assert statuses == [503, 503]
        asked += asking(ONE, 6) + asking(ONE, 1)
        await asyncio.sleep(0)
        assert statuses == [503, 503, 503]
        assert (load.n, load.n_streams) == (8, 2)
        go_on.set()
        await asyncio.gather(*asked)

    asyncio.run(ask_all())
    assert statuses == [503] * 3 + [200] * 8
    assert (load.n, load.n_streams) == (0, 0)


@given(
    rate=st.floats(0.1, 1000),
    burst=st.floats(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 20)), max_size=60),
)
def test_no_more_is_admitted_than_the_burst_and_the_rate_allow(rate, burst, steps):
    now, spent, dearest = 0.0, 0.0, 0
    limit = RateLimit(lambda: now)
    for pause, more in steps:
        now += pause
        wait = limit.admit("a", rate=rate, burst=burst)
        if wait == 0:
            limit.charge("a", more)
            spent, dearest = spent + 1 + more, max(dearest, more)
        else:
            assert wait <= (1 + dearest) / rate + 1e-6
            moment = now
            now += wait * (1 + 1e-9) + 1e-9
            assert limit.admit("b", rate=rate, burst=burst) == 0
            limit.keep_only(frozenset({"a"}))
            now = moment
        assert spent <= burst + now * rate + 1e-6 + dearest


def test_what_a_key_that_is_gone_had_left_is_forgotten():
    limit = RateLimit(lambda: 0.0)
    for i in range(100):
        limit.admit(f"k{i}", rate=1, burst=1)
    limit.keep_only(frozenset({"k1"}))
    assert limit.admit("k1", rate=1, burst=1) > 0
    assert limit.admit("k2", rate=1, burst=1) == 0
    limit.charge("gone", 10)
    assert limit.admit("gone", rate=1, burst=1) == 0


def test_every_answer_has_the_security_headers(client):
    for answer in (client.get("/livez"), client.get("/nothing"), client.post(ONE)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"


def log_id(how, salt="a", lead="L1"):
    return log_id_of(Settings(log_ids=how, log_salt=salt))(lead)


def test_a_lead_s_id_is_logged_as_a_hash_unless_told_otherwise():
    assert re.fullmatch("[0-9a-f]{16}", log_id("hashed"))
    assert log_id("hashed") == log_id("hashed")
    assert len({log_id("hashed"), log_id("hashed", "b"), log_id("hashed", lead="L2")}) == 3
    # Without a salt of its own each start has another.
    assert log_id("hashed", None) != log_id("hashed", None)
    assert log_id_of(Settings())("L1") not in ("L1", None)
    assert (log_id("plain"), log_id("none")) == ("L1", None)


@pytest.mark.parametrize("how", ["hashed", "none"])
def test_a_lead_s_id_is_in_the_log_line_of_its_request_and_not_in_that_of_a_batch(world, how):
    log = io.StringIO()
    with serve(world.logistic, log_to=log, log_ids=how, log_salt="a") as client:
        client.post(ONE, json=request())
        client.post(BATCH, json=[request()] * 2)
    one, batch = (row for row in map(json.loads, log.getvalue().splitlines()) if "path" in row)
    assert one.get("lead") == log_id(how)
    assert (one["path"], batch["path"]) == (ONE, BATCH)
    assert (batch.get("lead"), batch["leads"]) == (None, 2)
