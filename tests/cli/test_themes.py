"""`intentcast themes`: the table, the drawing, and lines for dataset.toml that work as printed."""

import json
import re
import tomllib
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from intentcast.cli import themes
from intentcast.errors import ConfigError, InputError
from intentcast.evaluation.theme_map import place_titles, shorten
from intentcast.features import fit_themes
from tests.fixtures_world import world_folder

BACKTEST = "[backtest]"
NEW_NAME = r"größer \"und besser\""


@pytest.fixture(scope="module")
def printed(cli):
    return cli("themes", world_folder())


@pytest.fixture(scope="module")
def as_json(cli):
    return cli("themes", world_folder(), "--json")


@pytest.fixture
def show(monkeypatch, tmp_path, capsys):
    """Return a function that runs the command in this process and gives what it printed."""

    def run(folder, out=None, *, as_json=False):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "80")
        capsys.readouterr()
        themes.run(folder, out=out, as_json=as_json)
        return capsys.readouterr().out

    return run


def names(found):
    return [theme["name"] for theme in found["themes"]]


def retitled(**new):
    """Change some titles of the events table."""
    titles = {"/pricing": new["pricing"]} if "pricing" in new else {}
    return {"events": lambda frame: frame.with_columns(pl.col("content").replace(titles))}


def test_the_table_names_each_theme_in_80_columns(printed, as_json):
    assert printed.code == 0
    lines = printed.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for theme in as_json.json["themes"]:
        [line] = [line for line in lines if line.startswith(theme["name"][:23])]
        assert line.split()[1] == theme["kind"] + "*" * theme["is_core"]
        assert f"{theme['share']:.1%}".replace("%", " %") in line
    assert "* core theme" in lines


def test_it_says_up_to_when_it_knows_and_where_it_drew(cli, printed):
    assert re.search(r"as\s+known by \d{4}-\d\d-\d\d \d\d:\d\d UTC", printed.stdout)
    assert "Drawn in out/small/themes.html" in printed.stdout
    assert (cli.home / "out" / "small" / "themes.html").is_file()


def test_the_shares_are_of_all_events_with_content(as_json):
    found = as_json.json
    shares = [theme["share"] for theme in found["themes"]] + [found["no_theme"]["share"]]
    assert sum(shares) == pytest.approx(1)
    counts = [theme["n_titles"] for theme in found["themes"]] + [found["no_theme"]["n_titles"]]
    assert sum(counts) == found["n_titles"]
    assert {theme["kind"] for theme in found["themes"]} == {"seed", "cluster"}


def test_the_printed_lines_are_toml_and_work_once_uncommented(show, variant, as_json):
    lines = as_json.json["toml"].splitlines()
    assert tomllib.loads("\n".join(lines)) == {"themes": {"rename": {}, "merge": {}}}
    cluster = next(theme["name"] for theme in as_json.json["themes"] if theme["kind"] == "cluster")
    at = next(i for i, line in enumerate(lines) if cluster in line)
    lines[at] = lines[at].removeprefix("# ").replace("a better name", NEW_NAME)
    lines.append('"money" = ["pricing", "roi"]')
    old = "[themes]\ncore = ["
    folder = variant(toml=(BACKTEST, "\n".join([*lines, "", BACKTEST])))
    text = (folder / "dataset.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / "dataset.toml").write_text(
        re.sub(r"core = \[.*\]", 'core = ["money"]', text), encoding="utf-8"
    )
    found = json.loads(show(folder, as_json=True))
    kinds = {theme["name"]: theme["kind"] for theme in found["themes"]}
    assert kinds["money"] == "merged"
    assert kinds['größer "und besser"'] == "renamed"
    assert {"pricing", "roi", cluster}.isdisjoint(kinds)
    share = {theme["name"]: theme["share"] for theme in as_json.json["themes"]}
    [money] = [theme for theme in found["themes"] if theme["name"] == "money"]
    assert money["share"] == pytest.approx(share["pricing"] + share["roi"])
    assert money["is_core"]
    # What is printed next holds what was stated: it can replace the sections as it is.
    assert tomllib.loads(found["toml"])["themes"]["merge"] == {"money": ["pricing", "roi"]}


