"""`intentcast train`."""

import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intentcast.cli.bundles import BUNDLES
from intentcast.cli.check import AcceptedLeaks, refuse_leaks
from intentcast.cli.console import (
    REGISTRY,
    AsJson,
    AsOf,
    DataFolder,
    Registry,
    Settings,
    handoff_settings,
    instant,
    learner_settings,
    open_dataset,
    percent,
    progress,
    show,
)

if TYPE_CHECKING:
    from intentcast.evaluation.half_lives import HalfLifeReport

NAME = "train"
HELP = (
    "Learn from a data set and write a bundle: features, learner, calibration, tiers.\n\n"
    "Uses what was known before --as-of and nothing later. The learner (a scorecard's points, "
    "logistic regression, a LightGBM hazard model, or the mean of the last two) is that mean, "
    "unless one alone is better by over two standard errors on later slices; calibration is kept "
    "only if it helps there. "
    "Each training is an MLflow run (SQLite): settings, fingerprints of data and code, metrics, "
    "model card, bundle, and the model for `mlflow models serve`. The first of its name is "
    "registered as champion, later ones as challenger. Refuses where a column knows the outcome "
    "(see `check`).\n\n"
    "Example: intentcast train data/sample"
)


def run(
    folder: DataFolder,
    as_of: AsOf = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of bundles.")] = BUNDLES,
    settings: Settings = None,
    registry: Registry = REGISTRY,
    no_registry: Annotated[
        bool, typer.Option("--no-registry", help="Write the bundle only.")
    ] = False,
    half_lives: Annotated[
        bool,
        typer.Option(
            "--half-lives",
            help="Report for how long each kind of event and theme tells about conversion, beside "
            "the points table's silence rules; kept beside the bundle.",
        ),
    ] = False,
    accept_leak: AcceptedLeaks = None,
    as_json: AsJson = False,
) -> None:
    """Train, package, register."""
    from intentcast.provenance import fingerprint_data
    from intentcast.training_run import crown_the_first, register_bundle, train_bundle

    config = learner_settings(settings)
    handoff = handoff_settings()
    with progress() as say:
        # Before they are read: what is registered is what was learnt from.
        fingerprint = None if no_registry else fingerprint_data(folder)
        dataset = open_dataset(folder, say)
        accepted = refuse_leaks(dataset, accept_leak, say)
        known_by = instant(as_of, default=dataset.data_cutoff)
        moment = datetime.now(UTC)
        trained = train_bundle(
            dataset,
            known_by=known_by,
            config=config,
            handoff=handoff,
            accepted_leaks=accepted,
            created=moment,
            out=out,
            on_progress=say,
        )
        bundle, figures = trained.bundle, trained.figures
        crown_the_first(bundle, dataset.config.name, since=moment)
        registered = None
        if fingerprint is not None:
            say("registering")
            registered = register_bundle(
                bundle, data=folder, fingerprint=fingerprint, config=config, store=registry
            )
        memory: HalfLifeReport | None = None
        kept: list[Path] = []
        if half_lives:
            from intentcast.evaluation.half_lives import measure_half_lives

            memory = measure_half_lives(
                trained.model,
                dataset,
                config=config,
                card=trained.card,
                on_progress=say,
            )
            kept = _keep_half_lives(memory, bundle)
    alias = registered.alias if registered else None
    if as_json:
        answer = {"bundle": str(bundle), "alias": alias, "known_by": known_by.isoformat()}
        extra = {"half_lives": memory.to_json()} if memory else {}
        show({**answer, **figures, **extra})
        return
    print(
        f"Learnt from {figures['n_snapshots']:,} snapshots known before {known_by:%Y-%m-%d %H:%M}"
    )
    print(textwrap.fill(f"{figures['reason']}.", 80))
    for days, row in figures["horizons"].items():
        print(
            f"  {days:>4} d: {percent(row['base_rate'])} converted out of sample, "
            f"log loss {row['log_loss']:.4f}, calibration {row['calibration']}"
        )
    print(
        f"Tiers for {trained.model.tiers.handoffs_per_week} hand-offs a week: hot from "
        f"{percent(trained.model.tiers.hot)}, warm from {percent(trained.model.tiers.warm)}"
    )
    print(f"Bundle: {bundle}" + (f" (registered as {alias})" if alias else ""))
    if memory:
        from intentcast.evaluation.half_life_page import half_life_lines

        print()
        print("\n".join(half_life_lines(memory)))
        print("\n".join(f"Written: {path}" for path in kept))


def _keep_half_lives(report: "HalfLifeReport", bundle: Path) -> list[Path]:
    """Write the report and its picture beside the bundle, whose own files have checksums."""
    from intentcast.evaluation.half_life_chart import draw_half_lives, standalone
    from intentcast.files import json_bytes, write_atomic

    files = {".json": json_bytes(report.to_json())}
    if picture := draw_half_lives(report):
        files[".svg"] = standalone(picture).encode()
    written = [bundle.with_name(f"{bundle.name}.half_lives{suffix}") for suffix in files]
    for path, data in zip(written, files.values(), strict=True):
        write_atomic(path, data)
    return written
