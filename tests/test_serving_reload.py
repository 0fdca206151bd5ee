"""Replacing the model while it is being served: all at once, or not at all."""

import io
import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from intentcast.scoring import load_bundle
from serving.models import ReloadUnderWayError, ServedModel
from serving.places import Place
from tests.serving_registry import replaced
from tests.serving_requests import KEY, request, serve

pytest_plugins = ["tests.serving_world"]

PATH = "/v1/model:reload"


def reload(client, key=KEY):
    return client.post(PATH, headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
def link(world, tmp_path):
    """Return a link to the boosted bundle, as a deployment would have it."""
    link = tmp_path / "current"
    link.symlink_to(world.boosted)
    return link


def point(link, bundle):
    """Let the link point elsewhere, in one step."""
    beside = link.with_name("next")
    beside.symlink_to(bundle)
    beside.rename(link)


def test_a_reload_swaps_the_model(world, link):
    with serve(link, admin_key=KEY) as client:
        assert client.get("/v1/model").json()["version"] == "2026-01-02.1"
        point(link, world.logistic)
        assert client.post("/v1/predictions", json=request()).json()["step"] == "lightgbm"
        answer = reload(client)
        assert answer.status_code == 200
        assert answer.json() == client.get("/v1/model").json()
        assert answer.json()["version"] == "2026-01-02.2"
        assert client.post("/v1/predictions", json=request()).json()["step"] == "logistic"
        text = client.get("/metrics").text
        assert 'version="2026-01-02.2"' in text
        assert 'version="2026-01-02.1"' not in text


def test_a_reload_makes_a_server_ready_that_started_without_a_bundle(world, tmp_path):
    link = tmp_path / "current"
    with serve(link, admin_key=KEY) as client:
        assert client.get("/readyz").status_code == 503
        link.symlink_to(world.logistic)
        assert reload(client).status_code == 200
        assert client.get("/readyz").status_code == 200


def refused(client, headers, log):
    """Return the status and kind of a refused reload, having seen that it tells nothing."""
    response = client.post(PATH, headers=headers)
    assert response.headers["content-type"] == "application/problem+json"
    assert ("www-authenticate" in response.headers) == (response.status_code == 401)
    assert KEY not in response.text + log.getvalue()
    return response.status_code, response.json()["type"].removeprefix("urn:intentcast:problem:")


@pytest.fixture(scope="module")
def guarded(world):
    """Return a client of a server whose reload needs a key, and its log."""
    log = io.StringIO()
    with serve(world.logistic, log_to=log, admin_key=KEY) as client:
        yield client, log


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({}, 401, "no-key"),
        ({"Authorization": KEY}, 401, "no-key"),
        ({"Authorization": "Bearer"}, 401, "no-key"),
        ({"Authorization": f"Basic {KEY}"}, 401, "no-key"),
        ({"Authorization": f"Bearer {KEY}x"}, 403, "wrong-key"),
        ({"Authorization": f"Bearer {KEY[:-1]}"}, 403, "wrong-key"),
        ({"Authorization": "Bearer \xff\xfe".encode("latin-1")}, 403, "wrong-key"),
    ],
)
def test_only_the_admin_key_may_reload(guarded, headers, status, kind):
    client, log = guarded
    assert refused(client, headers, log) == (status, kind)


@pytest.mark.parametrize(("key", "given"), [(None, KEY), ("", "")])
def test_without_an_admin_key_nobody_may_reload(world, key, given):
    log = io.StringIO()
    with serve(world.logistic, log_to=log, admin_key=key) as client:
        headers = {"Authorization": f"Bearer {given}"}
        assert refused(client, headers, log) == (403, "reload-off")


def test_a_key_need_not_be_ascii(world):
    with serve(world.logistic, admin_key="schlüssel-ß") as client:
        headers = {"Authorization": "Bearer schlüssel-ß".encode()}
        assert client.post(PATH, headers=headers).status_code == 200


def test_a_damaged_bundle_is_refused_and_the_old_one_goes_on(world, tmp_path):
    folder = tmp_path / "bundles" / "here"
    shutil.copytree(world.boosted, folder)
    with serve(folder, admin_key=KEY) as client:
        before = client.post("/v1/predictions", json=request()).json()
        names = sorted(path.name for path in folder.iterdir())
        assert {"model.txt", "manifest.json", "themes.npz", "golden.json"} <= set(names)
        for name in names:
            path = folder / name
            whole = path.read_bytes()
            at = len(whole) // 2
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            response = reload(client)
            assert response.status_code == 422, name
            assert response.json()["title"] == "The bundle cannot be served"
            assert name in response.json()["detail"]
            assert "/" not in response.json()["detail"]
            path.unlink()
            assert reload(client).status_code == 422, name
            path.write_bytes(whole)
            assert client.post("/v1/predictions", json=request()).json() == before
            assert client.get("/readyz").status_code == 200
        assert reload(client).status_code == 200
        text = client.get("/metrics").text
        assert f'intentcast_reloads_total{{result="refused"}} {2 * len(names)}.0' in text


def test_a_model_that_gives_other_golden_answers_is_refused(world, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(world.logistic, folder)
    rows = json.loads((folder / "golden.json").read_text())
    rows[0]["probabilities"][0] += 1e-6
    replaced(folder, "golden.json", json.dumps(rows).encode())
    with serve(folder, admin_key=KEY) as client:
        assert client.get("/readyz").status_code == 503
        assert "golden row" in reload(client).json()["detail"]


def test_whatever_a_library_raises_the_old_model_goes_on(link, monkeypatch):
    with serve(link, admin_key=KEY) as client:

        def fails(_folder):
            raise MemoryError("of /secret/path")

        monkeypatch.setattr(client.app.state.server.model, "_load", fails)
        response = reload(client)
        assert response.status_code == 422
        assert response.json()["detail"] == "the bundle could not be read (MemoryError)"
        assert client.post("/v1/predictions", json=request()).status_code == 200


def test_one_reload_at_a_time(world):
    started, go_on = threading.Event(), threading.Event()

    def slow(folder):
        started.set()
        assert go_on.wait(10)
        return load_bundle(folder)

    model = ServedModel(Place(world.logistic), load=slow)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(model.reload)
        assert started.wait(10)
        with pytest.raises(ReloadUnderWayError):
            model.reload()
        assert model.bundle is None
        go_on.set()
        assert first.result(10) is model.bundle


def test_every_answer_is_wholly_of_one_version_while_models_are_swapped(world, link):
    with serve(link, admin_key=KEY) as client:
        expected = {}
        for bundle in (world.boosted, world.logistic):
            point(link, bundle)
            version = reload(client).json()["version"]
            expected[version] = client.post("/v1/predictions", json=request()).json()
        stop, pairs = threading.Event(), []

        def ask():
            while not stop.is_set():
                pairs.append(client.post("/v1/predictions:batch", json=[request()] * 2).json())

        def answered_by():
            return {first["model"]["version"] for first, _ in list(pairs)}

        with ThreadPoolExecutor() as pool:
            asking = [pool.submit(ask) for _ in range(2)]
            give_up, n = time.monotonic() + 60, 0
            # Reloads are quicker than answers: go on until both models have answered.
            try:
                while n < 10 or (answered_by() != set(expected) and time.monotonic() < give_up):
                    point(link, (world.boosted, world.logistic)[n % 2])
                    assert reload(client).status_code == 200
                    n += 1
            finally:
                stop.set()
            for job in asking:
                job.result(30)
    assert answered_by() == set(expected)
    for first, second in pairs:
        assert first == second == expected[first["model"]["version"]]
