"""The twenty faults that a server must survive, each against a real server process.

| fault | here | every variant of it |
| --- | --- | --- |
| 1–7 of requests | test_1 … test_7 | test_serving_faults.py, test_serving.py |
| 8 batches | test_8 | test_serving_faults.py, test_serving.py |
| 9 overload | test_9 (two) | test_serving_access.py |
| 10 keys | test_10 | test_serving_access.py, test_serving_reload.py |
| 11 paths | test_11 (two) | test_champions.py, test_bundle.py |
| 12 slow and gone | test_12 (two) | test_serving_process.py |
| 13 SIGTERM under load | test_13 in test_serving_stop.py | test_serving_process.py |
| 14–19 bundles, registry | test_14 … test_19 | test_serving_reload.py, test_bundle.py, … |
| 20 a hundred promotions | test_20 in test_serving_promotions.py | test_serving_reload.py |
"""

import json
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving_process import head, running
from tests.serving_registry import (
    ADMIN,
    SCORE,
    promote,
    registry,
    replaced,
    resealed,
    with_key,
    write_keys,
)
from tests.serving_requests import changed, event, request

pytest_plugins = ["tests.serving_world"]

ONE, BATCH = "/v1/predictions", "/v1/predictions:batch"
MARK = "mark-of-the-input"
KEY_LINE = {"Authorization": f"Bearer {SCORE}"}


