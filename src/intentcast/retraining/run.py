"""The steps of a retraining, in order; each is kept, so that a rerun goes on after the last one.

Safe to stop at any instant: a bundle is there whole or not at all and carries the moment that the
first attempt kept, by which a rerun finds it again; MLflow's run and version are found by the
bundle's digest; a bundle becomes champion by one renamed file.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from intentcast.champions import champion
from intentcast.errors import RefusedError
from intentcast.evaluation.backtest_files import PAGE, REPORT, write_backtest
from intentcast.evaluation.leakage import audit_leakage
from intentcast.evaluation.report import state_verdict
from intentcast.evaluation.survey import survey
from intentcast.files import json_bytes, write_atomic
from intentcast.gate import Judgement, judge_bundle, record_judgement
from intentcast.model_card import bundle_card
from intentcast.provenance import DataFingerprint, code_version, file_digest, fingerprint_data
from intentcast.registry import add_to_run
from intentcast.retraining.order import RetrainOrder
from intentcast.retraining.page import render_page
from intentcast.retraining.recommendation import recommend
from intentcast.retraining.state import Result, Steps, refusal
from intentcast.scoring import load_bundle
from intentcast.sources import Dataset, load_dataset
from intentcast.sources.set_aside import write_set_aside
from intentcast.training_run import flattened, register_bundle, train_bundle

SUMMARY, HTML, CARD = "retrain.json", "retrain.html", "model_card.md"
BACKTEST = "backtest"


def retrain(
    order: RetrainOrder, *, now: datetime, on_progress: Callable[[str], None]
) -> dict[str, Any]:
    """Check, train, backtest, compare with the champion, recommend; write `retrain.json` and page.

    Args:
        order: What to do.
        now: The moment; a rerun after a stop keeps the first one's.
        on_progress: Called with what is being done.

    Returns:
        `retrain.json`: `data`, `code`, `check`, `training`, `backtest`, `gate` (each null where it
        was not reached), `champion`, `recommendation` (`verdict`: promote, promoted, keep,
        champion or refused; `sentence`, `reason`, `next`).

    Raises:
        InputError: If the data, the registry or a folder cannot be used.
    """
    on_progress("fingerprints of data and code")
    data, code = fingerprint_data(order.folder), code_version()
    key = order.key(data, code)
    steps = Steps(order.report / "state", key, on_progress)
    with steps.alone():
        work = _Work(order, data, steps, on_progress, now)
        begun = steps.once("begun", lambda: {"created": now.isoformat()})
        found: dict[str, Any] = {
            "created": begun["created"],
            "key": key,
            "data": {"folder": str(order.folder), "sha256": data.sha256, "files": data.files},
            "bundles": str(order.out),
            "code": {"version": code.version, "commit": code.commit, "sha256": code.sha256},
            **dict.fromkeys(("check", "training", "backtest", "gate", "champion")),
        }
        work.fill(found, datetime.fromisoformat(begun["created"]))
        found["recommendation"] = recommend(found, is_champion=work.is_champion(found))
        write_atomic(order.report / SUMMARY, json_bytes(found))
        write_atomic(order.report / HTML, render_page(found).encode())
        work.log(found)
    return found


class _Work:
    """What each step does."""

    def __init__(
        self,
        order: RetrainOrder,
        data: DataFingerprint,
        steps: Steps,
        say: Callable[[str], None],
        now: datetime,
    ) -> None:
        self._order, self._data, self._steps = order, data, steps
        self._say, self._now = say, now

    @cached_property
    def _dataset(self) -> Dataset:
        """Read once, and only if a step has to be done."""
        return load_dataset(self._order.folder, on_table=lambda name: self._say(f"reading {name}"))

    def fill(self, found: dict[str, Any], created: datetime) -> None:
        """Do the steps until one refuses, into the parts of `found`."""
        order, steps = self._order, self._steps
        found["check"] = steps.once("check", self._check)
        name = found["check"]["dataset"]
        found["champion"] = self._champion(name)
        if "refused" in found["check"]:
            return
        found["training"] = steps.once(
            "train", lambda: self._train(found["check"], created), is_good=self._has_bundle
        )
        if "refused" in found["training"]:
            return
        bundle = order.out / found["training"]["bundle"]
        if order.store is not None:
            steps.once(
                "register",
                lambda: self._register(bundle),
                is_good=lambda kept: kept["store"] == self._store,
            )
        found["backtest"] = steps.once(BACKTEST, self._backtest, is_good=self._has_report)
        self._write_card(bundle, found["backtest"])
        if "refused" in found["backtest"]:
            return
        found["gate"] = self._gate(name, bundle, holder=found["champion"])
        if found["gate"] and found["champion"] == bundle.name:
            # Whom it was compared with, before it had the place itself.
            found["champion"] = found["gate"]["champion"]

    def _gate(self, name: str, bundle: Path, *, holder: str | None) -> Result | None:
        """Judge, record, and give the place if asked; None for a champion that nobody judged."""
        order, steps = self._order, self._steps
        is_champion = holder == bundle.name
        if is_champion and not steps.has("gate"):
            return None
        kept = steps.once(
            "gate",
            lambda: self._judge(bundle),
            is_good=lambda kept: (
                is_champion
                or (kept.get("champion") == holder and kept.get("settings") == self._margins)
            ),
        )
        if "refused" in kept:
            return None if is_champion else kept
        told = {
            "bundle": bundle.name,
            "store": self._store,
            "take_place": order.promote,
            "judged": hashlib.sha256(json_bytes(kept)).hexdigest(),
        }
        has_place = is_champion or not (order.promote and kept["passed"])

        def record() -> Result:
            self._say("recording")
            judgement = Judgement.from_json(name, order.out, kept)
            notes = record_judgement(
                judgement, at=self._now, store=order.store, take_place=order.promote
            )
            return {**told, "notes": list(notes)}

        recorded = steps.once(
            "record", record, is_good=lambda done: has_place and told.items() <= done.items()
        )
        return {**kept, "notes": recorded["notes"]}

    def is_champion(self, found: dict[str, Any]) -> bool:
        """Return whether the new bundle has the place now."""
        training = found["training"]
        if not training or "refused" in training:
            return False
        return bool(self._champion(found["check"]["dataset"]) == training["bundle"])

    def log(self, found: dict[str, Any]) -> None:
        """Keep the report with the bundle's MLflow run."""
        order = self._order
        if order.store is None or not found["training"] or "refused" in found["training"]:
            return
        store, bundle, name = order.store, found["training"]["bundle"], found["check"]["dataset"]
        there = [order.report / file for file in (SUMMARY, HTML, CARD)]
        there += [order.report / BACKTEST / file for file in (REPORT, PAGE)]
        files = [path for path in there if path.is_file()]
        told = {str(path.name): file_digest(path) for path in files}

        def keep() -> Result:
            self._say("report to the registry")
            report = (found["backtest"] or {}).get("champion_metrics") or {}
            metrics = {f"backtest.{k}": float(v) for k, v in report.items() if v is not None}
            add_to_run(name, bundle, store=store, files=files, metrics=metrics, folder="report")
            return {"store": self._store, "files": told}

        self._steps.once(
            "log", keep, is_good=lambda kept: kept == {"store": self._store, "files": told}
        )

    @property
    def _margins(self) -> dict[str, Any]:
        return self._order.gate.model_dump(mode="json")

    @property
    def _store(self) -> str:
        return str(self._order.store.resolve()) if self._order.store else ""

    def _champion(self, name: str) -> str | None:
        place = champion(self._order.out, name)
        return place.name if place else None

    def _check(self) -> Result:
        order = self._order
        dataset = self._dataset
        self._say("cohort and labels")
        found, plans = survey(dataset, order.config)
        audit = audit_leakage(dataset, on_progress=self._say)
        written = write_set_aside(dataset, order.report / "quarantine")
        result: Result = {
            **found,
            "quarantine_files": [str(path) for path in written],
            "leakage": audit.to_json(),
            "plan": [plan.to_json() for plan in plans],
        }
        try:
            accepted = audit.refuse(accepted=order.accepted_leaks)
        except RefusedError as error:
            return {**result, "refused": refusal(error)}
        return {**result, "accepted_leaks": list(accepted)}

    def _train(self, check: Result, created: datetime) -> Result:
        order = self._order
        bundle = _written_at(order.out, check["dataset"], created)
        if bundle is None:
            bundle = train_bundle(
                self._dataset,
                known_by=order.as_of or self._dataset.data_cutoff,
                config=order.config,
                handoff=order.handoff,
                accepted_leaks=check["accepted_leaks"],
                created=created,
                out=order.out,
                on_progress=self._say,
            ).bundle
        manifest = (bundle / "manifest.json").read_bytes()
        told = json.loads(manifest)
        return {
            "bundle": bundle.name,
            "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
            "known_by": told["data_cutoff"],
            **json.loads((bundle / "metrics.json").read_bytes()),
        }

    def _has_bundle(self, kept: Result) -> bool:
        path = self._order.out / str(kept.get("bundle")) / "manifest.json"
        return "refused" in kept or (
            path.is_file() and file_digest(path) == kept["manifest_sha256"]
        )

    def _register(self, bundle: Path) -> Result:
        order = self._order
        assert order.store is not None
        self._say("registering")
        version = register_bundle(
            bundle,
            data=order.folder,
            fingerprint=self._data,
            config=order.config,
            store=order.store,
            may_lead=False,
        )
        return {"store": self._store, "version": version.number, "run_id": version.run_id}

    def _backtest(self) -> Result:
        order = self._order
        report = write_backtest(
            self._dataset,
            order.report / BACKTEST,
            config=order.config,
            signals=order.handoff.signals,
            on_progress=self._say,
        )
        return {
            "report_sha256": file_digest(order.report / BACKTEST / REPORT),
            **backtest_figures(report),
        }

    def _has_report(self, kept: Result) -> bool:
        path = self._order.report / BACKTEST / REPORT
        return "refused" in kept or (path.is_file() and file_digest(path) == kept["report_sha256"])

    def _write_card(self, bundle: Path, backtest: Result) -> None:
        report = None
        if "refused" not in backtest:
            report = json.loads((self._order.report / BACKTEST / REPORT).read_bytes())
        card = bundle_card(bundle, backtest=report)
        write_atomic(self._order.report / CARD, card.encode())

    def _judge(self, bundle: Path) -> Result:
        self._say("reading the bundle")
        try:
            judgement = judge_bundle(
                bundle,
                load_bundle(bundle),
                self._dataset,
                settings=self._order.gate,
                on_progress=self._say,
            )
        except RefusedError as error:
            return {"refused": refusal(error), "settings": self._margins}
        return {**judgement.to_json(), "settings": self._margins}


def backtest_figures(report: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a backtest's report that a retraining tells."""
    champion_metrics = {
        key: value
        for key, value in flattened(report["contenders"]["champion"]).items()
        if isinstance(value, int | float)
    }
    verdict = state_verdict(report)
    return {
        "primary_horizon_days": report["primary_horizon_days"],
        "n_snapshots": report["n_snapshots"],
        "n_leads": report["n_leads"],
        "n_converted": report["n_converted"],
        "base_rate": report["base_rate"],
        "n_windows": len(report["folds"]),
        "badge": verdict.badge,
        "sentence": verdict.sentence,
        "paired": report["paired"],
        "champion_metrics": champion_metrics,
    }


def _written_at(out: Path, name: str, created: datetime) -> Path | None:
    """Return the bundle that a run which was stopped had written, by the moment it carries."""
    for path in sorted(out.glob(f"{name}-*/manifest.json")):
        try:
            manifest = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if manifest.get("created") == created.isoformat() and manifest.get("name") == name:
            return path.parent
    return None
