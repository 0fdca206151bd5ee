"""`intentcast themes`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intentcast.cli.console import (
    AsJson,
    DataFolder,
    Settings,
    learner_settings,
    open_dataset,
    percent,
    progress,
    show,
)

if TYPE_CHECKING:
    from intentcast.config import DatasetConfig, LearnerConfig
    from intentcast.features import ThemeModel
    from intentcast.sources import Dataset

NAME = "themes"
HELP = (
    "Show the themes of the content: which titles are in each, and how often they are read.\n\n"
    "Themes are fitted on everything known at the data cut-off: the seeds of dataset.toml first, "
    "clusters for the rest. Prints a table and the lines with which dataset.toml renames and "
    "merges them, and draws a map.\n\n"
    "Example: intentcast themes data/sample"
)
_EXAMPLES = 5
# From this cosine similarity on, two themes are worth a look: are they one?
_ALIKE = 0.25
_PAIRS = 5


def run(
    folder: DataFolder,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .html or .svg file; default out/NAME/themes.html."),
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Fit, draw, print."""
    _refuse_format(out)
    with progress() as say:
        config = learner_settings(settings)
        dataset = open_dataset(folder, say)
        say("themes")
        themes, found = survey(dataset, config)
        say("drawing")
        place = out or Path("out") / dataset.config.name / "themes.html"
        _draw(themes, found, place)
    found["out"] = str(place)
    if as_json:
        show({key: value for key, value in found.items() if key != "titles"})
    else:
        _print(found)


def _refuse_format(out: Path | None) -> None:
    from intentcast.errors import InputError

    if out is not None and out.suffix not in (".html", ".svg"):
        raise InputError(
            f"--out {str(out)!r}",
            expected="a file that ends in .html or .svg",
            next_step="give it one of these endings",
        )


def survey(dataset: "Dataset", config: "LearnerConfig") -> tuple["ThemeModel", dict[str, Any]]:
    """Fit the themes on what is known by the cut-off; return them and what `themes` shows."""
    from intentcast.evaluation.theme_map import MOST_DRAWN
    from intentcast.features import fit_themes

    stated = dataset.config.themes
    contents = _contents(dataset)
    themes = fit_themes(
        contents,
        seeds=stated.seeds,
        n_clusters=config.features.clustered_themes,
        seed=config.seed,
        renames=stated.rename,
        merges=stated.merge,
    )
    n_events = sum(contents.values())
    n_themes = len(themes.names)
    ranked = sorted(contents, key=lambda title: (-contents[title], title))
    rows = list(zip(ranked, themes.assign(ranked), strict=True))
    members: list[list[str]] = [[] for _ in range(n_themes + 1)]
    for title, theme in rows:
        members[theme].append(title)

    def facts(titles: list[str]) -> dict[str, Any]:
        share = sum(contents[title] for title in titles) / n_events if n_events else 0.0
        return {"share": share, "n_titles": len(titles), "examples": titles[:_EXAMPLES]}

    named = [
        {
            "name": name,
            "kind": _kind(name, dataset.config),
            "is_core": name in stated.core,
            **facts(members[number]),
        }
        for number, name in enumerate(themes.names)
    ]
    return themes, {
        "dataset": dataset.config.name,
        "known_by": dataset.data_cutoff.isoformat(),
        "n_events": n_events,
        "n_titles": len(contents),
        "themes": named,
        "no_theme": facts(members[n_themes]),
        "toml": _toml(themes, named, dataset.config) if named else "",
        "titles": [
            {"title": title, "theme": -1 if number == n_themes else number, "events": n}
            for title, number in rows[:MOST_DRAWN]
            if (n := contents[title])
        ],
    }


def _contents(dataset: "Dataset") -> dict[str, int]:
    import polars as pl

    from intentcast.snapshots import known_as_of

    events = known_as_of(dataset.events, dataset.data_cutoff).filter(
        ~pl.col("is_machine").fill_null(value=False)
    )
    return dict(events["content"].cast(pl.String).drop_nulls().value_counts().iter_rows())


