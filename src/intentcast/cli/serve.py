"""`intentcast serve`."""

from typing import Annotated

import typer

from intentcast.cli.bundles import BundleFolder, PolicyFile, bundle_in_use
from intentcast.errors import InputError

NAME = "serve"
HELP = (
    "Answer predictions over HTTP with a bundle, on loopback unless told otherwise.\n\n"
    "POST /v1/predictions takes a lead with its events; GET /readyz says when it is ready; "
    "the interface is described at /openapi.json.\n\n"
    "Example: intentcast serve --bundle models/bundles/sample-2026-01-31.1 --port 8080"
)


def run(
    bundle: BundleFolder = None,
    policy: PolicyFile = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port.")] = 8080,
) -> None:
    """Serve until stopped."""
    from intentcast.thresholds.policy import read_policy
    from serving.run import run as run_server
    from serving.settings import Settings

    place = bundle_in_use(bundle)
    if not (place / "manifest.json").is_file():
        raise InputError(
            f"no bundle in {place}",
            expected="a folder that `intentcast train` wrote",
            next_step="check the path, or leave --bundle out for the newest",
        )
    if policy is not None:
        # Said here, where it can be read; the server itself would start and not be ready.
        read_policy(policy)
        settings = Settings(bundle=place, policy=policy, host=host, port=port)
    else:
        # What is left out is left to the environment.
        settings = Settings(bundle=place, host=host, port=port)
    run_server(settings)
