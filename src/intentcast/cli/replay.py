"""`intentcast replay`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intentcast.cli.bundles import BundleFolder, PolicyFile, open_bundle
from intentcast.cli.console import AsJson, progress, show

if TYPE_CHECKING:
    from intentcast.replay import Replayed

NAME = "replay"
HELP = (
    "Compute answers that a server logged again, and compare them bit for bit.\n\n"
    "The log is the folder that INTENTCAST_SAMPLE_TO names. Each answer is computed as the server "
    "does it and, its probabilities, as `score` does it. Exit code 3 if anything differs; which is "
    "said. Answers of other bundles are counted and left out.\n\n"
    "Example: intentcast replay samples --bundle models/bundles/sample-2026-01-31.1"
)
_MOST_SHOWN = 20


def run(
    log: Annotated[
        Path, typer.Argument(metavar="LOG", help="A file of the log, or a folder of them.")
    ],
    bundle: BundleFolder = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Replay and compare."""
    from intentcast.errors import RefusedError
    from intentcast.replay import read_log, replay

    with progress() as say:
        say("reading the bundle")
        loaded, _ = open_bundle(bundle, policy)
        say("reading the log")
        rows = read_log(log)

        def done(n: int) -> None:
            if n % 100 == 0:
                say(f"{n:,} answers computed again")

        found = replay(loaded, rows, on_progress=done)
    told = {
        "bundle": {"name": loaded.name, "version": loaded.version, "sha256": loaded.sha256},
        **_counts(found),
        "differences": [vars(difference) for difference in found.differences[:_MOST_SHOWN]],
    }
    if not as_json:
        _print(found, loaded.version)
    elif found.n_equal or found.n_different:
        # Which differ is the result, so it is told whole, not as an error.
        show(told)
        if found.n_different:
            raise typer.Exit(3)
    if found.n_different:
        first = found.differences[0]
        raise RefusedError(
            f"{found.n_different} of {found.n_answers - found.n_other} answers come out otherwise, "
            f"first {first.field} of request {first.request_id}",
            expected="the same answers to the bit",
            next_step="compare the versions of the libraries, and the policy, with the server's",
        )
    if not found.n_equal:
        raise RefusedError(
            f"none of {found.n_answers} answers is of {loaded.name} {loaded.version}",
            expected="at least one to compute again",
            next_step="give the --bundle that the server had",
        )


def _counts(found: "Replayed") -> dict[str, Any]:
    return {
        "n_answers": found.n_answers,
        "n_other_bundle": found.n_other,
        "n_equal": found.n_equal,
        "n_different": found.n_different,
    }


def _print(found: "Replayed", version: str) -> None:
    print(f"{found.n_answers:,} answers in the log")
    print(f"  {found.n_other:,} of other bundles, left out")
    print(f"  {found.n_equal:,} of {version} equal to the bit, by both paths")
    print(f"  {found.n_different:,} different")
    for row in found.differences[:_MOST_SHOWN]:
        print(f"{row.request_id}  {row.field}"[:80])
        print(f"    logged {row.logged}"[:80])
        print(f"    now    {row.computed}"[:80])
    if len(found.differences) > _MOST_SHOWN:
        print(f"… and {len(found.differences) - _MOST_SHOWN} more fields")
