"""Does the server say what `score` says, to the bit? Random leads of a data set, at any horizon.

    python -P tests/benchmarks/serving_parity.py FOLDER N_LEADS

A model is trained quickly on the data set: what is asked is whether two ways give the same numbers,
not how good they are. Each lead's history goes through JSON and a server's batch endpoint.
"""

import io
import json
import random
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from fastapi.testclient import TestClient

from intentcast.config import LearnerConfig, read_settings
from intentcast.handoff import HandoffSettings
from intentcast.histories import history_from_dataset, history_to_json
from intentcast.packaging import package
from intentcast.scorecards import dataset_scorecards
from intentcast.scoring import load_bundle, score
from intentcast.shipped import shipped
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset, load_dataset
from intentcast.training import fit_model
from serving.app import create_app
from serving.settings import Settings

QUICK = {
    "max_rows": 4000,
    "features": {"half_lives_days": [14, 45], "windows_days": [14, 30], "clustered_themes": 4},
    "booster": {"rounds": 40},
    "logistic": {"inverse_penalties": [0.003]},
}
JSON = {"Content-Type": "application/json"}
NAMES = ("horizon_days", "probability", "low", "high")


def bundle_of(dataset: Dataset, out: Path) -> Path:
    """Train on a data set and return the bundle's folder."""
    times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
    model = fit_model(
        dataset,
        times=times[:: max(1, len(times) // 24)],
        known_by=dataset.data_cutoff,
        config=LearnerConfig.model_validate(QUICK),
    )
    # The blend asks all that there is: trees, regression, intervals.
    fitted = {
        days: replace(f, champion="blend" if "blend" in f.models else f.champion)
        for days, f in model.fitted.items()
    }
    handoff = shipped("handoff.toml", in_checkout="models/handoff.toml")
    cards = dataset_scorecards(dataset)
    return package(
        replace(model, fitted=fitted),
        dataset,
        handoff=read_settings(handoff, HandoffSettings),
        scorecard=cards[0] if cards else None,
        metrics={},
        created=datetime(2026, 1, 2, tzinfo=UTC),
        out=out,
    )


def check(folder: Path, scratch: Path, *, n_leads: int, seed: int = 7) -> dict[str, object]:
    """Return how many leads and numbers were compared, and how many of them differ."""
    dataset = load_dataset(folder)
    place = bundle_of(dataset, scratch)
    bundle = load_bundle(place)
    times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
    lot = random.Random(seed)
    cohort = build_snapshots(dataset, sorted(lot.sample(times, min(4, len(times)))))
    rows = sorted(lot.sample(range(len(cohort)), min(n_leads, len(cohort))))
    snapshots = cohort[rows]
    longest = max(bundle.models)
    horizons = sorted({*bundle.models, 1, longest // 2, *lot.sample(range(1, longest + 1), 3)})
    expected: dict[tuple[str, datetime], list[dict[str, object]]] = {}
    for row in score(bundle, dataset, snapshots, horizons=horizons).iter_rows(named=True):
        expected.setdefault((row["lead_id"], row["as_of"]), []).append(row)
    differing = numbers = 0
    settings = Settings(bundle=place, max_batch_bytes=2**30, max_waiting_bytes=2**31)
    latest = max(times[-1], dataset.data_cutoff)
    app = create_app(settings, now=lambda: latest, log_to=io.StringIO())
    with TestClient(app) as client:
        for start in range(0, len(snapshots), 100):
            some = snapshots[start : start + 100]
            bodies = []
            for i in range(len(some)):
                history = history_from_dataset(dataset, some[i])
                body = {**history_to_json(history), "explain": False, "horizons_days": horizons}
                lot.shuffle(body["events"])
                bodies.append(body)
            answers = client.post("/v1/predictions:batch", content=json.dumps(bodies), headers=JSON)
            assert answers.status_code == 200, answers.text[:500]
            keys = some.select("lead_id", "as_of").iter_rows()
            for key, answer in zip(keys, answers.json(), strict=True):
                assert "error" not in answer, answer
                found = [(p["horizon_days"], p["probability"], p["low"], p["high"])
                         for p in answer["probabilities"]]  # fmt: skip
                wanted = [tuple(row[name] for name in NAMES) for row in expected[key]]
                tiers = (answer["tier"], answer["stage"])
                numbers += 3 * len(wanted)
                is_same = found == wanted and tiers == (
                    expected[key][0]["tier"],
                    expected[key][0]["stage"],
                )
                differing += not is_same
    return {
        "leads": len(snapshots),
        "horizons": len(horizons),
        "numbers": numbers,
        "differing": differing,
        "step": next(iter(bundle.models.values())).step,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        told = check(Path(sys.argv[1]), Path(scratch), n_leads=int(sys.argv[2]))
    sys.stdout.write(json.dumps(told))
