"""The gate between a challenger and production: evidence on a matured window, checks, a verdict.

gather_evidence(dataset, challenger, champion)  both judged on the newest matured window
judge(evidence, settings)                       every check with its figures, and the verdict
judge_bundle(bundle, challenger, dataset)       both, against the champion of the bundle's folder
record_judgement(judgement, at, store)          the reason on record, and the place if it passed
"""

from intentcast.gate.checks import Check, GateVerdict, judge
from intentcast.gate.evidence import Evidence, gather_evidence
from intentcast.gate.promotion import Judgement, judge_bundle, record_judgement
from intentcast.gate.settings import GateSettings

__all__ = [
    "Check",
    "Evidence",
    "GateSettings",
    "GateVerdict",
    "Judgement",
    "gather_evidence",
    "judge",
    "judge_bundle",
    "record_judgement",
]
