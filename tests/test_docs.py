"""Documents: what is generated is current, decisions are numbered, every link leads somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from intentcast.features import FAMILIES

ROOT = Path(__file__).parents[1]
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))
SKIPPED = {"out", "dist", "build", "quarantine", "mlruns", "node_modules"}
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def pages():
    """Return the project's own Markdown files."""
    found = []
    for path in sorted(ROOT.rglob("*.md")):
        folders = path.relative_to(ROOT).parts[:-1]
        is_hidden = any(part.startswith(".") or part in SKIPPED for part in folders)
        if not is_hidden and "bundles" not in folders:
            found.append(path)
    return found


def anchors(path):
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def assert_current(script):
    """Fail with what a script says where its page is out of date."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / script, "--check"],
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr


def test_the_help_page_is_what_the_commands_print():
    assert_current("make_help.py")


def test_the_feature_catalogue_is_what_the_program_computes():
    assert_current("make_features.py")


def test_the_feature_catalogue_has_one_whole_row_per_feature():
    page = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z]+\.[^`]+)`<br>(.+) \|$", page, re.MULTILINE)
    names = [name for name, _ in rows]
    assert len(set(names)) == len(names) == int(re.search(r"toml`: (\d+) of them", page)[1])
    for _, row in rows:
        phrase, formula, unit, _, family = (cell.strip() for cell in re.split(r"(?<!\\)\|", row))
        assert phrase
        assert formula
        assert unit
        assert family in FAMILIES


def test_decisions_are_numbered_from_one_without_a_gap():
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert numbers == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_number_and_three_parts(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(path.name[:4])}. ")
    parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert parts == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 60, "a decision is at most a page"


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path):
    lost = []
    for target in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        if not place.exists() or (anchor and anchor not in anchors(place)):
            lost.append(target)
    assert lost == []


def test_the_readme_shows_what_the_demo_printed():
    assert_current("make_readme.py")


def test_the_readme_names_the_command_that_the_gate_calls():
    assert "\n$ make test\n" in (ROOT / "README.md").read_text(encoding="utf-8")
