"""The champion is followed off the request path, and the last good bundle is kept."""

import json
import shutil

import pytest

from intentcast.errors import InputError
from intentcast.scoring import load_bundle
from serving.kept import KeptBundles
from serving.loading import Watcher
from serving.places import Place
from tests.serving_registry import ADMIN, SCORE, promote, registry, with_key, write_keys
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


def test_what_is_wrong_is_logged_once_counted_each_time_and_looked_at_less_often(bundles):
    import io

    log = io.StringIO()
    with following(bundles, log_to=log, watch_seconds=0.5) as client:
        state = client.app.state.server
        mine = Watcher(state)
        (bundles / "champions.json").write_text("{")
        for _ in range(3):
            mine.look()
        assert mine._wait == 4.0
        assert 'intentcast_watch_failures_total{what="champion"}' in client.get("/metrics").text
        assert client.get("/readyz").status_code == 200
        (bundles / "champions.json").write_text("{}")
        mine.look()
        assert mine._wait == 0.5
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    # The server's own watcher may have looked too, and said it once.
    assert 1 <= sum(line["event"] == "watch" for line in lines) <= 2


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
        keys.write_text("half a fi")
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
    assert not [path for path in (tmp_path / "kept").iterdir() if path.name.startswith(".writing")]


def test_a_bundle_that_changes_while_it_is_copied_is_not_kept(world, tmp_path):
    source = shutil.copytree(world.logistic, tmp_path / "source")
    loaded = load_bundle(source)
    (source / "tiers.json").write_text("{}")
    kept = KeptBundles(tmp_path / "kept")
    with pytest.raises(InputError, match="changed while it was copied"):
        kept.keep(source, loaded)
    assert kept.folders() == []


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