def test_a_misspelt_theme_is_refused_with_the_name_that_is_near(show, variant):
    folder = variant(toml=(BACKTEST, f'[themes.rename]\n"prycing" = "money"\n{BACKTEST}'))
    with pytest.raises(ConfigError, match="did you mean 'pricing'"):
        show(folder)


def test_a_named_theme_that_no_title_is_about_is_pointed_out(show, variant):
    folder = variant(toml=(BACKTEST, f'[themes.rename]\n"zyzzyva-qat" = "beetles"\n{BACKTEST}'))
    assert "No title is about beetles" in show(folder)


def test_the_drawing_alone_is_an_svg_with_a_dot_per_title(show, as_json, tmp_path):
    place = tmp_path / "themes.svg"
    show(world_folder(), place)
    root = ElementTree.fromstring(place.read_text(encoding="utf-8"))
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    assert len(root.findall(f"{space}circle")) == as_json.json["n_titles"]
    labels = {text.text for text in root.iter(f"{space}text")}
    assert {shorten(name) for name in names(as_json.json)} <= labels


def test_titles_in_any_script_are_shown_and_cannot_become_markup(show, variant, tmp_path):
    title = "料金 <script>alert('1')</script> & \"quotes\""
    folder = variant(tables=retitled(pricing=title))
    for suffix in (".html", ".svg"):
        place = tmp_path / f"page{suffix}"
        printed = show(folder, place)
        page = place.read_text(encoding="utf-8")
        assert "料金 &lt;script&gt;" in page
        assert "<script" not in page
        assert not re.search(r"(?:src|href)=", page)
    assert "料金" in printed


def test_a_data_set_without_content_has_no_theme_and_says_so(show, variant):
    folder = variant(
        tables={"events": lambda frame: frame.with_columns(content=pl.lit(None, dtype=pl.String))},
        toml=("[themes.seeds]", "[themes.unseeded]"),
    )
    text = (folder / "dataset.toml").read_text(encoding="utf-8")
    head, _, tail = text.partition("[themes]")
    (folder / "dataset.toml").write_text(head + tail[tail.index("[backtest]") :], encoding="utf-8")
    assert "No theme: there is no content" in show(folder)


def test_another_ending_than_html_or_svg_is_refused(show, tmp_path):
    with pytest.raises(InputError, match=r"themes\.pdf.*\.html or \.svg"):
        show(world_folder(), tmp_path / "themes.pdf")


def test_the_same_titles_lie_in_the_same_places_and_like_ones_together():
    contents = {f"{thing} {kind} story": 1 for thing in ("robots", "prices") for kind in "abcdefg"}
    fitted = fit_themes(contents, seeds={}, n_clusters=2, seed=7)
    titles = sorted(contents)
    places = place_titles(fitted, titles)
    assert (places == place_titles(fitted, titles)).all()
    assert places.min() >= 0
    assert places.max() <= 1
    prices, robots = places[:7], places[7:]
    within = np.linalg.norm(prices - prices.mean(axis=0), axis=1).max()
    assert np.linalg.norm(prices.mean(axis=0) - robots.mean(axis=0)) > within


@pytest.mark.parametrize("n", [0, 1, 4, 5])
def test_few_titles_have_places_too(n):
    contents = {f"story {chr(97 + i) * 3}": 1 for i in range(n)}
    fitted = fit_themes(contents, seeds={"story": "tale"}, n_clusters=2, seed=7)
    places = place_titles(fitted, sorted(contents))
    assert places.shape == (n, 2) or n == 0
    assert np.isfinite(places).all()


def test_a_name_is_shortened_by_the_room_that_it_takes():
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab…"
    assert shorten("料金一覧", 5) == "料金…"
