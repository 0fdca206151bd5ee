"""`intentcast train`."""

import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intentcast.cli.console import (
    BUNDLES,
    AsJson,
    AsOf,
    DataFolder,
    Settings,
    instant,
    learner_settings,
    open_dataset,
    percent,
    progress,
    show,
)

if TYPE_CHECKING:
    from intentcast.training import TrainedModel

NAME = "train"
HELP = (
    "Learn from a data set and write a bundle: features, learner, calibration, tiers.\n\n"
    "Uses what was known before --as-of and nothing later. The learner (logistic regression or "
    "LightGBM) is chosen by log loss on a later slice; calibration is kept only if it helps there. "
    "The bundle is logged to MLflow (SQLite) and registered: the first of its name as champion, "
    "later ones as challenger.\n\n"
    "Example: intentcast train data/sample"
)


def run(
    folder: DataFolder,
    as_of: AsOf = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of bundles.")] = BUNDLES,
    settings: Settings = None,
    registry: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of MLflow's SQLite file and artefacts.")
    ] = Path("models/registry"),
    no_registry: Annotated[
        bool, typer.Option("--no-registry", help="Write the bundle only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train, package, register."""
    from intentcast.config import read_settings
    from intentcast.handoff import HandoffSettings
    from intentcast.packaging import package
    from intentcast.scorecards import dataset_scorecards, read_scorecard
    from intentcast.scoring import load_bundle
    from intentcast.shipped import shipped
    from intentcast.snapshots import as_of_times, cohort_span
    from intentcast.training import fit_model

    config = learner_settings(settings)
    handoff = read_settings(
        shipped("handoff.toml", in_checkout="models/handoff.toml"), HandoffSettings
    )
    with progress() as say:
        dataset = open_dataset(folder, say)
        cards = dataset_scorecards(dataset)
        for card in cards[:1]:
            read_scorecard(card)
        known_by = instant(as_of, default=dataset.data_cutoff)
        times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
        model = fit_model(dataset, times=times, known_by=known_by, config=config, on_progress=say)
        figures = _figures(model)
        say("writing the bundle")
        bundle = package(
            model,
            dataset,
            handoff=handoff,
            scorecard=cards[0] if cards else None,
            metrics=figures,
            created=datetime.now(UTC),
            out=out,
        )
        say("reading it back")
        load_bundle(bundle)
        registered = None
        if not no_registry:
            from intentcast.registry import register

            say("registering")
            registered = register(
                bundle,
                name=dataset.config.name,
                store=registry,
                parameters={
                    "known_by": known_by.isoformat(),
                    "step": figures["step"],
                    "seed": config.seed,
                    "n_features": figures["n_features"],
                },
                metrics={
                    f"log_loss_{days}d": row["log_loss"]
                    for days, row in figures["horizons"].items()
                },
            )
    alias = registered.alias if registered else None
    if as_json:
        show({"bundle": str(bundle), "alias": alias, "known_by": known_by.isoformat(), **figures})
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
        f"Tiers for {model.tiers.handoffs_per_week} hand-offs a week: hot from "
        f"{percent(model.tiers.hot)}, warm from {percent(model.tiers.warm)}"
    )
    print(f"Bundle: {bundle}" + (f" (registered as {alias})" if alias else ""))


def _figures(model: "TrainedModel") -> dict[str, Any]:
    fits = model.fitted
    primary = fits[model.tiers.horizon_days]
    return {
        "step": primary.champion,
        "reason": primary.reason[:1].upper() + primary.reason[1:],
        "n_snapshots": model.n_snapshots,
        "n_converted": model.n_converted,
        "n_features": len(model.featurizer.spec.names),
        "tiers": model.tiers.to_json(),
        "horizons": {
            str(days): {
                "log_loss": fits[days].log_loss[used.step],
                "base_rate": used.calibrator.base_rate,
                "calibration": used.calibrator.kind,
                "n_slice": used.calibrator.n,
                "n_slice_converted": used.calibrator.n_converted,
            }
            for days, used in sorted(model.champion.items())
        },
    }
