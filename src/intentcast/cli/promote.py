"""`intentcast promote`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intentcast.cli.bundles import refuse_strange
from intentcast.cli.console import REGISTRY, AsJson, Registry, open_dataset, progress, show

if TYPE_CHECKING:
    from intentcast.gate import GateVerdict

NAME = "promote"
HELP = (
    "Put a bundle in the champion's place, if it passes the gate.\n\n"
    "Both are judged on the newest window of as-of times whose outcomes are known: log loss and "
    "conversions at capacity may not be worse than the champion's beyond the margins of "
    "models/gate.toml, the probabilities must be calibrated, and no points table may beat it. A "
    "bundle that has learnt from the window is judged by a stand-in, trained with its settings on "
    "what was known when the window opened. The reason is recorded either way.\n\n"
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
    gate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Margins; without it models/gate.toml.")
    ] = None,
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
    from intentcast.champions import Reign, champion, crown
    from intentcast.config import read_settings
    from intentcast.errors import BundleError, InputError, RefusedError
    from intentcast.files import json_bytes, write_atomic
    from intentcast.gate import GateSettings, gather_evidence, judge
    from intentcast.registry import parameter_of, set_champion, tag_version
    from intentcast.scorecards import dataset_scorecards, read_scorecard
    from intentcast.scoring import load_bundle
    from intentcast.shipped import shipped

    if accept and not by:
        raise InputError(
            "--accept without --by",
            expected="the name of the owner who waives a check",
            next_step="add --by NAME",
        )
    settings = read_settings(
        gate or shipped("gate.toml", in_checkout="models/gate.toml"), GateSettings
    )
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
        holder, notes = None, []
        if place is not None:
            try:
                holder = load_bundle(place)
            except BundleError as error:
                notes.append(f"The champion {place.name} cannot be used: {error.found}.")
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
        if holder is not None and holder.primary_horizon_days != challenger.primary_horizon_days:
            notes.append(
                f"The champion {holder.version} is for {holder.primary_horizon_days} days and was "
                "not compared."
            )
            holder = None
        cards = [read_scorecard(path) for path in dataset_scorecards(dataset)]
        evidence = gather_evidence(
            dataset,
            challenger=challenger,
            champion=holder,
            scorecards=cards,
            window_days=settings.window_days,
            on_progress=say,
        )
        verdict = judge(evidence, settings, waived=tuple(accept or ()))
        _refuse_unknown(verdict, accept or [])
        reason = _reason(verdict, by, has_champion=holder is not None)
        found: dict[str, Any] = {
            "bundle": bundle.name,
            "champion": place.name if place else None,
            "at": moment.isoformat(),
            "by": by,
            "reason": reason,
            "notes": notes,
            **verdict.to_json(),
        }
        write_atomic(bundle.with_name(f"{bundle.name}.gate.json"), json_bytes(found))
        tags = {"gate": "passed" if verdict.passed else "refused", "gate_reason": reason}
        say("recording")
        if verdict.passed:
            crown(bundle.parent, challenger.name, Reign(bundle.name, moment.isoformat(), reason))
        try:
            if verdict.passed:
                set_champion(challenger.name, bundle.name, store=registry, tags=tags)
            else:
                tag_version(challenger.name, bundle.name, store=registry, tags=tags)
        except InputError as error:
            notes.append(f"Not recorded in MLflow: {error.found}.")
    if as_json and verdict.passed:
        show(found)
        return
    if not as_json:
        _print(verdict, notes)
    if not verdict.passed:
        raise RefusedError(
            f"{bundle.name} does not pass: {reason}",
            expected="every check passed, or waived by the owner",
            next_step=f"see {bundle.name}.gate.json; wait for more outcomes, train with other "
            "settings, or waive with --accept CHECK --by NAME",
        )
    print(f"{bundle.name} is the champion of {challenger.name}. `intentcast rollback` goes back.")


def _refuse_unknown(verdict: "GateVerdict", accepted: list[str]) -> None:
    from intentcast.errors import InputError

    names = [check.name for check in verdict.checks]
    if odd := [name for name in accepted if name not in names]:
        raise InputError(
            f"--accept {odd[0]!r}",
            expected=f"one of {', '.join(map(repr, names))}",
            next_step="correct it",
        )


def _reason(verdict: "GateVerdict", by: str | None, *, has_champion: bool) -> str:
    if verdict.failed:
        return "; ".join(f"{check.name}: {check.detail}" for check in verdict.failed)
    waived = [c.name for c in verdict.checks if not c.passed]
    if waived:
        return f"all checks but {', '.join(waived)}, waived by {by}"
    return "all checks passed" if has_champion else "all checks passed; there was no champion"


def _print(verdict: "GateVerdict", notes: list[str]) -> None:
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
