"""`intentcast backtest`."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from intentcast.cli.check import warn_of_leaks
from intentcast.cli.console import (
    AsJson,
    DataFolder,
    Settings,
    handoff_settings,
    learner_settings,
    open_dataset,
    percent,
    progress,
    show,
)

NAME = "backtest"
HELP = (
    "Would the model have found more conversions than the points table? Rolling origin.\n\n"
    "Before each test window a model is trained on what was known by then (embargo: one horizon), "
    "then every contender scores the same leads at the same times. Writes report.json, "
    "predictions.parquet and report.html (open it in a browser).\n\n"
    "Example: intentcast backtest data/sample --out out/sample"
)


def run(
    folder: DataFolder,
    out: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Where the report goes; default out/NAME.")
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Backtest, write, print the verdict."""
    with progress() as say:
        report, place = backtest(folder, out, settings, say)
    if as_json:
        show({"out": str(place), **report})
        return
    print_verdict(report)
    print(f"Report: {place / 'report.html'}")


def backtest(
    folder: Path, out: Path | None, settings: Path | None, say: Callable[[str], None]
) -> tuple[dict[str, Any], Path]:
    """Run a backtest and write its three files; return the report and their folder."""
    from intentcast.evaluation.backtest_files import write_backtest

    config = learner_settings(settings)
    dataset = open_dataset(folder, say)
    warn_of_leaks(dataset, say)
    place = out or Path("out") / dataset.config.name
    signals = handoff_settings().signals
    report = write_backtest(dataset, place, config=config, signals=signals, on_progress=say)
    return report, place


def print_verdict(report: dict[str, Any]) -> None:
    """Print base rate, ranking and the verdict at capacity, in at most 80 columns."""
    days = report["primary_horizon_days"]
    print(
        f"{report['n_converted']:,} of {report['n_snapshots']:,} test snapshots "
        f"({report['n_leads']:,} leads) converted\nwithin {days} days: base rate "
        f"{percent(report['base_rate'])}"
    )
    rows = [("", "AUC", "avg. precision", "at capacity", "Brier")]
    for name, found in report["contenders"].items():
        at = found["precision_at_capacity"]
        spread = at["best"] is not None and at["best"] - at["worst"] > 0.0005
        rows.append(
            (
                name,
                _figure(found["auc"]),
                _figure(found["average_precision"]),
                percent(at["expected"])
                + (f" ({at['worst']:.0%}–{at['best']:.0%})" if spread else ""),
                _figure(found.get("brier")),
            )
        )
    for row in rows:
        print(f"  {row[0]:<22}{row[1]:>7}{row[2]:>16}{row[3]:>20}{row[4]:>9}")
    print(verdict(report))
    if report["segments"]:
        from intentcast.evaluation.segment_words import segment_verdict

        print(textwrap.fill(segment_verdict(report["segments"]), 80))
    if truth := report["truth"]:
        print(
            f"Against the known truth: AUC {truth['auc']:.3f} of {truth['auc_truth']:.3f}, average "
            f"precision {truth['average_precision']:.3f} of\n"
            f"{truth['average_precision_truth']:.3f}, calibration slope {truth['slope']:.2f}, mean "
            f"gap {truth['mean_absolute_gap']:.3f}."
        )


def verdict(report: dict[str, Any]) -> str:
    """Return the comparison with the points table in words."""
    from intentcast.evaluation.report import state_verdict

    # A number keeps its percent sign on its line.
    kept = state_verdict(report).sentence.replace(" %", "\u00a0%")
    return textwrap.fill(kept, 80).replace("\u00a0", " ")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