def _kind(name: str, config: "DatasetConfig") -> str:
    if name in config.themes.merge:
        return "merged"
    if name in config.themes.rename.values():
        return "renamed"
    return "seed" if name in config.themes.seeds else "cluster"


def _toml(themes: "ThemeModel", named: Sequence[Mapping[str, Any]], config: "DatasetConfig") -> str:
    """Return the present sections, and comments that would rename or merge what is left."""
    lines = ["[themes.rename]"]
    lines += [f"{_quoted(old)} = {_quoted(new)}" for old, new in config.themes.rename.items()]
    lines += [
        f'# {_quoted(theme["name"])} = "a better name"'
        for theme in named
        if theme["kind"] == "cluster"
    ]
    lines += ["", "[themes.merge]"]
    for name, parts in config.themes.merge.items():
        lines.append(f"{_quoted(name)} = [{', '.join(map(_quoted, parts))}]")
    for similarity, first, second in _alike(themes):
        larger, smaller = sorted(
            (named[first], named[second]), key=lambda theme: (-theme["share"], theme["name"])
        )
        lines.append(
            f"# {_quoted(larger['name'])} = [{_quoted(smaller['name'])}]"
            f"  # similarity {similarity:.2f}"
        )
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _alike(themes: "ThemeModel") -> list[tuple[float, int, int]]:
    """Return the most similar pairs of themes, most similar first."""
    import numpy as np

    owners = np.array(themes.owners or range(len(themes.names)))
    similarity = themes.centroids @ themes.centroids.T
    best: dict[tuple[int, int], float] = {}
    for i, j in zip(*np.nonzero(similarity >= _ALIKE), strict=True):
        pair = (int(owners[i]), int(owners[j]))
        if pair[0] < pair[1]:
            best[pair] = max(best.get(pair, 0.0), float(similarity[i, j]))
    ranked = sorted(((value, *pair) for pair, value in best.items()), key=lambda row: -row[0])
    return ranked[:_PAIRS]


def _draw(themes: "ThemeModel", found: Mapping[str, Any], place: Path) -> None:
    from intentcast.evaluation.theme_map import draw_themes, place_titles, render_themes
    from intentcast.files import write_atomic

    places = place_titles(themes, [row["title"] for row in found["titles"]])
    draw = draw_themes if place.suffix == ".svg" else render_themes
    write_atomic(place, draw(found, places).encode())


def _print(found: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=False)
    console.print(
        f"{found['dataset']}: {found['n_titles']:,} titles in {found['n_events']:,} events, as "
        f"known by {found['known_by'][:16].replace('T', ' ')} UTC"
    )
    if not found["themes"]:
        console.print("No theme: there is no content that titles could be learnt from.")
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("theme", no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column("kind", no_wrap=True)
    table.add_column("events", justify="right", no_wrap=True)
    table.add_column("titles", justify="right", no_wrap=True)
    table.add_column("for example", no_wrap=True, overflow="ellipsis", ratio=1)
    for theme in found["themes"]:
        table.add_row(*_cells(theme["name"], theme["kind"] + "*" * theme["is_core"], theme))
    if found["no_theme"]["n_titles"]:
        table.add_row(*_cells("(no theme)", "", found["no_theme"]))
    if found["n_titles"]:
        console.print(table)
    if any(theme["is_core"] for theme in found["themes"]):
        console.print("* core theme")
    if empty := [theme["name"] for theme in found["themes"] if not theme["n_titles"]]:
        console.print(f"No title is about {', '.join(empty)}: check the words in dataset.toml.")
    if found["toml"]:
        print("\nTo rename or merge, put this into dataset.toml and uncomment what you want:\n")
        print(found["toml"])
    print(f"Drawn in {found['out']}")


def _cells(name: str, kind: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    examples = " | ".join(facts["examples"][:2])
    return name, kind, percent(facts["share"]), f"{facts['n_titles']:,}", examples
