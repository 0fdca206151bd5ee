"""`reprice`, `distil` and `export` as a real process."""

import json

import polars as pl
import pytest

from intentcast.scorecards import builtin_scorecards, read_scorecard
from tests.fixtures_world import bundle_folder, world_folder

PLAYBOOK = builtin_scorecards()[0]


@pytest.fixture(scope="session")
def repriced(cli):
    return cli("reprice", world_folder(), "--scorecard", PLAYBOOK, "--out", "new.toml")


@pytest.fixture(scope="session")
def repriced_json(cli):
    return cli("reprice", world_folder(), "--out", "again.toml", "--json").json


@pytest.fixture(scope="session")
def distilled(cli):
    return cli("distil", world_folder(), "--bundle", bundle_folder("logistic"), "--out", "d.toml")


def test_reprice_shows_old_beside_new_in_80_columns(repriced):
    assert repriced.code == 0
    assert repriced.error_lines == []
    lines = repriced.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    table = [line for line in lines if line.startswith("  ")]
    assert table[0].split() == ["old", "new", "95", "%", "leads", "conv."]
    for rule in read_scorecard(PLAYBOOK).behaviours[:5]:
        assert any(line.startswith(f"  {rule.item}") for line in table)


def test_reprice_writes_a_table_of_the_same_format(cli, repriced):
    new = read_scorecard(cli.home / "new.toml")
    old = read_scorecard(PLAYBOOK)
    assert new.name == "playbook-repriced"
    assert [rule.item for rule in new.behaviours] == [rule.item for rule in old.behaviours]
    assert new.decay == old.decay
    assert "Wrote new.toml" in repriced.stdout


def test_reprice_json_says_the_same(cli, repriced_json):
    assert (cli.home / "again.toml").read_bytes() == (cli.home / "new.toml").read_bytes()
    new = read_scorecard(cli.home / "again.toml")
    assert [rule["new"] for rule in repriced_json["rules"]] == [
        float(rule.points) for rule in (*new.attributes, *new.behaviours)
    ]


def test_reprice_compares_out_of_time_or_says_why_not(repriced, repriced_json):
    compared = repriced_json["out_of_time"]
    if "refused" in compared:
        assert "Not compared on later leads" in repriced.stdout
    else:
        assert compared["verdict"] in ("new points win", "old points win", "no difference")
        assert compared["verdict"] in " ".join(repriced.stdout.split())


def test_reprice_refuses_on_too_little_data_with_code_3(cli, variant):
    folder = variant(tables={"outcomes": lambda frame: frame.sort(pl.all()).head(40)})
    done = cli("reprice", folder, "--out", "never.toml")
    assert done.code == 3
    assert "more conversions" in done.error_lines[-1]
    assert not (cli.home / "never.toml").exists()


def test_reprice_writes_toml_only(cli):
    done = cli("reprice", world_folder(), "--out", "points.csv")
    assert done.code == 2
    assert ".toml" in done.error_lines[-1]


def test_distil_says_how_far_table_and_model_agree(distilled):
    assert distilled.code == 0
    assert max(map(len, distilled.stdout.splitlines())) <= 80
    said = " ".join(distilled.stdout.split())
    assert "expected conversions" in said
    assert "Not compared: no as-of time after the bundle's data end" in said or (
        "rank correlation with the model" in said
    )


def test_distil_writes_a_table(cli, distilled):
    assert distilled.code == 0
    assert read_scorecard(cli.home / "d.toml").name == "playbook-distilled"


def test_export_refuses_what_a_tool_cannot_express(cli):
    done = cli("export", PLAYBOOK, "--to", "hubspot", "--out", "h.json")
    assert done.code == 3
    assert "decay.kind = silence" in done.error_lines[-1]
    assert not (cli.home / "h.json").exists()


@pytest.mark.parametrize("tool", ["hubspot", "marketo"])
def test_export_with_accepted_losses_lists_them(cli, tool):
    done = cli("export", PLAYBOOK, "--to", tool, "--accept-losses", "--json")
    assert done.code == 0
    written = json.loads((cli.home / f"playbook.{tool}.json").read_bytes())
    assert done.json["not_expressed"] == written["not_expressed"] != []


def test_export_to_csv_loses_nothing(cli):
    done = cli("export", PLAYBOOK)
    assert done.code == 0
    assert "Wrote playbook.csv" in done.stdout
    assert (cli.home / "playbook.csv").read_text(encoding="utf-8").startswith("part,place,item")
