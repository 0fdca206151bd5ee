"""The report's charts as inline SVG: no script, no font or image from elsewhere.

Every chart takes values and names ready to show. One colour stands for the model and one for the
rules in all of them; both, with the neutral grey, are told apart by colour-blind readers. Text
takes the page's own colour and marks its `--model`, `--learner`, `--rules` and `--neutral` where it
sets them, so that a chart works on a light and on a dark page.
"""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from textwrap import wrap
from typing import Any, Literal

Kind = Literal["model", "learner", "rules", "neutral"]
Row = Mapping[str, Any]

COLOURS: dict[Kind, str] = {
    "model": "#0072b2",
    "learner": "#56b4e9",
    "rules": "#d55e00",
    "neutral": "#7f7f7f",
}
_INK = "#0b0b0c"
_DASHES = [[6, 3], [2, 3], [9, 3, 2, 3], [12, 4], [4, 2, 1, 2, 1, 2]]
_WIDTH = 640
_ROW_HEIGHT = 42
# Text is measured in one font and shown in the reader's: room for a wider one.
_ROOM = 40
_LINE = 44
_TAG = re.compile(r"<[^>]*>")
_DROPPED = re.compile(
    r' (?:xmlns(?::\w+)?|version|role|aria-[a-z]+|pointer-events)="[^"]*"| opacity="1"'
)
_LOCAL_ID = re.compile(r'(id="|url\(#)(?=clip|gradient)')
_PERCENT = "format(100 * datum.value, '.3~g') + ' %'"


def draw_differences(rows: Sequence[Row], *, label: str) -> str:
    """Return differences with their intervals, one row each, and a line at zero.

    Args:
        rows: `name`, `kind`, `difference`, `low`, `high`; in the order to show.
        label: What the chart says, for those who cannot see it.
    """
    import altair as alt

    rows, names = _wrapped(rows)
    base = alt.Chart(_data(rows))
    y = alt.Y("name:N", sort=names, title=None)
    title = "More conversions found by the model  →"
    zero = alt.Chart(_data([{"at": 0}])).mark_rule(color=_INK, strokeDash=[4, 3]).encode(x="at:Q")
    span = base.mark_rule(strokeWidth=3).encode(
        x=alt.X("low:Q", title=title, axis=alt.Axis(format="+,~f", tickCount=8)),
        x2="high:Q",
        y=y,
        color=_kind_colour(),
    )
    dot = base.mark_point(filled=True, size=110, opacity=1).encode(
        x="difference:Q", y=y, color=_kind_colour()
    )
    value = base.mark_text(dy=-11, fontSize=12, color=_INK).encode(
        x="difference:Q", y=y, text=alt.Text("difference:Q", format="+,.1f")
    )
    height = _ROW_HEIGHT * len(rows)
    return _svg(zero + span + dot + value, name="differences", label=label, height=height)


def draw_gains(curves: Sequence[Row], *, label: str) -> str:
    """Return gains curves, the first solid, the others dashed, with the diagonal of chance.

    Args:
        curves: `name`, `kind`, `points` (share contacted, share found); in the order to show.
        label: What the chart says, for those who cannot see it.
    """
    import altair as alt

    chance = {"name": "leads at random", "kind": "neutral", "points": [(0.0, 0.0), (1.0, 1.0)]}
    lines = [*curves, chance]
    points = [
        {"name": line["name"], "x": x, "y": y, "order": i}
        for line in lines
        for i, (x, y) in enumerate(line["points"])
    ]
    names = [line["name"] for line in lines]
    dashes = [[1, 0], *(_DASHES[i % len(_DASHES)] for i in range(len(curves) - 1)), [1, 4]]
    legend = alt.Legend(
        title=None, orient="top", columns=2, columnPadding=60, symbolSize=900, symbolStrokeWidth=2.5
    )
    chart = (
        alt.Chart(_data(points))
        .mark_line(strokeWidth=2.5)
        .encode(
            x=_x_share("x", "Share contacted, highest score first", domain=(0, 1)),
            y=_y_share("y", "Share of conversions found", domain=(0, 1)),
            order="order:Q",
            color=alt.Color(
                "name:N",
                sort=names,
                legend=legend,
                scale=alt.Scale(domain=names, range=[COLOURS[x["kind"]] for x in lines]),
            ),
            strokeDash=alt.StrokeDash(
                "name:N", sort=names, legend=legend, scale=alt.Scale(domain=names, range=dashes)
            ),
        )
    )
    return _svg(chart, name="gains", label=label, height=340)


