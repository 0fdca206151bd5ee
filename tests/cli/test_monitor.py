"""`intentcast monitor`: lights for cron, a page, and a memory."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from intentcast.cli.tables import read_frame
from intentcast.replay import read_log
from intentcast.scoring import score
from intentcast.snapshots import snapshots_at
from tests.fixtures_world import bundle, bundle_folder, world, world_folder
from tests.serving_requests import request, serve

DAY = "2025-10-06"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A folder of what `score` wrote in four months, one file in CSV."""
    folder = tmp_path_factory.mktemp("scores")
    for month, suffix in ((3, "parquet"), (4, "parquet"), (5, "csv"), (6, "parquet")):
        day = datetime(2025, month, 2, 9, tzinfo=UTC)
        scores = score(bundle("logistic"), world(), snapshots_at(world(), day))
        path = folder / f"{day:%Y-%m-%d}.{suffix}"
        scores.write_parquet(path) if suffix == "parquet" else scores.write_csv(path)
    return folder


def args(told, out):
    return (
        "monitor", world_folder(), "--bundle", bundle_folder("logistic"), "--as-of", DAY,
        "--scores", told, "--out", out,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(cli, told, tmp_path_factory):
    out = tmp_path_factory.mktemp("monitor")
    return cli(*args(told, out)), out


def test_the_lights_are_said_in_80_columns_and_written(done):
    run, out = done
    written = json.loads((out / "monitor.json").read_text())
    assert run.code == (3 if written["light"] == "red" else 0)
    lines = run.stdout.splitlines()
    # The last line has the path, as long as it may be.
    assert max(map(len, lines[:-1])) <= 80
    assert lines[0].startswith(written["light"].upper())
    for check in written["checks"]:
        assert any(f"{check['name']}:" in line for line in lines)
    assert not written["scores"]["retrospective"]
    # The bundle is younger than what it tells: it has seen how that ended.
    assert written["scores"]["learnt_from"] == written["scores"]["n"] > 0
    assert "better than they are" in " ".join(lines)
    assert "<!doctype html>" in (out / "monitor.html").read_text()


def test_a_run_repeated_changes_no_file(cli, told, done):
    _, out = done
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {"monitor.html", "monitor.json", "state.json"}
    # With --json, so that it is run once more.
    again = cli(*args(told, out), "--json")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert again.json["out"] == str(out)
    assert [c["name"] for c in again.json["checks"]]


def test_red_ends_with_3(cli, told, tmp_path):
    for path in told.iterdir():
        scores = read_frame(path)
        low = scores.with_columns(pl.col(name) * 0.05 for name in ("probability", "low"))
        low.write_parquet(tmp_path / f"{path.stem}.parquet")
    done = cli(*args(tmp_path, tmp_path / "out"), "--json")
    assert done.json["light"] == "red"
    assert done.code == 3
    assert any(step.startswith("Recalibrate") for step in done.json["next_steps"])


def test_a_folder_without_scores_is_bad_input(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    done = cli(*args(tmp_path / "empty", tmp_path / "out"), "--json")
    assert done.code == 2
    assert "empty" in done.json["error"]["found"]
    assert not (tmp_path / "out").exists()


def test_a_server_s_sampled_answers_are_computed_again(cli, told, tmp_path):
    with serve(bundle_folder("logistic"), sample_to=tmp_path / "log", sample_share=1) as client:
        for _ in range(3):
            assert client.post("/v1/predictions", json=request()).status_code == 200
    rows = read_log(tmp_path / "log")
    answer = json.loads(rows["answer"][1])
    answer["probabilities"][0]["probability"] += 1e-12
    changed = rows.with_columns(
        pl.Series("answer", [rows["answer"][0], json.dumps(answer), rows["answer"][2]]),
        pl.Series("model_sha256", [*rows["model_sha256"][:2], "0" * 64]),
    )
    changed.write_parquet(tmp_path / "log.parquet")
    done = cli(*args(told, tmp_path / "out"), "--samples", tmp_path / "log.parquet", "--json")
    assert done.code == 3
    served = done.json["served"]
    assert [served[f"n_{name}"] for name in ("answers", "other", "replayed", "different")] == [
        3, 1, 2, 1,
    ]  # fmt: skip
    assert {d["request_id"] for d in served["differences"]} == {rows["request_id"][1]}
    assert any(step.startswith("Look at the server") for step in done.json["next_steps"])
    page = (tmp_path / "out" / "monitor.html").read_text()
    assert "Answers that come out otherwise" in page
    assert rows["request_id"][1] in page
