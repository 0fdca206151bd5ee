"""The page about points tables says what is so: its examples are run."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from intentcast.errors import ConfigError
from intentcast.scorecards import ledger, parse_scorecard, read_scorecard, score_snapshots
from intentcast.scorecards.card import AttributeRule, Band, BehaviourRule, Classes, Scorecard
from intentcast.scorecards.decay import DECAYS
from tests.test_scorecards import NOW, at, event, world

PAGE = (Path(__file__).parents[2] / "docs" / "scorecards.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)


def shown(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n```text\n(.*?)```", PAGE, flags=re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_points_table_or_part_of_one(example: str) -> None:
    raw: dict[str, Any] = {"name": "ours", "classes": {"hot": 60}} | tomllib.loads(example)
    card = parse_scorecard(raw, source="docs/scorecards.md")
    dataset = world([event("L1", "page_view")])
    assert len(score_snapshots(card, dataset, at(NOW))) == 1


def test_every_key_of_the_format_is_on_the_page() -> None:
    models = (Scorecard, Classes, AttributeRule, BehaviourRule, Band, *DECAYS.values())
    keys = {name for model in models for name in model.model_fields} - {"name", "description"}
    assert {key for key in keys if not re.search(rf"\b{key}\b", PAGE)} == set()
    assert all(f'"{kind}"' in PAGE for kind in DECAYS)


def test_the_ledger_on_the_page_is_the_ledger() -> None:
    [example] = [text for text in EXAMPLES if 'name = "example"' in text]
    card = parse_scorecard(tomllib.loads(example), source="docs/scorecards.md")
    days = {"page_view": 3, "form_submit": 2}
    events = [
        event("L1", kind, NOW - timedelta(days=days[kind]))
        for kind in ("page_view", "page_view", "page_view", "form_submit")
    ]
    got = ledger(card, world(events), "L1", NOW)
    said = [(float(line.points), line.item) for line in got.lines]
    written = [row.split(None, 1) for row in shown("ledger").splitlines()]
    assert said == [(float(points), item) for points, item in written]
    assert f"the score, {got.score}, exactly" in PAGE


def test_the_error_on_the_page_is_the_error(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(
        'name = "ours"\nclasses = { hot = 60 }\n\n'
        '[[behaviours]]\nitem = "visit"\nevent_type = "page_view"\npionts = 5\n'
    )
    with pytest.raises(ConfigError) as caught:
        read_scorecard(path)
    found = str(caught.value).replace(str(path), "ours.toml").partition(" Expected")[0]
    assert found == shown("error").strip()
