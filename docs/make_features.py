"""Write docs/features.md: every feature of data/sample, with its formula and unit.

python docs/make_features.py           write it
python docs/make_features.py --check   exit 1 if it is out of date
"""

import html
import inspect
import sys
from pathlib import Path

from intentcast.config import LearnerConfig, read_settings
from intentcast.evaluation.phrases import feature_in_words
from intentcast.features import FAMILIES, Column, FeatureSpec, columns, fit_featurizer
from intentcast.features.spec import slug
from intentcast.sources import load_dataset

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_name("features.md")
HEAD = """# Features

This page is written by `python docs/make_features.py`; a test compares it with the program.

One row per feature that a model of `data/sample` can use with the settings of
`models/conversion.toml`: {n} of them. Other data have rows of the same forms, for their own event
types, themes, channels and levels. What they do not hold (values, durations, accounts of several
leads, job titles, core themes) has no rows.

## How to read a row

A name is `area.measure.subject.unit`: what is looked at, what is measured, of which group, and the
half-life, the window or what the number counts. Under the name is the phrase that reports use.
"Unknown" is NaN. The same computation serves tables, requests and notebooks, bit for bit, in single
precision.

{notation}

Groups of events in `data/sample`; `other` holds what was rare or not seen in training:

{groups}

## Families

A family is switched off with `features.without` in the learner's settings.

{families}
"""
ABOUT = {
    "recency": "How much happened, recent events counting more: an event counts 1 when it occurs "
    "and half as much one half-life later. Several half-lives tell a burst from a habit.",
    "last": "How long ago something last happened.",
    "counts": "How much happened in the last days, each event counting 1.",
    "value": "What the events were worth and how long they took, where the source says so.",
    "consistency": "How steadily the lead is active: days, weeks, runs of days, and the gaps "
    "between them.",
    "coherence": "Whether interest holds to a few themes, and to the team's core themes.",
    "acceleration": "Whether activity is picking up: the short memory against the long one.",
    "escalation": "Whether the lead comes back: visits, and the same content again.",
    "dormancy": "Whether the lead was silent for long and returned.",
    "account": "What others at the same company do, and how earlier matters with them ended. "
    "Colleagues' activity leaves the lead's own out; a lead without an account is alone in one.",
    "lifecycle": "How old the relationship is, how regular its hours are, and how earlier matters "
    "ended.",
    "fit": "What the lead and its company are: numbers as they are, and one flag per frequent "
    "level.",
}


def page() -> str:
    """Return the page as it should be."""
    settings = read_settings(ROOT / "models" / "conversion.toml", LearnerConfig)
    dataset = load_dataset(ROOT / "data" / "sample")
    every = settings.features.model_copy(update={"without": ()})
    known_by = dataset.data_cutoff
    spec = fit_featurizer(dataset, known_by=known_by, settings=every, seed=settings.seed).spec
    by_family = {f: [c for c in spec.columns if c.family == f] for f in FAMILIES}
    head = HEAD.format(
        n=len(spec.columns),
        notation=inspect.cleandoc(columns.__doc__ or "").split("\n\n", 1)[1],
        groups=_groups(spec),
        families=_table(
            ("Family", "Features", "By default", "Tells"),
            [
                (
                    f"[{family}](#{family})",
                    f"{len(found)}",
                    "off" if family in settings.features.without else "on",
                    ABOUT[family],
                )
                for family, found in by_family.items()
            ],
        ),
    )
    levels = {name: {slug(text): text for text in texts} for name, texts in spec.levels}
    parts = [
        f"## {family}\n\n{ABOUT[family]}\n\n{_rows(found, levels)}\n"
        for family, found in by_family.items()
    ]
    return "\n".join([head, *parts])


def _groups(spec: FeatureSpec) -> str:
    kinds = (
        ("event types (`activity`)", spec.type_names),
        ("themes (`theme`), " + _core(spec), spec.theme_names),
        ("channels (`channel`)", spec.channel_names),
    )
    lines = ["- all events (`engagement`)"]
    lines += [f"- {kind}: {', '.join(f'`{name}`' for name in names)}" for kind, names in kinds]
    return "\n".join(lines)


def _core(spec: FeatureSpec) -> str:
    return f"of which {', '.join(spec.core_themes)} are core" if spec.core_themes else "none core"


def _rows(found: list[Column], levels: dict[str, dict[str, str]]) -> str:
    rows = [
        (
            f"`{column.name}`<br>{_text(feature_in_words(column.name, levels))}",
            _text(column.formula),
            _text(column.unit),
            _text(column.unknown),
            column.family,
        )
        for column in found
    ]
    return _table(("Feature", "Formula", "Unit", "Unknown where", "Family"), rows)


def _text(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "\\|")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def main() -> int:
    """Write the page, or compare it."""
    wanted = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    found = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if found == wanted:
        return 0
    sys.stderr.write("docs/features.md is out of date. Next: python docs/make_features.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