def draw_reliability(bins: Sequence[Row], *, label: str) -> str:
    """Return what was predicted against what happened, with the diagonal where they agree.

    Args:
        bins: `mean_probability`, `share_converted`, `low`, `high`.
        label: What the chart says, for those who cannot see it.
    """
    import altair as alt

    end = 1.08 * max(max(b["mean_probability"], b["high"]) for b in bins)
    x = _x_share("mean_probability", "The model said", domain=(0, end))
    y = _y_share("share_converted", "Converted", domain=(0, end))
    diagonal = (
        alt.Chart(_data([{"a": 0.0}, {"a": end}]))
        .mark_line(color=COLOURS["neutral"], strokeDash=[4, 3])
        .encode(x="a:Q", y="a:Q")
    )
    base = alt.Chart(_data(bins))
    line = base.mark_line(color=COLOURS["model"], strokeWidth=1, opacity=0.6).encode(x=x, y=y)
    bars = base.mark_rule(color=COLOURS["model"], strokeWidth=2).encode(x=x, y="low:Q", y2="high:Q")
    dots = base.mark_point(filled=True, size=60, opacity=1, color=COLOURS["model"]).encode(x=x, y=y)
    return _svg(
        diagonal + line + bars + dots,
        name="reliability",
        label=label,
        width=235,
        height=235,
        room=8,
    )


def draw_groups(
    bins: Sequence[Row], *, label: str, title: str = "What the model said; converted of scored"
) -> str:
    """Return each group of leads with what was said, what happened, and its counts underneath.

    Args:
        bins: `group` (two or more lines of text), `mean_probability`, `share_converted`, `low`,
            `high`; in the order to show.
        label: What the chart says, for those who cannot see it.
        title: Of the groups.
    """
    import altair as alt

    # Groups may read the same (0 of 465 twice), so their place tells them apart.
    texts = json.dumps([b["group"] for b in bins])
    base = alt.Chart(_data([{**b, "place": i} for i, b in enumerate(bins)]))
    x = alt.X(
        "place:O",
        title=title,
        axis=alt.Axis(
            labelExpr=f"{texts}[datum.value]",
            labelAngle=0,
            labelFontSize=11,
            labelLineHeight=13,
            labelOverlap=False,
        ),
    )
    y = _y_share("share_converted", "Converted")
    said = base.mark_tick(color=_INK, thickness=2, width=24).encode(x=x, y="mean_probability:Q")
    bars = base.mark_rule(color=COLOURS["model"], strokeWidth=2).encode(x=x, y="low:Q", y2="high:Q")
    dots = base.mark_point(filled=True, size=70, opacity=1, color=COLOURS["model"]).encode(x=x, y=y)
    return _svg(bars + said + dots, name="groups", label=label, width=440, height=235, room=8)


def draw_precision(rows: Sequence[Row], *, base_rate: float | None, label: str) -> str:
    """Return precision per contender with the range that the order of ties leaves.

    Args:
        rows: `name`, `kind`, `expected`, `worst`, `best`; in the order to show.
        base_rate: Share converted among all scored, drawn as a line.
        label: What the chart says, for those who cannot see it.
    """
    import altair as alt

    rows, names = _wrapped(rows)
    y = alt.Y("name:N", sort=names, title=None)
    base = alt.Chart(_data(rows))
    span = base.mark_bar(height=10, opacity=0.35).encode(
        x=_x_share("worst", "Share of handed-over leads that converted"),
        x2="best:Q",
        y=y,
        color=_kind_colour(),
    )
    dot = base.mark_point(filled=True, size=110, opacity=1).encode(
        x="expected:Q", y=y, color=_kind_colour()
    )
    value = base.mark_text(dy=-12, fontSize=12, color=_INK).encode(
        x="expected:Q", y=y, text="shown:N"
    )
    layers = span + dot + value
    if base_rate is not None:
        line = alt.Chart(_data([{"at": base_rate}])).mark_rule(color=_INK, strokeDash=[4, 3])
        layers = line.encode(x="at:Q") + layers
    height = _ROW_HEIGHT * len(rows)
    return _svg(layers, name="precision", label=label, height=height)


