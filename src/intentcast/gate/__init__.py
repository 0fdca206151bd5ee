"""The gate between a challenger and production: evidence on a matured window, checks, a verdict.

gather_evidence(dataset, challenger, champion)  both judged on the newest matured window
judge(evidence, settings)                       every check with its figures, and the verdict
"""

from intentcast.gate.checks import Check, GateVerdict, judge
from intentcast.gate.evidence import Evidence, gather_evidence
from intentcast.gate.settings import GateSettings

__all__ = ["Check", "Evidence", "GateSettings", "GateVerdict", "gather_evidence", "judge"]