@pytest.fixture(scope="module")
def bundles(world, tmp_path_factory):
    return registry(world, tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def server(bundles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("survival")
    settings = {
        "bundle": None, "bundles": bundles, "watch_seconds": 0.1, "keep": folder / "kept",
        "keys": write_keys(folder / "keys.toml"), "admin_key": None,
        "head_seconds": 0.7, "body_seconds": 1.5, "max_waiting": 3, "max_items": 5,
        "max_body_bytes": 200_000, "max_waiting_bytes": 400_000, "max_connections": 40,
    }  # fmt: skip
    with running(tmp_path=folder, **settings) as server:
        yield server
        text = server.log.read_text()
        # What was sent is nowhere in the log, and no key; every line is JSON.
        assert all(isinstance(line, dict) for line in server.lines())
        for secret in (MARK, SCORE, ADMIN, '"L1"'):
            assert secret not in text


def post(server, body, path=ONE, key=SCORE):
    """Return the status and the decoded answer of a request, having seen that it is well-formed."""
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    status, headers, answer = server.ask("POST", path, content, with_key(key))
    if status >= 400:
        assert headers["content-type"] == "application/problem+json"
        assert MARK.encode() not in answer
    return status, json.loads(answer)


def text(path, literal):
    return json.dumps(changed(path, "@@")).replace('"@@"', literal)


def wrong(server, body):
    status, answer = post(server, body)
    assert status == 422, answer
    return [error["field"] for error in answer["errors"]]


def serves(server, bundle):
    """Return whether the server is ready and answers with a bundle."""
    _, answer = post(server, request())
    ready = server.ask("GET", "/readyz")[0] == 200
    return ready and f"small-{answer['model']['version']}" == bundle.name


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_1_a_number_that_is_none_is_a_422_that_names_the_field(server, literal):
    assert wrong(server, text("events.0.value", literal)) == ["events.0.value"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (text("lead.lead_id", r'"\ud800"'), 422),
        (text("lead.lead_id", rf'"{MARK}\u0000"'), 422),
        (b'{"lead": "\xff"}', 400),
        (b"\xef\xbb\xbf{}", 400),
    ],
)
def test_2_text_that_is_no_text_is_a_4xx(server, body, status):
    assert post(server, body)[0] == status


def test_3_a_body_that_is_too_large_or_lies_or_drips_is_refused_in_flat_memory(server):
    before = server.memory()
    assert server.send(head(10**9, **KEY_LINE)).startswith(b"HTTP/1.1 413 ")
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    drip = head(Transfer_Encoding="chunked", **KEY_LINE)
    assert server.send(drip, *[chunk] * 60)[:13] in (b"", b"HTTP/1.1 413 ")
    assert server.send(head(5000, **KEY_LINE), *[b" "] * 6, pause=0.3).startswith(b"HTTP/1.1 408 ")
    assert server.send(head(**KEY_LINE, Connection="close")).startswith(b"HTTP/1.1 400 ")
    assert server.memory() - before < 20_000_000


def test_4_compressed_deep_and_long_values_are_refused_at_once(server):
    headers = with_key(**{"Content-Encoding": "gzip"})
    assert server.ask("POST", ONE, b"\x1f\x8b", headers)[0] == 415
    for body in ("[" * 100_000, '{"lead": ' + "9" * 5000 + "}"):
        quickest = float("inf")
        for _ in range(3):
            started = time.perf_counter()
            assert post(server, body)[0] == 400
            quickest = min(quickest, time.perf_counter() - started)
        assert quickest < 0.1


def test_5_unknown_missing_repeated_and_mistyped_fields_are_named(server):
    assert wrong(server, changed("lead.score", 1)) == ["lead.score"]
    assert wrong(server, "{}") == ["lead"]
    assert wrong(server, '{"lead": 1, "lead": 1}') == ["lead"]
    assert wrong(server, changed("events.0.is_machine", 1)) == ["events.0.is_machine"]


@pytest.mark.parametrize(
    "moment", ["2100-01-01T00:00:00Z", "1989-12-31T00:00:00Z", "2026-11-20T10:00:00"]
)
def test_6_future_ancient_and_zoneless_times_are_named(server, moment):
    found = wrong(server, changed("events.0.occurred_at", moment))
    assert found == ["events.0.occurred_at"]


def test_7_a_lead_that_little_is_known_of_is_scored_with_warnings(server):
    strange = [event(event_type="séance", content="orbital mechanics", channel="pigeon")]
    for more in ({"events": []}, {"events": strange}, {"account": {"attributes": {}}}):
        status, answer = post(server, request(**more))
        assert status == 200
        assert answer["warnings"]
    counted = server.ask("GET", "/metrics", headers=with_key())[2].decode()
    for what in ("event types", "channels", "content"):
        assert f'intentcast_unseen_events_total{{what="{what}"}}' in counted


def test_8_a_bad_item_is_an_item_s_error_and_too_many_items_are_a_413(server):
    status, answers = post(server, [request(), {"lead": MARK}, request()], BATCH)
    assert status == 200
    assert ["error" in answer for answer in answers] == [False, True, False]
    assert post(server, [{}] * 6, BATCH)[0] == 413


def test_9_overload_is_a_503_with_retry_after_in_flat_memory(server):
    body = json.dumps([request()] * 5)
    before = server.memory()

    def ask(_):
        status, headers, _ = server.ask("POST", BATCH, body, with_key())
        return status, headers["retry-after"]

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(ask, range(160)))
    assert found == {(200, None), (503, "1")}
    assert server.memory() - before < 20_000_000
    assert server.ask("GET", "/readyz")[0] == 200


def everything(raw):
    """Return what comes until the connection is closed."""
    found = b""
    while part := raw.recv(65536):
        found += part
    return found


def test_9_bytes_that_are_held_at_once_are_bounded_too(server):
    held = []
    try:
        # Each body is half of what may be held, and none of them ends.
        for _ in range(3):
            raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            raw.sendall(head(199_999, **KEY_LINE) + b" " * 190_000)
            held.append(raw)
        answers = [everything(raw) for raw in held]
    finally:
        for raw in held:
            raw.close()
    assert {answer[9:12] for answer in answers} == {b"408", b"503"}, [
        answer[-80:] for answer in answers
    ]