def draw_drivers(rows: Sequence[Row], *, label: str) -> str:
    """Return bars, longest first, for how much each feature moves the model's answers.

    Args:
        rows: `name`, `weight` (the strongest 100); in the order to show.
        label: What the chart says, for those who cannot see it.
    """
    import altair as alt

    rows, names = _wrapped(rows)
    base = alt.Chart(_data(rows))
    x = alt.X("weight:Q", title="Influence, strongest = 100", scale=alt.Scale(domain=[0, 106]))
    y = alt.Y("name:N", sort=names, title=None)
    bars = base.mark_bar(color=COLOURS["model"], height=16).encode(x=x, y=y)
    value = base.mark_text(align="left", dx=4, fontSize=12, color=_INK).encode(
        x=x, y=y, text=alt.Text("weight:Q", format=".0f")
    )
    height = (34 if any("\n" in name for name in names) else 25) * len(rows)
    return _svg(bars + value, name="drivers", label=label, width=400, height=height)


def _data(rows: Sequence[Row]) -> Any:
    import altair as alt

    return alt.InlineData(values=[dict(row) for row in rows])


def _wrapped(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Return the rows with names of at most two lines, and the names."""
    names = ["\n".join(wrap(row["name"], _LINE, max_lines=2, placeholder=" …")) for row in rows]
    return [{**row, "name": name} for row, name in zip(rows, names, strict=True)], names


def _kind_colour() -> Any:
    import altair as alt

    scale = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    return alt.Color("kind:N", scale=scale, legend=None)


def _x_share(field: str, title: str, *, domain: tuple[float, float] | None = None) -> Any:
    import altair as alt

    return alt.X(f"{field}:Q", title=title, **_percent_scale(domain))


def _y_share(field: str, title: str, *, domain: tuple[float, float] | None = None) -> Any:
    import altair as alt

    return alt.Y(f"{field}:Q", title=title, **_percent_scale(domain))


def _percent_scale(domain: tuple[float, float] | None) -> dict[str, Any]:
    import altair as alt

    scale = alt.Scale(domain=list(domain), nice=False) if domain else alt.Scale(zero=True)
    return {"scale": scale, "axis": alt.Axis(labelExpr=_PERCENT, tickCount=5)}


def _svg(
    chart: Any, *, name: str, label: str, height: float, width: int = _WIDTH, room: int = _ROOM
) -> str:
    """Return the chart's SVG, self-contained, with an accessible name and identifiers of its own.

    Its text is escaped, and it is marked as safe to put into a page as it is.

    Args:
        chart: An altair chart.
        name: Distinguishes it from the page's other charts.
        label: Read out instead of it.
        height: Of the plot, in pixels.
        width: Of the plot, in pixels.
        room: Left of the labels, in pixels.
    """
    import altair as alt
    import vl_convert
    from markupsafe import Markup

    finished = (
        chart.properties(
            width=width,
            height=height,
            background="transparent",
            padding={"left": room, "right": 20, "top": 8, "bottom": 8},
        )
        .configure(font="system-ui, Helvetica, Arial, sans-serif", lineBreak="\n")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=_INK,
            titleColor=_INK,
            domainColor=COLOURS["neutral"],
            tickColor=COLOURS["neutral"],
            gridColor=COLOURS["neutral"],
            gridOpacity=0.25,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelLimit=400,
            labelFlush=False,
        )
        .configure_axisY(labelPadding=6)
        .configure_legend(labelColor=_INK, labelFontSize=12)
    )
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    svg: str = vl_convert.vegalite_to_svg(finished.to_dict(), vl_version=version)

    def clean(tag: re.Match[str]) -> str:
        kept = _DROPPED.sub("", tag[0]).replace(f'"{_INK}"', '"currentColor"')
        for kind, colour in COLOURS.items():
            kept = kept.replace(f'"{colour}"', f'"var(--{kind}, {colour})"')
        return _LOCAL_ID.sub(rf"\g<1>{name}-", kept)

    svg = _TAG.sub(clean, svg)
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1))
