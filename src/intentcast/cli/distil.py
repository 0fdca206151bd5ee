"""`intentcast distil`."""

import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intentcast.cli.bundles import BundleFolder, open_bundle
from intentcast.cli.console import AsJson, DataFolder, open_dataset, percent, progress, show
from intentcast.cli.reprice import (
    ScorecardFile,
    points_table,
    print_repricing,
    refuse_other_suffix,
)

if TYPE_CHECKING:
    import polars as pl

    from intentcast.bundle import Bundle
    from intentcast.evaluation.agreement import Agreement
    from intentcast.evaluation.compare import PairedComparison
    from intentcast.scorecards import Scorecard
    from intentcast.sources import Dataset

NAME = "distil"
HELP = (
    "Turn a model into a points table that a marketing-automation tool can run.\n\n"
    "Fits the points of a table to the bundle's calibrated probabilities; rules, caps and decay "
    "stay, hot and warm move to where as many leads reach them as by the model. Says how far table "
    "and model agree on later leads, and how many conversions the table loses at equal volume: "
    "train the bundle with an earlier --as-of to have later leads.\n\n"
    "Example: intentcast distil data/sample --scorecard models/scorecards/playbook.toml "
    "--out distilled.toml"
)
_MOST_ROWS = 20_000


def run(
    folder: DataFolder,
    bundle: BundleFolder = None,
    scorecard: ScorecardFile = None,
    out: Annotated[Path, typer.Option(metavar="S2", help="The .toml file to write.")] = Path(
        "distilled.toml"
    ),
    as_json: AsJson = False,
) -> None:
    """Fit, compare, write, print."""
    from intentcast.files import write_atomic
    from intentcast.scorecards import read_scorecard
    from intentcast.scorecards.distil import distil
    from intentcast.scorecards.repriced_card import card_text
    from intentcast.scoring import predict_primary
    from intentcast.snapshots import as_of_times, cohort_span

    refuse_other_suffix(out)
    with progress() as say:
        loaded, _ = open_bundle(bundle)
        dataset = open_dataset(folder, say)
        source = points_table(dataset, scorecard)
        trained = datetime.fromisoformat(loaded.data_cutoff).astimezone(UTC)
        times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
        snapshots = _thinned(dataset, [t for t in times if t < trained])
        say(f"probabilities of {len(snapshots):,} snapshots")
        found = distil(
            read_scorecard(source),
            dataset,
            snapshots=snapshots,
            probabilities=predict_primary(loaded, dataset, snapshots),
            hot=loaded.tiers.hot,
            warm=loaded.tiers.warm,
            known_by=trained,
            source=f"the probabilities of {loaded.name} {loaded.version}",
            on_progress=say,
        )
        text = card_text(found, source.read_text(encoding="utf-8"))
        say("table against model on later leads")
        later = _later(found.new, loaded, dataset, [t for t in times if t >= trained])
        write_atomic(out, text.encode())
    if as_json:
        show({"out": str(out), **found.to_json(), "out_of_time": _json(later)})
        return
    print_repricing(found)
    print()
    for sentence in _in_words(later, dataset.config.capacity.handoffs_per_week):
        print(textwrap.fill(sentence, 80))
    print(f"Wrote {out}")


def _thinned(dataset: "Dataset", times: list[datetime]) -> "pl.DataFrame":
    """Return the cohort at as many of the as-of times as fit, counted back from the latest."""
    from intentcast.errors import RefusedError
    from intentcast.snapshots import build_snapshots

    if not times:
        raise RefusedError(
            "no as-of time before the bundle's data end",
            expected="the data set that the bundle was trained on",
            next_step="give another --bundle, or start the cohort earlier",
        )
    snapshots = build_snapshots(dataset, times)
    step = -(-len(snapshots) // _MOST_ROWS)
    return build_snapshots(dataset, times[::-1][::step][::-1]) if step > 1 else snapshots


def _later(
    card: "Scorecard", bundle: "Bundle", dataset: "Dataset", times: list[datetime]
) -> "tuple[Agreement, PairedComparison | None] | None":
    """Compare table and model on as-of times from the bundle's data end on, if there are any."""
    from intentcast.evaluation.agreement import agreement
    from intentcast.evaluation.repriced import later_leads, points_of
    from intentcast.scoring import predict_primary

    if not times:
        return None
    snapshots = _thinned(dataset, times)
    if snapshots.is_empty():
        return None
    agreed = agreement(
        card,
        dataset,
        snapshots,
        predict_primary(bundle, dataset, snapshots),
        tiers=bundle.tiers,
        top_size=dataset.config.handoffs_per_time,
    )
    judged = later_leads(dataset, times=times, known_by=dataset.data_cutoff)
    if judged is None:
        return agreed, None
    paired = judged.compare(
        card.name,
        points_of(card, dataset, judged.snapshots),
        "champion",
        predict_primary(bundle, dataset, judged.snapshots),
    )
    return agreed, paired


def _json(later: "tuple[Agreement, PairedComparison | None] | None") -> dict[str, Any]:
    if later is None:
        return {"refused": "no as-of time after the bundle's data end"}
    agreed, paired = later
    verdict = None
    if paired is not None:
        low, high = paired.ci95
        verdict = "table wins" if low > 0 else "model wins" if high < 0 else "no difference"
    return {
        **agreed.to_json(),
        "paired": None if paired is None else {**paired.to_json(), "verdict": verdict},
    }


def _in_words(
    later: "tuple[Agreement, PairedComparison | None] | None", per_week: int
) -> list[str]:
    if later is None:
        return [
            "Not compared: no as-of time after the bundle's data end. Train with an earlier "
            "--as-of to see what the table loses."
        ]
    agreed, paired = later
    sentences = [
        f"On {agreed.n_snapshots:,} later snapshots: rank correlation with the model "
        f"{agreed.rank_correlation:.2f}, same class for {percent(agreed.same_tier)}, and of the "
        f"{agreed.top_size:.0f} leads that either would hand over at a time "
        f"{percent(agreed.top_overlap)} are the same."
    ]
    if paired is None:
        return [*sentences, "No later lead's horizon is over: conversions cannot be compared yet."]
    low, high = paired.ci95
    share = paired.conversions_a / paired.conversions_b if paired.conversions_b else None
    sentences.append(
        f"At {per_week:,} hand-offs a week the table finds {paired.conversions_a:,.0f} conversions "
        f"of {paired.handoffs:,.0f} hand-offs, the model {paired.conversions_b:,.0f}: difference "
        f"{paired.difference:+,.0f} ({low:+,.0f} to {high:+,.0f}), {percent(share)} of the model's."
    )
    return sentences
