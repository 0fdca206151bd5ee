"""Errors in scorecard files name the line of the key that is wrong."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.errors import ConfigError
from intentcast.scorecards import builtin_scorecards, read_scorecard
from intentcast.scorecards.lines import key_lines, line_of

FILE = """\
# name = "not this"
name = "ours"

[classes]
hot = 60

[decay]
kind = "silence"
steps = [
    { days = 14, factor = 0.8 },  # [decay]
    { days = 30, factor = 0.5 },
]

[[behaviours]]
item = "visit # [[behaviours]]"
event_type = ["page_view",
              "document_view"]
points = 5

[[behaviours]]
item = 'form'
event_type = "form"
points = 9
bands = [ ]
where.value = { at_least = 3 }
"""


@pytest.mark.parametrize(
    ("right", "wrong", "found", "line"),
    [
        ("hot = 60", "hot = -1", "classes.hot", 5),
        ("hot = 60", "hott = 60", "no classes.hot; unknown key classes.hott", "s 4, 5"),
        ("factor = 0.5", "factor = 1.5", "steps.1.factor", 11),
        ("days = 30", "days = 13", "13 days do not come after 14", 7),
        ("points = 5", "points = 'x'", "points: Input should be a valid decimal", 18),
        ("points = 9", "pionts = 9", "no points; unknown key pionts", "s 20, 23"),
        ("at_least = 3", "at_leats = 3", "where.value.at_leats", 25),
        ('"form"', '"form"\ncontent = "(x"', "content: not a regular expression", 23),
        ("item = 'form'", "item = 'visit # [[behaviours]]'", "is used by two rules", None),
    ],
)
def test_an_error_names_the_line_of_the_key(
    tmp_path: Path, right: str, wrong: str, found: str, line: Any
) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(FILE)
    assert read_scorecard(path).name == "ours"
    path.write_text(FILE.replace(right, wrong))
    with pytest.raises(ConfigError) as caught:
        read_scorecard(path)
    assert found in caught.value.found
    if line is not None:
        stated = f", line{line}" if isinstance(line, str) else f", line {line}"
        assert caught.value.found.endswith(f"{path}{stated}")


def paths(value: Any, path: tuple[Any, ...] = ()) -> set[tuple[Any, ...]]:
    found = {path} if path else set()
    items: Any = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        found |= paths(inner, (*path, key))
    return found


@pytest.mark.parametrize("path", builtin_scorecards(), ids=lambda path: path.stem)
def test_every_key_of_a_file_has_its_line(path: Path) -> None:
    text = path.read_text()
    lines, rows = key_lines(text), text.splitlines()
    for key in paths(tomllib.loads(text)) - {("attributes",), ("behaviours",)}:
        name = key[-1] if isinstance(key[-1], str) else ""
        assert name in rows[lines[key] - 1]


def test_a_key_that_is_not_there_is_on_the_line_of_its_table() -> None:
    lines = key_lines(FILE)
    assert line_of(lines, ("behaviours", 1, "content")) == 20
    assert line_of(lines, ("name", "x")) == 2
    assert line_of(lines, ("nothing",)) is None


@given(st.text(alphabet="ab[]{}=,.#\"'\n 1", max_size=60))
def test_text_that_is_not_toml_does_not_stop_the_search(text: str) -> None:
    assert all(line <= text.count("\n") + 1 for line in key_lines(text).values())
