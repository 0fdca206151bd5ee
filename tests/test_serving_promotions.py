"""Bundles that change under a server: promotions, kill -9, flipped bits. What was good goes on."""

import json
import random
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from intentcast.champions import champion
from intentcast.cli.rollback import run as rollback
from tests.serving_process import PATIENCE, running
from tests.serving_registry import NAME, promote, registry, with_key
from tests.serving_requests import KEY, request, serve

pytest_plugins = ["tests.serving_world"]

ONE = "/v1/predictions"
N_PROMOTIONS, N_KILLS, N_FLIPS = 100, 100, 2000


@pytest.fixture(scope="module")
def expected(world):
    """Return the one right answer of each version."""
    found = {}
    for bundle in (world.boosted, world.logistic):
        with serve(bundle) as client:
            answer = client.post(ONE, json=request()).json()
            found[answer["model"]["version"]] = answer
    assert len(found) == 2
    return found


def ask(server):
    status, _, body = server.ask("POST", ONE, json.dumps(request()))
    assert status == 200, body
    return json.loads(body)


@pytest.mark.slow
def test_20_a_hundred_promotions_and_rollbacks_while_scoring_fail_no_request(
    world, expected, tmp_path
):
    bundles = registry(world, tmp_path / "bundles")
    settings = {"bundle": None, "bundles": bundles, "watch_seconds": 0.02}
    with running(tmp_path=tmp_path, **settings) as server:
        stop, answers = threading.Event(), []

        def keep_asking():
            while not stop.is_set():
                answers.append(ask(server))

        with ThreadPoolExecutor() as pool:
            asking = [pool.submit(keep_asking) for _ in range(3)]
            try:
                for n in range(N_PROMOTIONS):
                    now = champion(bundles, NAME).name
                    if n % 2:
                        rollback(
                            name=NAME, bundles=bundles, reason="a test", registry=tmp_path / "none"
                        )
                    else:
                        other = {world.boosted.name: world.logistic}.get(now, world.boosted)
                        promote(bundles, other.name)
                    champion_now = champion(bundles, NAME).name
                    assert champion_now != now
                    version = champion_now.removeprefix("small-")
                    server.wait_until(lambda v=version: ask(server)["model"]["version"] == v)
            finally:
                stop.set()
            for job in asking:
                job.result(PATIENCE)
        refused = [line for line in server.lines() if line["level"] == "error"]
    assert refused == []
    assert {answer["model"]["version"] for answer in answers} == set(expected)
    for answer in answers:
        assert answer == expected[answer["model"]["version"]]


def one_life(world, expected, folder, rng, *, is_lost):
    """Start, check what is served, promote and reload, and kill -9 at a random moment of it."""
    bundles, kept = folder / "bundles", folder / "kept"
    settings = {"bundle": None, "bundles": bundles, "keep": kept, "watch_seconds": 0.01}
    if is_lost:
        bundles.rename(folder / "away")
    with running(tmp_path=folder, **settings) as server:
        answer = ask(server)
        assert answer == expected[answer["model"]["version"]]
        if is_lost:
            (folder / "away").rename(bundles)
        end = time.monotonic() + rng.uniform(0, 0.5)
        while time.monotonic() < end:
            promote(bundles, rng.choice([world.boosted, world.logistic]).name)
            if rng.random() < 0.5:
                server.ask("POST", "/v1/model:reload", headers=with_key(KEY))
            time.sleep(rng.uniform(0, 0.05))
        # `running` ends with SIGKILL, in whatever the server is doing now.


@pytest.mark.slow
def test_kill_9_at_a_hundred_random_moments_leaves_a_bundle_that_serves(world, expected, tmp_path):
    def lane(number):
        rng = random.Random(number)
        folder = tmp_path / f"lane-{number}"
        registry(world, folder / "bundles")
        for life in range(N_KILLS // 2):
            one_life(world, expected, folder, rng, is_lost=life % 5 == 4)
        # And once more, with the last kill behind it and the registry gone.
        one_life(world, expected, folder, rng, is_lost=True)
        names = [path.name for path in (folder / "kept").iterdir()]
        assert "last-good.json" in names

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lane, range(2)))


def flip_bits(world, folder, n, seed):
    """Flip single bits of a bundle's files; each is refused and the old model goes on."""
    shutil.copytree(world.boosted, folder)
    files = sorted(folder.iterdir())
    rng = random.Random(seed)
    headers = {"Authorization": f"Bearer {KEY}"}
    with serve(folder, admin_key=KEY) as client:
        before = client.post(ONE, json=request()).content
        for _ in range(n):
            path = rng.choice(files)
            whole = path.read_bytes()
            at, bit = rng.randrange(len(whole)), rng.randrange(8)
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            refused = client.post("/v1/model:reload", headers=headers)
            assert refused.status_code == 422, (path.name, at, bit)
            assert client.post(ONE, json=request()).content == before
            path.write_bytes(whole)
        assert client.post("/v1/model:reload", headers=headers).status_code == 200


def test_a_flipped_bit_anywhere_in_a_bundle_is_refused(world, tmp_path):
    flip_bits(world, tmp_path / "bundle", 20, seed=1)


@pytest.mark.slow
def test_two_thousand_flipped_bits_are_all_refused(world, tmp_path):
    flip_bits(world, tmp_path / "bundle", N_FLIPS, seed=2)