def test_10_no_wrong_and_underscoped_keys_are_refused_and_not_logged(server):
    def status(path, headers):
        return server.ask("POST", path, json.dumps(request()), headers)[0]

    plain = {"Content-Type": "application/json"}
    reload = "/v1/model:reload"
    assert [status(path, plain) for path in (ONE, BATCH, reload)] == [401] * 3
    assert [status(path, with_key(MARK)) for path in (ONE, BATCH, reload)] == [403] * 3
    assert [status(path, with_key(ADMIN)) for path in (ONE, reload)] == [403, 200]
    assert [status(path, with_key(SCORE)) for path in (ONE, reload)] == [200, 403]
    assert {line["key"] for line in server.lines() if line.get("key")} == {"crm", "deployer"}


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/v1/model/../../x", "/%00"],
)
def test_11_paths_that_climb_lead_nowhere(server, path):
    status, _, body = server.ask("GET", path, headers=with_key())
    assert status == 404
    assert b"root:" not in body


def test_11_a_champion_elsewhere_is_not_followed(server, bundles, world, tmp_path):
    outside = shutil.copytree(world.logistic, tmp_path / "outside")
    (bundles / "small-link").symlink_to(outside)
    try:
        promote(bundles, "small-link")
        server.wait_until(
            lambda: any("outside" in str(row.get("reason")) for row in server.lines())
        )
        assert serves(server, world.boosted)
    finally:
        (bundles / "small-link").unlink()
        promote(bundles, world.boosted.name)


def test_12_a_head_that_does_not_come_ends_the_connection(server):
    part = head()[:40]
    assert server.send(part, *[b"a"] * 4, pause=0.3).startswith(b"HTTP/1.1 408 ")
    assert server.send() == b""
    # Many at once, and others are served meanwhile; beyond the most connections they are refused.
    open_ones = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(30)]
    for raw in open_ones:
        raw.sendall(part)
    assert post(server, request())[0] == 200
    open_ones += [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    assert open_ones[-1].recv(100).startswith(b"HTTP/1.1 503 ")
    for raw in open_ones:
        raw.settimeout(10)
        while raw.recv(65536):
            pass
        raw.close()
    assert server.ask("GET", "/readyz")[0] == 200


def test_12_clients_that_go_away_free_their_place(server):
    for _ in range(6):
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(head(50_000, **KEY_LINE) + b"{")
    server.wait_until(lambda: post(server, request())[0] == 200, seconds=5)


def damaged_champion(server, bundles, world, damage, reason):
    """Promote a damaged copy, see it refused for the reason while the old model answers."""
    folder = bundles / "small-damaged"
    shutil.copytree(world.logistic, folder)
    n_lines = len(server.lines())
    try:
        damage(folder)
        promote(bundles, folder.name)
        server.wait_until(
            lambda: any(reason in str(row.get("reason")) for row in server.lines()[n_lines:])
        )
        assert serves(server, world.boosted)
        assert post(server, "", "/v1/model:reload", ADMIN)[0] == 422
        assert serves(server, world.boosted)
    finally:
        promote(bundles, world.boosted.name)
        shutil.rmtree(folder)


def edit(folder, name, change):
    """Change a JSON file of a bundle, with the checksums to match."""
    parts = json.loads((folder / name).read_text())
    change(parts)
    replaced(folder, name, json.dumps(parts).encode())


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


def test_14_a_flipped_bit_is_refused_by_checksum(server, bundles, world):
    damage = lambda folder: flip(folder / "themes.npz")  # noqa: E731
    damaged_champion(server, bundles, world, damage, "checksum")


def test_14_a_truncated_file_is_refused_by_checksum(server, bundles, world):
    def damage(folder):
        path = folder / "calibration.json"
        path.write_bytes(path.read_bytes()[:-20])

    damaged_champion(server, bundles, world, damage, "checksum")


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"left_child=1", b"left_child=0"), (b"left_child=1", b"left_child=99999")],
)
def test_15_a_cyclic_or_malformed_tree_is_refused_by_its_structure(
    server, bundles, world, old, new
):
    def damage(folder):
        shutil.rmtree(folder)
        shutil.copytree(world.boosted, folder)
        name = next(path.name for path in sorted(folder.glob("*.txt")))
        data = (folder / name).read_bytes()
        assert old in data
        replaced(folder, name, data.replace(old, new, 1))

    damaged_champion(server, bundles, world, damage, "tree")


