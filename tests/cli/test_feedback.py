"""`intentcast feedback`: what sales decided, in words, as JSON and as rows."""

import polars as pl

from intentcast.feedback import decisions
from tests.conftest import at
from tests.fixtures_world import bundle_folder, world, world_folder


def args():
    return ("--bundle", bundle_folder("logistic"))


def test_the_rows_are_the_decisions_with_what_was_told_then(cli, tmp_path):
    out = tmp_path / "decisions.parquet"
    done = cli("feedback", world_folder(), *args(), "--since", "2025-03-01", "--out", out, "--json")
    found, rows = done.json, pl.read_parquet(out)
    expected = decisions(world(), since=at("2025-03-01"), until=world().data_cutoff)
    assert rows.select(expected.columns).equals(expected)
    assert found["overall"]["n_decided"] == len(rows)
    assert found["scorecard"] == "playbook"
    hot = next(row for row in found["tiers"] if row["group"] == "hot")
    assert hot["n_decided"] == (rows["tier"] == "hot").sum()


def test_it_is_said_in_80_columns(cli):
    done = cli("feedback", world_folder(), *args())
    assert done.code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "What it suggests (nothing is applied):" in done.stdout


def test_data_without_decisions_are_refused_with_what_to_configure(cli, variant):
    folder = variant(
        tables={
            "outcomes": lambda f: f.filter(
                ~pl.col("outcome").is_in(["opportunity_created", "mql_rejected"])
            )
        }
    )
    done = cli("feedback", folder, *args())
    assert done.code == 3
    assert "name the outcomes under [sales] accepted and rejected" in done.stderr
