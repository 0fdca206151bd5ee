"""`intentcast promote`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intentcast.cli.bundles import refuse_strange
from intentcast.cli.console import (
    REGISTRY,
    AsJson,
    Gate,
    Registry,
    gate_settings,
    open_dataset,
    progress,
    show,
)

if TYPE_CHECKING:
    from intentcast.gate import GateVerdict

NAME = "promote"
HELP = (
    "Put a bundle in the champion's place, if it passes the gate.\n\n"
    "Both are judged on the newest window of as-of times whose outcomes are known: log loss and "
    "conversions at capacity may not be worse than the champion's beyond the margins of "
    "models/gate.toml, the probabilities must be calibrated, and no points table may beat it. A "
    "bundle that has learnt from the window is judged by a stand-in, trained with its settings on "
    "what was known when the window opened; where only its calibration has seen the window, by its "
    "learner with the calibration of then. The reason is recorded either way.\n\n"
    "Example: intentcast promote models/bundles/sample-2026-01-31.1 --data data/sample\n\n"
    "An owner may waive a check by name: --accept 'rules: playbook' --by 'A. Owner'"
)


def run(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Folder of the bundle that wants the place.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Data set to judge on, with outcomes up to now; without it the one that the "
            "bundle was trained on.",
        ),
    ] = None,
    gate: Gate = None,
    registry: Registry = REGISTRY,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="A check that may fail, by its name; needs --by."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="The owner who waives checks.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge, record, and promote or refuse."""
    from intentcast.champions import champion
    from intentcast.errors import InputError, RefusedError
    from intentcast.gate import judge_bundle, record_judgement
    from intentcast.registry import parameter_of
    from intentcast.scoring import load_bundle

    if accept and not by:
        raise InputError(
            "--accept without --by",
            expected="the name of the owner who waives a check",
            next_step="add --by NAME",
        )
    settings = gate_settings(gate)
    moment = datetime.now(UTC)
    bundle = bundle.resolve()
    with progress() as say:
        say("reading the bundle")
        challenger = load_bundle(bundle)
        place = champion(bundle.parent, challenger.name)
        if place is not None and place.name == bundle.name:
            raise InputError(
                f"{bundle.name} is the champion already",
                expected="a challenger",
                next_step="train one, or give another bundle",
            )
        known = None
        if data is None:
            say("asking the registry for the data set")
            known = parameter_of(challenger.name, bundle.name, "data", store=registry)
        if data is None and known is None:
            raise InputError(
                f"no record of the data that {bundle.name} was trained on",
                expected="the data set to judge on",
                next_step="give --data DIR",
            )
        dataset = open_dataset(data or Path(str(known)), say)
        refuse_strange(challenger, dataset)
        judgement = judge_bundle(
            bundle,
            challenger,
            dataset,
            settings=settings,
            accept=accept or (),
            by=by,
            on_progress=say,
        )
        say("recording")
        notes = record_judgement(judgement, at=moment, store=registry, take_place=True)
    verdict = judgement.verdict
    if as_json and verdict.passed:
        show({**judgement.to_json(), "at": moment.isoformat(), "notes": list(notes)})
        return
    if not as_json:
        _print(verdict, notes)
    if not verdict.passed:
        raise RefusedError(
            f"{bundle.name} does not pass: {judgement.reason}",
            expected="every check passed, or waived by the owner",
            next_step=f"see {bundle.name}.gate.json; wait for more outcomes, train with other "
            "settings, or waive with --accept CHECK --by NAME",
        )
    print(f"{bundle.name} is the champion of {challenger.name}. `intentcast rollback` goes back.")


def _print(verdict: "GateVerdict", notes: Sequence[str]) -> None:
    import textwrap

    print(f"Window of as-of times: {verdict.window[0][:10]} to {verdict.window[1][:10]}")
    for line in verdict.how:
        print(textwrap.fill(line, 80, initial_indent="  ", subsequent_indent="    "))
    for check in verdict.checks:
        is_waived = check.name in verdict.waived and not check.passed
        word = "passed" if check.passed else "waived" if is_waived else "FAILED"
        print(
            textwrap.fill(f"{word:<7} {check.name}: {check.detail}", 80, subsequent_indent=" " * 8)
        )
    for note in notes:
        print(textwrap.fill(f"Note: {note}", 80))
