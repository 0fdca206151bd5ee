"""`intentcast check`."""

from collections.abc import Callable
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
    from intentcast.sources import Dataset

AcceptedLeaks = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-leak",
        metavar="NAME",
        help="Train although the audit of `check` calls this column a leak; repeat for more. "
        "Recorded in the bundle's metrics.",
    ),
]
NAME = "check"
HELP = (
    "Say what a data set holds, what was set aside and why, and whether it is enough.\n\n"
    "Prints the rows of each table, the rows that broke a rule (written with their row number and "
    "rule), the cohort, and the base rate per horizon. Nothing is dropped silently.\n\n"
    "Then the leakage audit: which attributes and event types know the outcome, as nothing known "
    "beforehand could (`train` refuses those); and how many more conversions until the next "
    "learner, until isotonic calibration, and until a verdict against the points table.\n\n"
    "Example: intentcast check data/sample"
)


def run(
    folder: DataFolder,
    quarantine: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where bad rows go; without it quarantine/NAME."),
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Check and print."""
    from intentcast.evaluation.leakage import audit_leakage
    from intentcast.evaluation.survey import survey
    from intentcast.sources.set_aside import write_set_aside

    config = learner_settings(settings)
    with progress() as say:
        dataset = open_dataset(folder, say)
        say("cohort and labels")
        found, plans = survey(dataset, config)
        audit = audit_leakage(dataset, on_progress=say)
        place = quarantine or Path("quarantine") / dataset.config.name
        written = write_set_aside(dataset, place)
    found["quarantine_files"] = [str(path) for path in written]
    if as_json:
        plan = [plan.to_json() for plan in plans]
        show({**found, "leakage": audit.to_json(), "plan": plan})
        return
    _print(found)
    from intentcast.evaluation.leakage_page import leakage_lines
    from intentcast.evaluation.planner_page import plan_lines

    for lines in (leakage_lines(audit), plan_lines(plans)):
        print()
        print("\n".join(lines))


def refuse_leaks(
    dataset: "Dataset", accepted: list[str] | None, say: Callable[[str], None]
) -> list[str]:
    """Audit before training; return which leaks were accepted by name.

    Raises:
        RefusedError: If a column leaks whose name is not among them.
        InputError: If a name is no column or table that the audit knows.
    """
    from intentcast.evaluation.leakage import audit_leakage

    return list(audit_leakage(dataset, on_progress=say).refuse(accepted=accepted or ()))


def warn_of_leaks(dataset: "Dataset", say: Callable[[str], None]) -> None:
    """Audit before a backtest and name what leaks on stderr: figures resting on it flatter."""
    from intentcast.evaluation.leakage import audit_leakage

    for found in audit_leakage(dataset, on_progress=say).leaks:
        say(f"leak: {found.kind} {found.name}; what follows flatters. See `intentcast check`")


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=False)
    console.print(f"{found['dataset']}: data complete up to {found['data_cutoff'][:16]} UTC")
    tables = Table("table", box=None, pad_edge=False)
    for title in ("rows", "set aside", "duplicates"):
        tables.add_column(title, justify="right")
    tables.add_column("rules broken (rows)")
    for row in found["tables"]:
        rules = ", ".join(f"{rule} ({n:,})" for rule, n in row["rules"].items())
        tables.add_row(
            row["table"],
            f"{row['n_rows']:,}",
            f"{row['n_set_aside']:,}",
            f"{row['n_duplicates']:,}",
            rules or "–",
        )
    console.print(tables)
    for path in found["quarantine_files"]:
        console.print(f"  set aside in {path}", soft_wrap=True)
    cohort = found["cohort"]
    console.print(
        f"\nCohort: {cohort['rule']} within {cohort['within_days']} days, "
        f"{cohort['n_times']} as-of times from {cohort['from'][:10]} to {cohort['to'][:10]}"
        f"{'' if cohort['is_stated'] else ' (from the data: cohort.start and end are not set)'};\n"
        f"{cohort['n_leads']:,} leads, {cohort['leads_per_time']:,.0f} at a time"
    )
    horizons = Table(box=None, pad_edge=False)
    for title in ("horizon", "snapshots", "mature", "converted", "leads that do", "base rate"):
        horizons.add_column(title, justify="right")
    for row in found["horizons"]:
        horizons.add_row(
            f"{row['horizon_days']} d",
            f"{row['n_snapshots']:,}",
            f"{row['n_mature']:,}",
            f"{row['n_converted']:,}",
            f"{row['n_converting_leads']:,}",
            percent(row["base_rate"]),
        )
    console.print(horizons)
    if constant := found["attributes_taken_as_constant"]:
        console.print(
            f"\nTaken as constant, since attribute_changes does not date them: "
            f"{', '.join(constant)}"
        )
    cards = ", ".join(found["scorecards"]) or "none fits these event types; add a scorecard.toml"
    console.print(f"Points tables to compare with: {cards}")
