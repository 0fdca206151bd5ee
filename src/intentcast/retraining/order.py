"""What a retraining is asked to do, and the key under which its steps are kept."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from intentcast.config import LearnerConfig
from intentcast.gate import GateSettings
from intentcast.handoff import HandoffSettings
from intentcast.provenance import CodeVersion, DataFingerprint, file_digest
from intentcast.shipped import shipped


@dataclass(frozen=True)
class RetrainOrder:
    """What a retraining is asked to do.

    Attributes:
        folder: The data set.
        as_of: The instant at which training pretends to happen; None for where the data end.
        config: `conversion.toml`.
        handoff: Criteria and stage signals to ship.
        gate: The gate's margins.
        accepted_leaks: Names of leaks to train in spite of.
        out: Folder of bundles, with `champions.json`.
        report: Folder for the report, the backtest and the state.
        store: MLflow's folder; None for no record there.
        promote: Whether a bundle that passes becomes champion.
    """

    folder: Path
    as_of: datetime | None
    config: LearnerConfig
    handoff: HandoffSettings
    gate: GateSettings
    accepted_leaks: tuple[str, ...]
    out: Path
    report: Path
    store: Path | None
    promote: bool

    def key(self, data: DataFingerprint, code: CodeVersion) -> str:
        """Return the first 16 hex digits of the SHA-256 of all that a result follows from.

        But for the gate's margins: they decide no bundle, and the gate's own step keeps them.
        """
        cards = shipped("scorecards", in_checkout="models/scorecards")
        told = {
            "data": data.sha256,
            "code": [code.version, code.sha256],
            "as_of": self.as_of.isoformat() if self.as_of else None,
            # How many threads there are changes no number.
            "config": self.config.model_dump(mode="json", exclude={"threads"}),
            "handoff": self.handoff.model_dump(mode="json"),
            "scorecards": {path.name: file_digest(path) for path in sorted(cards.glob("*.toml"))},
            "accepted_leaks": sorted(self.accepted_leaks),
            "out": str(self.out.resolve()),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
