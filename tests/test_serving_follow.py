"""The champion is followed off the request path, and the last good bundle is kept."""

import io
import json
import os
import re
import shutil

import pytest
from pydantic import ValidationError

from intentcast.errors import InputError
from intentcast.scoring import load_bundle
from serving.kept import KeptBundles
from serving.loading import Watcher
from serving.places import Place
from serving.settings import Settings
from tests.serving_registry import (
    ADMIN,
    SCORE,
    promote,
    registry,
    resealed,
    with_key,
    write_keys,
)
from tests.serving_requests import request, serve

pytest_plugins = ["tests.serving_world"]


@pytest.fixture
def bundles(world, tmp_path):
    return registry(world, tmp_path / "bundles")


def step(client):
    return client.post("/v1/predictions", json=request()).json()["step"]


def following(bundles, **more):
    """Return a client of a server that follows, and looks only when it is told to."""
    bundle = more.pop("bundle", None)
    return serve(bundle, **{"bundles": bundles, "watch_seconds": 0, "admin_key": None, **more})


def watcher(client):
    return Watcher(client.app.state.server)


def test_a_new_champion_is_served_once_it_is_seen(world, bundles):
    with following(bundles) as client:
        look = watcher(client).look
        assert step(client) == "lightgbm"
        promote(bundles, world.logistic.name)
        assert step(client) == "lightgbm"
        look()
        assert step(client) == "logistic"
        assert 'intentcast_reloads_total{result="loaded"} 2.0' in client.get("/metrics").text


def test_a_champion_that_is_served_already_is_not_loaded_again(world, bundles):
    with following(bundles) as client:
        promote(bundles, world.logistic.name)
        promote(bundles, world.boosted.name)
        watcher(client).look()
        assert 'intentcast_reloads_total{result="loaded"} 1.0' in client.get("/metrics").text


def test_what_stands_in_gives_way_to_a_champion_and_does_not_come_back(world, bundles):
    (bundles / "champions.json").unlink()
    with following(bundles, bundle=world.logistic, admin_key="k") as client:
        look = watcher(client).look
        assert step(client) == "logistic"
        promote(bundles, world.boosted.name)
        look()
        assert step(client) == "lightgbm"
        (bundles / "champions.json").unlink()
        look()
        refused = client.post("/v1/model:reload", headers=with_key("k"))
        assert refused.status_code == 422
        assert step(client) == "lightgbm"


def failures(client):
    """Return how often the champion could not be read."""
    text = client.get("/metrics").text
    found = re.findall(r'intentcast_watch_failures_total\{what="champion"\} (\S+)', text)
    return float(found[0]) if found else 0.0


def test_what_is_wrong_is_logged_once_counted_each_time_and_looked_at_less_often(bundles):
    log, now, looks = io.StringIO(), 0, []
    with following(bundles, log_to=log) as client:
        state = client.app.state.server
        state.settings = state.settings.model_copy(update={"watch_seconds": 10.0})
        mine = Watcher(state, clock=lambda: now)

        def look():
            before = failures(client)
            mine.look()
            if failures(client) > before:
                looks.append(now)

        (bundles / "champions.json").write_text("{")
        while now < 300:
            look()
            now += 5
        assert looks == [0, 20, 60, 120, 180, 240]
        assert client.get("/readyz").status_code == 200
        # All is well again, and then no longer: that is news, and seen at the next look.
        (bundles / "champions.json").write_text("{}")
        look()
        (bundles / "champions.json").write_text("{")
        look()
        assert looks[-1] == now
    events = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert events.count("watch") == 2


def test_a_bundle_that_is_refused_is_logged_once_and_the_next_one_again(world, bundles):
    log = io.StringIO()
    with following(bundles, log_to=log) as client:
        look = watcher(client).look
        folder = shutil.copytree(world.logistic, bundles / "damaged")
        (folder / "themes.npz").write_bytes(b"damaged")
        promote(bundles, folder.name)
        for version in ("1", "2"):
            manifest = json.loads((folder / "manifest.json").read_text())
            resealed(folder, {**manifest, "version": version})
            for _ in range(3):
                look()
        assert 'intentcast_reloads_total{result="refused"} 6.0' in client.get("/metrics").text
    refused = [json.loads(line) for line in log.getvalue().splitlines() if "refused" in line]
    assert [row["event"] for row in refused] == ["bundle refused"] * 2
    assert refused[0]["reason"] == refused[1]["reason"]


def test_a_key_that_is_revoked_ends_at_once_while_the_champion_is_wrong(bundles, tmp_path):
    keys = write_keys(tmp_path / "keys.toml")
    with following(bundles, keys=keys, watch_seconds=30) as client:
        mine = Watcher(client.app.state.server, clock=lambda: 0.0)
        (bundles / "champions.json").write_text("{")
        for _ in range(5):
            mine.look()
        assert client.get("/v1/model", headers=with_key(SCORE)).status_code == 200
        revoked = keys.read_text().partition('[[key]]\nname = "deployer"')
        keys.write_text("".join(revoked[1:]))
        mine.look()
        assert client.get("/v1/model", headers=with_key(SCORE)).status_code == 403


def test_of_several_models_the_one_to_serve_must_be_named(world, bundles):
    from intentcast.champions import Reign, crown

    crown(bundles, "other", Reign(world.logistic.name, "2026-01-01T00:00:00+00:00", "x"))
    with pytest.raises(InputError, match="champions of 2 models"):
        Place(None, bundles).champion()
    assert Place(None, bundles, "other").champion().name == world.logistic.name
    assert Place(None, bundles, "third").champion() is None


