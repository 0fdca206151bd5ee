"""`intentcast serve`."""

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from intentcast.cli.bundles import BUNDLES, BundleFolder, PolicyFile, bundle_name, newest_bundle
from intentcast.errors import InputError

NAME = "serve"
HELP = (
    "Answer predictions over HTTP, on loopback unless told otherwise.\n\n"
    "Without --bundle it serves the champion in models/bundles and follows it: what `promote` and "
    "`rollback` decide is served within seconds, and the last good bundle goes on if the folder "
    "is lost. With --bundle it serves that one until told to reload.\n\n"
    "POST /v1/predictions takes a lead with its events; GET /readyz says when it is ready; "
    "the interface is described at /openapi.json, the settings in serving/README.md.\n\n"
    "Example: intentcast serve --bundle models/bundles/sample-2026-01-31.1 --port 8080"
)


def run(
    bundle: BundleFolder = None,
    policy: PolicyFile = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Hashed keys (python -m serving.keys makes one); without it no key is asked for.",
        ),
    ] = None,
) -> None:
    """Serve until stopped."""
    from intentcast.thresholds.policy import read_policy
    from serving.run import run as run_server
    from serving.settings import Settings

    chosen: dict[str, Any] = {"host": host, "port": port, "workers": workers}
    chosen |= _champion() if bundle is None else {"bundle": _whole(bundle)}
    # What is left out is left to the environment.
    if policy is not None:
        # Said here, where it can be read; the server itself would start and not be ready.
        read_policy(policy)
        chosen["policy"] = policy
    if keys is not None:
        chosen["keys"] = keys
    run_server(Settings(**chosen))


def _whole(bundle: Path) -> Path:
    if not (bundle / "manifest.json").is_file():
        raise InputError(
            f"no bundle in {bundle}",
            expected="a folder that `intentcast train` wrote",
            next_step="check the path, or leave --bundle out for the champion",
        )
    return bundle


def _champion() -> dict[str, Any]:
    """Return the settings that follow the champion of the newest bundle's name.

    Raises:
        InputError: If there is no bundle, and none was kept.
    """
    from serving.kept import KeptBundles

    kept = _keep_in(BUNDLES.resolve())
    last = KeptBundles(kept).folders() if kept else []
    try:
        newest = newest_bundle(BUNDLES)
    except InputError:
        if not last:
            raise
        # The folder is lost; what was served last goes on until it is back.
        newest = last[0]
    found = {"bundles": BUNDLES.resolve(), "model": bundle_name(newest), "bundle": newest.resolve()}
    return {**found, "keep": kept} if kept else found


def _keep_in(bundles: Path) -> Path | None:
    """Return where the last good bundle is kept: as set, or in the user's cache, if there is one.

    One place per folder of bundles, so that no project is served another's model.
    """
    if told := os.environ.get("INTENTCAST_KEEP"):
        return Path(told)
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    place = hashlib.sha256(str(bundles).encode()).hexdigest()[:12]
    return cache / "intentcast" / "served" / place