def test_16_a_half_copied_bundle_is_invisible_until_it_is_whole(server, bundles, world):
    folder, last = bundles / "small-copied", world.logistic / "manifest.json"
    folder.mkdir()
    try:
        promote(bundles, folder.name)
        for path in sorted(world.logistic.iterdir()):
            if path != last:
                shutil.copy(path, folder)
                assert serves(server, world.boosted)
        shutil.copy(last, folder)
        server.wait_until(lambda: serves(server, world.logistic))
    finally:
        promote(bundles, world.boosted.name)
        server.wait_until(lambda: serves(server, world.boosted))
        shutil.rmtree(folder)


def other_features(folder):
    edit(folder, "features.json", lambda parts: parts["names"].append("made.up"))


def other_major(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["libraries"]["lightgbm"] = "5.0.0"
    resealed(folder, manifest)


def other_golden(folder):
    def change(rows):
        rows[0]["probabilities"][0] += 2e-9

    edit(folder, "golden.json", change)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(other_features, "features"), (other_major, "LightGBM 5.0.0"), (other_golden, "golden row")],
)
def test_17_what_does_not_fit_this_program_is_refused_with_the_reason(
    server, bundles, world, damage, reason
):
    damaged_champion(server, bundles, world, damage, reason)


@pytest.mark.parametrize("how", ["corrupt", "missing", "unreadable", "gone"])
def test_18_without_its_registry_the_last_good_bundle_goes_on(
    server, bundles, world, how, tmp_path
):
    file = bundles / "champions.json"
    good = file.read_bytes()
    away = tmp_path / "away"
    if how == "corrupt":
        file.write_bytes(good[: len(good) // 2])
    elif how == "missing":
        file.unlink()
    elif how == "unreadable":
        file.unlink()
        file.mkdir()
    else:
        bundles.rename(away)
    try:
        for _ in range(4):
            assert serves(server, world.boosted)
            time.sleep(0.1)
        assert post(server, "", "/v1/model:reload", ADMIN)[0] == 422
        assert serves(server, world.boosted)
    finally:
        if how == "gone":
            away.rename(bundles)
        if file.is_dir():
            file.rmdir()
        file.write_bytes(good)
    assert post(server, "", "/v1/model:reload", ADMIN)[0] == 200


def test_18_a_restart_without_the_registry_serves_the_copy_that_was_kept(
    server, bundles, world, tmp_path
):
    kept = shutil.copytree(server.log.parent / "kept", tmp_path / "kept")
    lost = tmp_path / "lost"
    settings = {"bundle": None, "bundles": lost, "keep": kept, "watch_seconds": 0.1}
    with running(tmp_path=tmp_path, **settings) as restarted:
        assert serves(restarted, world.boosted)
        assert any(line["event"] == "serving the last good bundle" for line in restarted.lines())
        # And when the folder is back, its champion.
        shutil.copytree(bundles, lost)
        promote(lost, world.logistic.name)
        restarted.wait_until(lambda: serves(restarted, world.logistic))


class _Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was opened')",))


def test_19_a_pickle_in_a_bundle_is_never_opened(server, bundles, world):
    import io
    import pickle

    import numpy as np

    bomb = pickle.dumps(_Bomb())
    buffer = io.BytesIO()
    np.savez(buffer, idf=np.array([_Bomb()], dtype=object), centroids=np.zeros(1))

    def as_text(folder):
        replaced(folder, "themes.npz", bomb)

    def as_object_array(folder):
        replaced(folder, "themes.npz", buffer.getvalue())

    def as_a_file_more(folder):
        (folder / "model.pkl").write_bytes(bomb)
        replaced(folder, "model.pkl", bomb)

    damaged_champion(server, bundles, world, as_text, "another shape")
    damaged_champion(server, bundles, world, as_object_array, "another shape")
    damaged_champion(server, bundles, world, as_a_file_more, "model.pkl")


def test_all_of_it_left_the_server_alive_and_in_its_senses(server, world):
    assert server.process.poll() is None
    assert serves(server, world.boosted)
    statuses = {line.get("status") for line in server.lines()}
    assert not {500, 502, 504, 0} & statuses, statuses
    assert server.n_threads() < 60
