"""`intentcast export`."""

import textwrap
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from intentcast.cli.console import AsJson, show

NAME = "export"
HELP = (
    "Write a points table for another tool: CSV, a HubSpot lead score draft, Marketo tokens.\n\n"
    "Each is checked against the tool's documented limits. What the tool cannot express is listed, "
    "and the export refused (exit 3) unless --accept-losses is given; then the file lists it. "
    "Nothing is sent anywhere.\n\n"
    "Example: intentcast export models/scorecards/playbook.toml --to csv --out playbook.csv"
)


class Tool(StrEnum):
    """What a points table can be written for."""

    CSV = "csv"
    HUBSPOT = "hubspot"
    MARKETO = "marketo"


def run(
    scorecard: Annotated[Path, typer.Argument(metavar="S", help="The points table, a .toml file.")],
    to: Annotated[Tool, typer.Option(help="For which tool.")] = Tool.CSV,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file to write; default S.csv or S.TOOL.json."),
    ] = None,
    accept_losses: Annotated[
        bool,
        typer.Option("--accept-losses", help="Write it although the tool cannot express all."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check, write, print."""
    from intentcast.errors import RefusedError
    from intentcast.files import write_atomic
    from intentcast.scorecards import read_scorecard
    from intentcast.scorecards.export_csv import to_csv
    from intentcast.scorecards.export_hubspot import to_hubspot
    from intentcast.scorecards.export_marketo import to_marketo

    card = read_scorecard(scorecard)
    exporter = {Tool.CSV: to_csv, Tool.HUBSPOT: to_hubspot, Tool.MARKETO: to_marketo}[to]
    exported = exporter(card)
    lost = exported.not_expressed
    if lost and not accept_losses:
        raise RefusedError(
            f"{len(lost)} things that {to.value} cannot express: {'; '.join(lost)}",
            expected="a table that scores the same there",
            next_step="simplify the table (or a copy), or give --accept-losses",
        )
    suffix = ".csv" if to is Tool.CSV else f".{to.value}.json"
    place = out or Path(f"{scorecard.stem}{suffix}")
    write_atomic(place, exported.content)
    if as_json:
        show(
            {
                "out": str(place),
                "to": to.value,
                "scorecard": card.name,
                "by_hand": exported.by_hand,
                "not_expressed": lost,
            }
        )
        return
    for title, lines in (
        ("To be set up by hand, as the file says:", exported.by_hand),
        ("Not expressed, so scores will differ:", lost),
    ):
        if lines:
            print(title)
            for line in lines:
                print(textwrap.fill(line, 80, initial_indent="  ", subsequent_indent="    "))
    print(f"Wrote {place}")