def test_keys_are_read_again_when_their_file_changes(bundles, tmp_path):
    keys = write_keys(tmp_path / "keys.toml")
    with following(bundles, keys=keys) as client:
        look = watcher(client).look

        def status(key):
            return client.post("/v1/predictions", json=request(), headers=with_key(key)).status_code

        assert (status(SCORE), status(ADMIN)) == (200, 403)
        keys.write_text(keys.read_text().replace('"crm"', '"crm-2"').replace("admin", "score"))
        look()
        assert (status(SCORE), status(ADMIN)) == (200, 200)
        for unusable in ("half a fi", "key = " + "[" * 100_000):
            keys.write_text(unusable)
            look()
            assert (status(SCORE), status(ADMIN)) == (200, 200)


def keep(kept, folder):
    kept.keep(folder, load_bundle(folder))


def test_the_last_two_bundles_are_kept_the_latest_first(world, tmp_path):
    kept = KeptBundles(tmp_path / "kept")
    assert kept.folders() == []
    for folder in (world.boosted, world.logistic, world.boosted):
        keep(kept, folder)
    versions = [load_bundle(folder).version for folder in kept.folders()]
    assert versions == ["2026-01-02.1", "2026-01-02.2"]


def test_a_damaged_copy_is_made_anew(world, tmp_path):
    kept = KeptBundles(tmp_path / "kept")
    keep(kept, world.logistic)
    (copy,) = kept.folders()
    (copy / "themes.npz").write_bytes(b"damaged")
    with pytest.raises(InputError):
        load_bundle(copy)
    keep(kept, world.logistic)
    assert load_bundle(copy).version == "2026-01-02.2"
    assert not [path for path in (tmp_path / "kept").iterdir() if path.name.startswith(".")]


def test_a_bundle_that_changes_while_it_is_copied_is_not_kept(world, tmp_path):
    source = shutil.copytree(world.logistic, tmp_path / "source")
    loaded = load_bundle(source)
    (source / "tiers.json").write_text("{}")
    kept = KeptBundles(tmp_path / "kept")
    with pytest.raises(InputError, match="changed while it was copied"):
        kept.keep(source, loaded)
    assert kept.folders() == []


def test_only_copies_that_a_server_made_are_pruned(world, tmp_path):
    place = tmp_path / "kept"
    kept = KeptBundles(place)
    for folder in (world.boosted, world.logistic):
        keep(kept, folder)
    unnamed, named = kept.folders()[::-1], place / "last-good.json"
    named.write_text('{"folders": []}')
    mine = [
        place / "notes",
        place / ".git",
        place / "backup-202601311200",
        place / "mine-0123456789ab",
    ]
    for folder in (*mine, place / ".keeping-x"):
        folder.mkdir()
        (folder / "manifest.json").write_text("{}")
    mine.append(shutil.copytree(world.logistic, place / world.logistic.name))
    young = shutil.copytree(unnamed[0], place / f"young-{unnamed[0].name}")
    for folder in place.iterdir():
        if folder != young:
            os.utime(folder, (0, 0))
    keep(kept, world.boosted)
    (copy,) = kept.folders()
    assert {*place.iterdir()} == {*mine, young, copy, named}
    assert load_bundle(copy).version == "2026-01-02.1"


def test_an_empty_path_is_no_path_and_an_empty_one_of_keys_is_refused(monkeypatch):
    for name in ("BUNDLE", "POLICY", "BUNDLES", "KEEP", "SAMPLE_TO", "MODEL"):
        monkeypatch.setenv(f"INTENTCAST_{name}", "")
    told = Settings()
    assert {told.bundle, told.policy, told.bundles, told.keep, told.sample_to, told.model} == {None}
    # It must not mean that nobody needs a key.
    monkeypatch.setenv("INTENTCAST_KEYS", "")
    with pytest.raises(ValidationError, match="keys"):
        Settings()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"folders": 1}', '{"folders": ["../../etc"]}', '{"folders": [[]]}']
)
def test_a_pointer_that_is_something_else_points_at_nothing(tmp_path, text):
    (tmp_path / "last-good.json").write_text(text)
    assert KeptBundles(tmp_path).folders() == []


def test_a_place_that_cannot_be_written_to_stops_nothing(bundles, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with following(bundles, keep=tmp_path / "file" / "kept") as client:
        assert client.get("/readyz").status_code == 200


def test_the_copy_serves_when_the_champion_cannot_be_read(world, bundles, tmp_path):
    kept = tmp_path / "kept"
    with following(bundles, keep=kept) as client:
        assert step(client) == "lightgbm"
    (bundles / "champions.json").write_text("{")
    # What merely stands in must not displace what was champion.
    with following(bundles, keep=kept, bundle=world.logistic) as client:
        assert step(client) == "lightgbm"
        assert 'intentcast_reloads_total{result="kept"} 1.0' in client.get("/metrics").text
        (bundles / "champions.json").unlink()
        promote(bundles, world.logistic.name)
        watcher(client).look()
        assert step(client) == "logistic"


def test_of_two_copies_the_one_that_is_whole_serves(world, bundles, tmp_path):
    kept = tmp_path / "kept"
    with following(bundles, keep=kept) as client:
        promote(bundles, world.logistic.name)
        watcher(client).look()
    shutil.rmtree(bundles)
    latest = KeptBundles(kept).folders()[0]
    (latest / "golden.json").write_bytes(b"[]")
    with following(bundles, keep=kept) as client:
        assert step(client) == "lightgbm"
