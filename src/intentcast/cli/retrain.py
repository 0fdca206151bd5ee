"""`intentcast retrain`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from intentcast.cli.bundles import BUNDLES
from intentcast.cli.check import AcceptedLeaks
from intentcast.cli.console import (
    REGISTRY,
    AsJson,
    AsOf,
    DataFolder,
    Gate,
    Registry,
    Settings,
    gate_settings,
    handoff_settings,
    instant,
    learner_settings,
    progress,
    show,
)

NAME = "retrain"
HELP = (
    "The quarter's retraining as one command: check, train, backtest, compare with the champion, "
    "recommend.\n\n"
    "Writes retrain.html and retrain.json: what the data hold, leaks, the step and why, model "
    "against points tables, and the gate's checks of `promote`, new bundle beside champion. "
    "Promotes only with --promote, and only what passes the gate. --as-of is for the training; "
    "backtest and gate use all outcomes known by now.\n\n"
    "Safe to stop and to run again: each step is kept as soon as it is done, for these data, "
    "settings and code; a rerun goes on after the last one, makes the same bundle, and registers "
    "it once.\n\n"
    "Example: intentcast retrain data/sample --report out/retrain"
)


def run(
    folder: DataFolder,
    as_of: AsOf = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of bundles.")] = BUNDLES,
    report: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the report, the backtest and the state go.")
    ] = Path("out/retrain"),
    promote: Annotated[
        bool, typer.Option("--promote", help="Make the bundle champion if it passes the gate.")
    ] = False,
    settings: Settings = None,
    gate: Gate = None,
    registry: Registry = REGISTRY,
    no_registry: Annotated[
        bool, typer.Option("--no-registry", help="Leave MLflow out of it.")
    ] = False,
    accept_leak: AcceptedLeaks = None,
    as_json: AsJson = False,
) -> None:
    """Do the steps, write the report, promote if asked."""
    from intentcast.errors import RefusedError
    from intentcast.retraining.order import RetrainOrder
    from intentcast.retraining.run import retrain

    now = datetime.now(UTC)
    order = RetrainOrder(
        folder=folder,
        as_of=instant(as_of, default=now) if as_of else None,
        config=learner_settings(settings),
        handoff=handoff_settings(),
        gate=gate_settings(gate),
        accepted_leaks=tuple(accept_leak or ()),
        out=out,
        report=report,
        store=None if no_registry else registry,
        promote=promote,
    )
    with progress() as say:
        found = retrain(order, now=now, on_progress=say)
    advice = found["recommendation"]
    is_refused = advice["verdict"] in ("keep", "refused")
    if as_json and not is_refused:
        show({"report": str(report / "retrain.html"), **found})
        return
    if not as_json:
        _print(found, report)
    if is_refused:
        raise RefusedError(
            advice["sentence"].partition(": ")[2].removesuffix("."),
            expected="data to learn from, and a bundle that passes the gate",
            next_step=f"see {report / 'retrain.html'}; {advice['next']}",
        )


def _print(found: dict[str, Any], report: Path) -> None:
    import textwrap

    from intentcast.retraining.page import step_lines

    for name, mark, said in step_lines(found):
        print(
            textwrap.fill(
                f"{name:<9} {mark}" + (f": {said}" if said else ""),
                80,
                subsequent_indent=" " * 10,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    gate = found["gate"]
    for check in gate["checks"] if gate and "checks" in gate else ():
        word = "passed" if check["passed"] else "FAILED"
        line = f"  {word:<7} {check['name']}: {check['detail']}"
        print(textwrap.fill(line, 80, subsequent_indent=" " * 10))
    advice = found["recommendation"]
    print()
    print(textwrap.fill(advice["sentence"], 80, break_long_words=False, break_on_hyphens=False))
    if advice["verdict"] not in ("keep", "refused"):
        print(f"Next: {advice['next']}")
    print(f"Report: {report / 'retrain.html'}")
