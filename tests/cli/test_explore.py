"""`intentcast explore`: a log that grows by a week's leads, once."""

import polars as pl
import pytest

from intentcast.exploration import LOG_SCHEMA
from intentcast.scoring import score
from tests.fixtures_world import bundle, world, world_folder, world_snapshots


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    path = tmp_path_factory.mktemp("scores") / "scores.parquet"
    score(bundle("logistic"), world(), world_snapshots()).write_parquet(path)
    return path


def run(cli, scores, log, *more):
    return cli("explore", world_folder(), "--scores", scores, "--log", log, *more)


def test_leads_below_hot_are_logged_once_a_week(cli, scores, tmp_path):
    log = tmp_path / "log.parquet"
    found = run(cli, scores, log, "--per-week", 4, "--json").json
    rows = pl.read_parquet(log)
    assert rows.schema == LOG_SCHEMA
    assert found["n_drawn"] == len(rows) == 4
    assert found["revoked_by"] == ["resubscribe"]
    assert [row["lead_id"] for row in found["drawn"]] == rows["lead_id"].to_list()
    told = pl.read_parquet(scores).filter(pl.col("horizon_days") == 90)
    joined = rows.join(told, on="lead_id", suffix="_told")
    assert (joined["probability"] == joined["probability_told"]).all()
    assert "hot" not in set(joined["tier_told"])
    again = run(cli, scores, log, "--per-week", 4)
    assert "None was drawn" in again.stdout
    assert pl.read_parquet(log).equals(rows)


def test_a_later_draw_keeps_every_row_before_it(cli, scores, tmp_path):
    log, next_week = tmp_path / "log.parquet", tmp_path / "later.parquet"
    run(cli, scores, log, "--per-week", 3)
    before = pl.read_parquet(log)
    pl.read_parquet(scores).with_columns(pl.col("as_of").dt.offset_by("7d")).write_parquet(
        next_week
    )
    done = run(cli, next_week, log, "--per-week", 3)
    # The last line has the path, as long as it may be.
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    after = pl.read_parquet(log)
    assert len(after) == 6
    assert after.head(3).equals(before)


def test_without_a_quota_nothing_is_drawn(cli, scores, tmp_path):
    done = run(cli, scores, tmp_path / "log.parquet")
    assert done.code == 0
    assert not (tmp_path / "log.parquet").exists()


def test_a_file_that_is_no_log_is_left_as_it_is(cli, scores, tmp_path):
    other = tmp_path / "other.parquet"
    other.write_bytes(scores.read_bytes())
    done = run(cli, scores, other, "--per-week", 3)
    assert done.code == 2
    assert "nothing was changed" in done.stderr
    assert other.read_bytes() == scores.read_bytes()


def test_where_it_is_not_known_who_opted_out_nobody_is_drawn(cli, scores, tmp_path, variant):
    folder = variant(
        tables={
            "events": lambda f: f.filter(~pl.col("event_type").is_in(["unsubscribe", "decline"]))
        }
    )
    done = cli("explore", folder, "--scores", scores, "--per-week", 3, cwd=tmp_path)
    assert done.code == 3
    assert "name the event types with --opt-out" in done.stderr
    named = cli(
        "explore", folder, "--scores", scores, "--per-week", 3, "--opt-out", "left", cwd=tmp_path
    )
    assert named.code == 0
