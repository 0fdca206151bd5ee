"""`intentcast rollback`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from intentcast.cli.bundles import BUNDLES, bundle_name, newest_bundle
from intentcast.cli.console import REGISTRY, AsJson, Registry, show

NAME = "rollback"
HELP = (
    "Put the champion before the present one back in its place.\n\n"
    "Takes a moment: the earlier bundle is read and checked, then champions.json is replaced. A "
    "server that follows the champion takes it over within seconds.\n\n"
    "Example: intentcast rollback --reason 'accepted too many students'"
)


def run(
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the model; without it the newest bundle's."),
    ] = None,
    bundles: Annotated[Path, typer.Option(metavar="DIR", help="Folder of bundles.")] = BUNDLES,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; kept with the record.")
    ] = "no reason given",
    registry: Registry = REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Go back to the champion before."""
    from intentcast.champions import Reign, champion, crown, predecessor
    from intentcast.errors import InputError
    from intentcast.registry import set_champion
    from intentcast.scoring import load_bundle

    model = name or bundle_name(newest_bundle(bundles))
    before = predecessor(bundles, model)
    if before is None:
        raise InputError(
            f"no champion of {model} before the present one in {bundles}",
            expected="at least two promotions",
            next_step="promote another bundle instead",
        )
    now = champion(bundles, model)
    load_bundle(bundles / before.bundle)
    crown(
        bundles, model, Reign(before.bundle, datetime.now(UTC).isoformat(), f"rollback: {reason}")
    )
    note = None
    if (registry / "mlflow.db").exists():
        try:
            set_champion(
                model, before.bundle, store=registry, tags={"gate_reason": f"rollback: {reason}"}
            )
        except InputError as error:
            note = f"Not recorded in MLflow: {error.found}."
    left = now.name if now else None
    if as_json:
        show(
            {"name": model, "champion": before.bundle, "was": left, "reason": reason, "note": note}
        )
        return
    print(f"{before.bundle} is the champion of {model} again; it was {left}.")
    if note:
        print(f"Note: {note}")
