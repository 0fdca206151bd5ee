"""`intentcast recalibrate`."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intentcast.cli.bundles import BUNDLES, BundleFolder, bundle_in_use, refuse_strange
from intentcast.cli.console import (
    REGISTRY,
    AsJson,
    AsOf,
    DataFolder,
    Registry,
    instant,
    open_dataset,
    progress,
    show,
)

if TYPE_CHECKING:
    from intentcast.recalibration import Recalibrated

NAME = "recalibrate"
HELP = (
    "Set a bundle's probabilities right on what has matured since, without learning again.\n\n"
    "For drift: the learner stays, its calibration is fitted anew on as-of times after its data "
    "cut-off whose horizon is over. Writes a new bundle; whoever was hot stays hot. Prints how "
    "true the probabilities were before and after, on later as-of times than the map of that "
    "comparison was fitted on. Refuses with too few conversions, saying how many more it takes. "
    "Each is an MLflow run of its own, of the source's settings and these figures.\n\n"
    "Example: intentcast recalibrate data/sample --bundle models/bundles/sample-2026-01-31.1"
)


def run(
    folder: DataFolder,
    bundle: BundleFolder = None,
    as_of: AsOf = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of bundles.")] = BUNDLES,
    registry: Registry = REGISTRY,
    no_registry: Annotated[
        bool, typer.Option("--no-registry", help="Write the bundle only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recalibrate, write, register, compare."""
    from intentcast.config import LearnerConfig
    from intentcast.provenance import fingerprint_data
    from intentcast.recalibration import learner_cutoff, recalibrate, write_recalibrated
    from intentcast.scoring import load_bundle
    from intentcast.training_run import register_bundle

    with progress() as say:
        source = bundle_in_use(bundle)
        loaded = load_bundle(source)
        # Before they are read: what is registered is what was fitted on.
        fingerprint = None if no_registry else fingerprint_data(folder)
        dataset = open_dataset(folder, say)
        refuse_strange(loaded, dataset)
        known_by = instant(as_of, default=dataset.data_cutoff)
        found = recalibrate(loaded, dataset, known_by=known_by, on_progress=say)
        say("writing the bundle")
        written = write_recalibrated(
            loaded, source, found, known_by=known_by, created=datetime.now(UTC), out=out
        )
        say("reading it back")
        load_bundle(written)
        registered = None
        if fingerprint is not None:
            say("registering")
            registered = register_bundle(
                written,
                data=folder,
                fingerprint=fingerprint,
                config=loaded.settings or LearnerConfig(),
                store=registry,
                may_lead=False,
            )
    if as_json:
        show(
            {
                "bundle": str(written),
                "alias": registered.alias if registered else None,
                "recalibrated_from": loaded.version,
                "known_by": known_by.isoformat(),
                "learner_cutoff": learner_cutoff(loaded).isoformat(),
                "horizons": {str(days): part.to_json() for days, part in found.items()},
            }
        )
        return
    print(
        f"Learner of {loaded.name} {loaded.version}, which learnt until "
        f"{learner_cutoff(loaded):%Y-%m-%d}"
    )
    print(f"  {'':22}{'log loss':>10}{'slope':>8}{'said':>9}{'converted':>11}")
    for days, part in found.items():
        _print_horizon(days, part)
    if not all(part.is_embargoed for part in found.values()):
        print("* too few for a horizon between fit and judgement: the two share leads")
    print(f"Bundle: {written}" + (f" (registered as {registered.alias})" if registered else ""))
    print(f"Next: {_promotion(written, folder, None if no_registry else registry)}")


def _promotion(bundle: Path, data: Path, registry: Path | None) -> str:
    """Return the command that puts the bundle before the gate, in the shell's spelling."""
    # Of what is registered the data set is known.
    more = ["--data", str(data)] if registry is None else []
    if registry is not None and registry != REGISTRY:
        more = ["--registry", str(registry)]
    return shlex.join(["intentcast", "promote", str(bundle), *more])


def _print_horizon(days: int, part: "Recalibrated") -> None:
    print(
        f"{days:>4} d: {part.n_converted:,} of {part.n:,} converted, {part.first} to {part.last}, "
        f"map {part.calibrator.kind}"
    )
    mark = "" if part.is_embargoed else " *"
    for name, found in (("before", part.before), ("after, judged later" + mark, part.after)):
        slope = "–" if found.slope is None else f"{found.slope:.2f}"
        print(
            f"  {name:22}{found.log_loss:>10.4f}{slope:>8}{found.mean_probability:>9.1%}"
            f"{found.share_converted:>11.1%}"
        )
