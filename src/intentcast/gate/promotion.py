"""A bundle before the gate, and what is left on record of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from intentcast.bundle import Bundle
from intentcast.champions import Reign, champion, crown
from intentcast.errors import BundleError, InputError
from intentcast.files import json_bytes, write_atomic
from intentcast.gate.checks import Check, GateVerdict, judge
from intentcast.gate.evidence import gather_evidence
from intentcast.gate.settings import GateSettings
from intentcast.registry import set_champion, tag_version
from intentcast.scorecards import dataset_scorecards, read_scorecard
from intentcast.scoring import load_bundle
from intentcast.sources import Dataset


@dataclass(frozen=True)
class Judgement:
    """What the gate said of one bundle.

    Attributes:
        name: Of the model.
        bundle: The bundle's folder.
        champion: Name of the champion's folder, or None.
        verdict: Each check.
        reason: Why it passed or not, in words.
        notes: What was odd.
        by: The owner who waived checks, or None.
    """

    name: str
    bundle: Path
    champion: str | None
    verdict: GateVerdict
    reason: str
    notes: tuple[str, ...]
    by: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the judgement as JSON values: what `promote --json` prints, but for the moment."""
        return {
            "bundle": self.bundle.name,
            "champion": self.champion,
            "by": self.by,
            "reason": self.reason,
            "notes": list(self.notes),
            **self.verdict.to_json(),
        }

    @classmethod
    def from_json(cls, name: str, folder: Path, raw: Mapping[str, Any]) -> "Judgement":
        """Read what `to_json` wrote of a model's bundle in a folder."""
        verdict = GateVerdict(
            checks=tuple(Check(**check) for check in raw["checks"]),
            waived=tuple(raw["waived"]),
            window=(raw["window"][0], raw["window"][1]),
            how=tuple(raw["judged"]),
        )
        return cls(
            name=name,
            bundle=folder / raw["bundle"],
            champion=raw["champion"],
            verdict=verdict,
            reason=raw["reason"],
            notes=tuple(raw["notes"]),
            by=raw["by"],
        )


def judge_bundle(
    bundle: Path,
    challenger: Bundle,
    dataset: Dataset,
    *,
    settings: GateSettings,
    accept: Sequence[str] = (),
    by: str | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Judgement:
    """Compare a bundle with the champion of its folder on the newest matured window.

    A champion that cannot be used, or is for another horizon, is not compared; a note says so.

    Args:
        bundle: The bundle's folder.
        challenger: The same, loaded.
        dataset: With outcomes up to now.
        settings: Margins.
        accept: Names of checks that may fail.
        by: Who waives them.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: If there is no window to judge on.
        InputError: If a name in `accept` is no check.
    """
    place = champion(bundle.parent, challenger.name)
    holder, notes = _holder(place, challenger)
    evidence = gather_evidence(
        dataset,
        challenger=challenger,
        champion=holder,
        scorecards=[read_scorecard(path) for path in dataset_scorecards(dataset)],
        window_days=settings.window_days,
        bundles=bundle.parent,
        on_progress=on_progress,
    )
    verdict = judge(evidence, settings, waived=tuple(accept))
    names = [check.name for check in verdict.checks]
    if odd := [name for name in accept if name not in names]:
        raise InputError(
            f"--accept {odd[0]!r}",
            expected=f"one of {', '.join(map(repr, names))}",
            next_step="correct it",
        )
    return Judgement(
        name=challenger.name,
        bundle=bundle,
        champion=place.name if place else None,
        verdict=verdict,
        reason=_reason(verdict, by, has_champion=holder is not None),
        notes=notes,
        by=by,
    )


def record_judgement(
    judgement: Judgement, *, at: datetime, store: Path | None, take_place: bool
) -> tuple[str, ...]:
    """Keep a judgement beside the bundle and in MLflow, and give a bundle that passed the place.

    Args:
        judgement: From `judge_bundle`.
        at: The moment of it.
        store: MLflow's; None for no record there.
        take_place: Whether a bundle that passed becomes champion.

    Returns:
        The notes, with what could not be recorded; they are in the file beside the bundle too.
    """
    promotes = take_place and judgement.verdict.passed
    notes = judgement.notes
    write_beside(judgement, at, notes)
    folder = judgement.bundle.parent
    if promotes and champion(folder, judgement.name) != judgement.bundle:
        reign = Reign(judgement.bundle.name, at.isoformat(), judgement.reason)
        crown(folder, judgement.name, reign)
    if store is not None:
        told = {
            "gate": "passed" if judgement.verdict.passed else "refused",
            "gate_reason": judgement.reason,
        }
        record = set_champion if promotes else tag_version
        try:
            record(judgement.name, judgement.bundle.name, store=store, tags=told)
        except InputError as error:
            notes = (*notes, f"Not recorded in MLflow: {error.found}.")
            write_beside(judgement, at, notes)
    return notes


def write_beside(judgement: Judgement, at: datetime, notes: Sequence[str]) -> None:
    """Write `NAME.gate.json` beside the bundle, whose own files have checksums."""
    kept = {**judgement.to_json(), "at": at.isoformat(), "notes": list(notes)}
    path = judgement.bundle.with_name(f"{judgement.bundle.name}.gate.json")
    write_atomic(path, json_bytes(kept))


def _holder(place: Path | None, challenger: Bundle) -> tuple[Bundle | None, tuple[str, ...]]:
    if place is None:
        return None, ()
    try:
        holder = load_bundle(place)
    except BundleError as error:
        return None, (f"The champion {place.name} cannot be used: {error.found}.",)
    if holder.primary_horizon_days != challenger.primary_horizon_days:
        return None, (
            f"The champion {holder.version} is for {holder.primary_horizon_days} days and was not "
            "compared.",
        )
    return holder, ()


def _reason(verdict: GateVerdict, by: str | None, *, has_champion: bool) -> str:
    if verdict.failed:
        return "; ".join(f"{check.name}: {check.detail}" for check in verdict.failed)
    waived = [c.name for c in verdict.checks if not c.passed]
    if waived:
        return f"all checks but {', '.join(waived)}, waived by {by}"
    return "all checks passed" if has_champion else "all checks passed; there was no champion"
