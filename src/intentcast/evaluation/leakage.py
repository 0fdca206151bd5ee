"""Does a column know the outcome? The audit of `check`, and of `train` before it learns.

Each attribute, event type and channel is looked at on mature snapshots: how well it alone tells
converters from others, how it moves around the outcome, what is lost without it, and what a day
of the future adds. The test that catches most leaks compares the past with the present: what was
written only after the outcome is missing among the leads that are open now
(`leakage_signals.still_there`). Thresholds and their reasons: `leakage_limits.Limits`.

As JSON (`check --json`, key `leakage`): `dataset`, `horizon_days`, `n_snapshots`, `n_converted`,
`share_audited`, `note` (null, or why columns were not judged), `average_precision`,
`average_precision_one_day_ahead`, `offsets_days` (days from a conversion, negative before it:
`known_around_conversion` has a share at each, `per_week_around_conversion` a rate between each two;
`per_week_others` is the same about a moment in the life of a lead that never converts),
`findings[]` of `kind`, `name`, `verdict`, `evidence`, `figures`.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intentcast.errors import InputError, RefusedError
from intentcast.evaluation.leakage_measures import figures_of, finite, measure_columns
from intentcast.evaluation.leakage_records import record_findings
from intentcast.evaluation.leakage_rows import audit_rows
from intentcast.evaluation.leakage_timing import OFFSETS_DAYS
from intentcast.evaluation.leakage_verdicts import VERDICTS, Finding, Measured, judge
from intentcast.sources import Dataset

MAX_ROWS = 20_000
# Below that, an interval by account means nothing.
_FEWEST_ACCOUNTS = 20


@dataclass(frozen=True)
class LeakageAudit:
    """What the audit found.

    Attributes:
        dataset: Its name.
        horizon_days: The primary horizon.
        n_snapshots: Audited, mature.
        n_converted: Of them, converted.
        share_audited: Of the mature snapshots, the share that was looked at.
        findings: Leaks first, then suspicious, then fine.
        average_precision: Of all columns together, out of sample.
        average_precision_ahead: The same with what was known one day later.
        note: Why columns were not judged, or empty.
    """

    dataset: str
    horizon_days: int
    n_snapshots: int
    n_converted: int
    share_audited: float
    findings: tuple[Finding, ...]
    average_precision: float
    average_precision_ahead: float
    note: str

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """Findings that refuse training."""
        return self.with_verdict("leak")

    def with_verdict(self, verdict: str) -> tuple[Finding, ...]:
        """Return the findings with one verdict."""
        return tuple(found for found in self.findings if found.verdict == verdict)

    def refuse(self, *, accepted: Sequence[str] = ()) -> tuple[str, ...]:
        """Return which leaks were accepted by name.

        Raises:
            RefusedError: If one was not.
            InputError: If an accepted name is nothing that was judged.
        """
        judged = sorted({found.name for found in self.findings} | {"events", "outcomes"})
        if unknown := [name for name in accepted if name not in judged]:
            raise InputError(
                f"--accept-leak {', '.join(unknown)}, which is nothing that the audit judges",
                expected=f"a name among {', '.join(judged)}",
                next_step="correct the name; `intentcast check DIR` lists them",
            )
        names = tuple(dict.fromkeys(found.name for found in self.leaks))
        if left := [found for found in self.leaks if found.name not in accepted]:
            words = "; ".join(f"{found.kind} {found.name}: {found.evidence}" for found in left)
            options = override(*(name for name in names if name not in accepted))
            raise RefusedError(
                f"{len(left)} leak{'s' if len(left) > 1 else ''} ({words})",
                expected="columns that were known before the outcome",
                next_step="remove or date what is named (`intentcast check DIR` has the figures), "
                f"or train in spite of it with {options}",
            )
        return tuple(name for name in names if name in accepted)

    def to_json(self) -> dict[str, Any]:
        """Return the audit as JSON values; see the module's description."""
        return {
            "dataset": self.dataset,
            "horizon_days": self.horizon_days,
            "n_snapshots": self.n_snapshots,
            "n_converted": self.n_converted,
            "share_audited": self.share_audited,
            "note": self.note or None,
            "average_precision": finite(self.average_precision),
            "average_precision_one_day_ahead": finite(self.average_precision_ahead),
            "offsets_days": list(OFFSETS_DAYS),
            "findings": [found.to_json() for found in self.findings],
        }


def override(*names: str) -> str:
    """Return the options of `train` that accept leaks of these names."""
    return " ".join(f"--accept-leak {shlex.quote(name)}" for name in names)


def audit_leakage(
    dataset: Dataset,
    *,
    max_rows: int = MAX_ROWS,
    on_progress: Callable[[str], None] | None = None,
) -> LeakageAudit:
    """Judge every attribute, event type and channel, and the times of events and outcomes.

    Looks at the whole data set, whatever instant a training pretends: what gives a leak away is how
    the present differs from the past.

    Args:
        dataset: To audit.
        max_rows: About so many snapshots are looked at; which, names and times alone decide.
        on_progress: Called with what is being done.
    """
    say = on_progress or (lambda _: None)
    say("leakage audit")
    rows = audit_rows(dataset, max_rows=max_rows)
    findings = list(record_findings(dataset, rows))
    n_accounts = len(np.unique(rows.clusters[rows.converted > 0]))
    measured: list[Measured] = []
    found = (float("nan"), float("nan"))
    note = ""
    if n_accounts < _FEWEST_ACCOUNTS or rows.converted.all():
        note = (
            f"columns were not judged: {n_accounts} accounts converted within "
            f"{dataset.config.conversion.primary_horizon_days} days, {_FEWEST_ACCOUNTS} are needed"
        )
    else:
        measured, found = measure_columns(dataset, rows, say)
    findings += [
        Finding(seen.column.kind, seen.column.name, *judge(seen), figures_of(seen))
        for seen in measured
    ]
    return LeakageAudit(
        dataset=dataset.config.name,
        horizon_days=dataset.config.conversion.primary_horizon_days,
        n_snapshots=len(rows.snapshots),
        n_converted=int(rows.converted.sum()),
        share_audited=rows.share,
        findings=tuple(sorted(findings, key=lambda one: VERDICTS.index(one.verdict))),
        average_precision=found[0],
        average_precision_ahead=found[1],
        note=note,
    )
