"""The themes of a data set as a picture: titles on a plane, like ones together, and event shares.

The page and the drawing have no script, load nothing, and escape every name from the data.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentcast.evaluation.pages import page_environment
from intentcast.features import ThemeModel
from intentcast.features.theme_text import vectors, words

Points = NDArray[np.float64]
Row = Mapping[str, Any]

MOST_DRAWN = 500
WIDTH, MAP_HEIGHT, BAR_HEIGHT = 960, 600, 24
_MARGIN = 30
_SEED = 7
_PULL = 1.5
# Told apart as far as so many can be: every theme is also labelled, and every dot has a tooltip.
_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#8c564b", "#7f3c8d",
    "#6b8e23", "#17a2b8", "#e7298a", "#3969ac", "#e68310", "#11a579", "#f2668b", "#80ba5a",
    "#4b4b8f", "#a5731d", "#cf1c90", "#008695",
)  # fmt: skip
_NONE = "#9aa2ab"
_LABEL = 30


def colour_of(theme: int) -> str:
    """Return a theme's colour; the same number has the same colour everywhere."""
    return _COLOURS[theme % len(_COLOURS)]


def place_titles(themes: ThemeModel, titles: Sequence[str]) -> Points:
    """Place titles on the unit square so that like ones are neighbours, shape (n, 2).

    t-SNE on cosine distances of the titles' words beside their similarities to the themes. Only
    nearness means something: not the axes, and not how far apart two distant groups are.
    """
    if len(titles) < 5:
        return np.array([[(i + 1) / (len(titles) + 1), 0.5] for i in range(len(titles))])
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    index = {word: i for i, word in enumerate(themes.vocabulary)}
    own = vectors([words(title) for title in titles], index, themes.idf).toarray()
    # A constant keeps titles without a known word from having no direction at all.
    sides = [own, _PULL * (own @ themes.centroids.T), np.full((len(own), 1), 0.05)]
    with threadpool_limits(limits=1):
        placed = TSNE(
            2,
            metric="cosine",
            init="random",
            random_state=_SEED,
            perplexity=min(20.0, (len(titles) - 1) / 3),
        ).fit_transform(np.hstack(sides))
    low, high = placed.min(axis=0), placed.max(axis=0)
    return np.asarray((placed - low) / np.maximum(high - low, 1e-9), dtype=np.float64)


def draw_themes(survey: Row, places: Points) -> str:
    """Return the map and the bars as one SVG, for a page or on its own.

    Args:
        survey: `themes` (`name`, `share`), `titles` (`title`, `theme` or −1, `events`), `dataset`.
        places: Of the titles, shape (n_titles, 2), in the unit square.
    """
    titles = survey["titles"]
    most = max((row["events"] for row in titles), default=1)
    dots = [
        {
            "x": _MARGIN + place[0] * (WIDTH - 2 * _MARGIN),
            "y": _MARGIN + place[1] * (MAP_HEIGHT - 2 * _MARGIN),
            "r": 3 + 12 * float(np.sqrt(row["events"] / most)),
            "colour": _NONE if row["theme"] < 0 else colour_of(row["theme"]),
            "theme": row["theme"],
            "tip": f"{row['title']} · {_theme_name(survey, row['theme'])} · "
            f"{row['events']:,} events",
        }
        for row, place in zip(titles, places, strict=True)
    ]
    rows = _bars(survey)
    return _render(
        "themes.svg.j2",
        survey=survey,
        # Small dots last, so that none is hidden by a large one.
        dots=sorted(dots, key=lambda dot: -dot["r"]),
        labels=_labels(survey, dots),
        bars=rows,
        width=WIDTH,
        map_height=MAP_HEIGHT,
        bar_height=BAR_HEIGHT,
        height=MAP_HEIGHT + 50 + BAR_HEIGHT * len(rows),
    )


def render_themes(survey: Row, places: Points) -> str:
    """Return the page: the drawing, the themes with examples, and lines for `dataset.toml`."""
    from markupsafe import Markup

    rows = [{**theme, "colour": colour_of(i)} for i, theme in enumerate(survey["themes"])]
    # Our own drawing, escaped when it was made.
    drawing = Markup(draw_themes(survey, places))
    return _render("themes.html.j2", survey=survey, themes=rows, drawing=drawing)


def _render(template: str, **values: Any) -> str:
    return page_environment("intentcast.evaluation").get_template(template).render(**values)


def _theme_name(survey: Row, theme: int) -> str:
    return "no theme" if theme < 0 else str(survey["themes"][theme]["name"])


def _bars(survey: Row) -> list[dict[str, Any]]:
    rows = [
        {"name": shorten(theme["name"]), "share": theme["share"], "colour": colour_of(i)}
        for i, theme in enumerate(survey["themes"])
    ]
    rows.sort(key=lambda row: -row["share"])
    if survey["no_theme"]["n_titles"]:
        rows.append({"name": "no theme", "share": survey["no_theme"]["share"], "colour": _NONE})
    longest = max((row["share"] for row in rows), default=0.0) or 1.0
    return [{**row, "length": row["share"] / longest} for row in rows]


def _labels(survey: Row, dots: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a label per theme near the middle of its dots, moved so that none covers another."""
    placed: list[dict[str, Any]] = []
    for theme in sorted(range(len(survey["themes"])), key=lambda i: -survey["themes"][i]["share"]):
        own = np.array([[dot["x"], dot["y"]] for dot in dots if dot["theme"] == theme])
        if not len(own):
            continue
        text = shorten(survey["themes"][theme]["name"])
        half = 4.0 * _cells(text)
        x, middle = np.median(own, axis=0) - [0.0, 16.0]
        x = float(np.clip(x, half + 4, WIDTH - half - 4))
        for step in range(2 * MAP_HEIGHT // 9):
            shift = 9 * (step + 1) // 2 * (1 if step % 2 else -1)
            y = float(np.clip(middle + shift, 16, MAP_HEIGHT - 6))
            if not any(
                abs(y - other["y"]) < 17 and abs(x - other["x"]) < half + other["half"]
                for other in placed
            ):
                break
        placed.append({"text": text, "x": x, "y": y, "half": half})
    return placed


def shorten(text: str, cells: int = _LABEL) -> str:
    """Return a text of at most so many character cells, an ellipsis in place of the rest."""
    if _cells(text) <= cells:
        return text
    while text and _cells(text) > cells - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
