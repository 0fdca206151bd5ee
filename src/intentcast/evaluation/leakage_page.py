"""The leakage audit as text, 80 columns wide."""

import textwrap
from collections.abc import Iterator
from itertools import pairwise

from intentcast.evaluation.leakage import LeakageAudit, override
from intentcast.evaluation.leakage_timing import OFFSETS_DAYS
from intentcast.evaluation.leakage_verdicts import Finding

_WIDTH = 80
_NAME = 21
_SHOWN_FINE = 12
_MARKS = {"leak": "LEAK ", "suspicious": "odd  ", "fine": "     "}


def leakage_lines(audit: LeakageAudit) -> Iterator[str]:
    """Yield the audit's lines: the table, what it says, then the reasons of what is not fine."""
    sampled = (
        "" if audit.share_audited == 1 else f", {100 * audit.share_audited:.0f} % of the mature"
    )
    yield from _wrap(
        f"Leakage audit: does a column know the outcome? {audit.n_snapshots:,} snapshots{sampled}; "
        f"{audit.n_converted:,} converted within {audit.horizon_days} days"
    )
    if audit.note:
        yield from _wrap(audit.note[:1].upper() + audit.note[1:])
    columns = [found for found in audit.findings if found.kind != "table"]
    if columns:
        room = " " * (_NAME + 5)
        known = f"{' known to ':─^17}"
        yield f"{room} {'AUC alone':<16} {known} {'left':>5} {'1 day':>6} {'AP':>5}"
        heads = f"{'conv.':>5} {'rest':>5} {'open':>5} {'now':>5} {'ahead':>6} {'lost':>5}"
        yield f"{room} {'and interval':<16} {heads}"
    for kind in ("attribute", "event type", "channel"):
        mine = [found for found in columns if found.kind == kind]
        fine = [found for found in mine if found.verdict == "fine"]
        left_out = fine[_SHOWN_FINE:]
        if mine:
            yield f"{kind}s"
        yield from (_row(found) for found in mine if found not in left_out)
        if left_out:
            yield f"       and {len(left_out):,} more, fine"
    if columns:
        yield from _wrap(
            "known to: share with a value (or an event) among snapshots of converters, the rest, "
            "and leads open now. left now: how much of what it told in the past the open leads "
            "still show, where it told anything; honest is about 1, written afterwards about 0. "
            "1 day ahead: AUC gained by a day of the future. AP lost: average precision lost "
            f"without it, of {audit.average_precision:.3f} with all"
        )
    odd = [found for found in audit.findings if found.verdict != "fine"]
    for found in odd:
        name = f"{_MARKS[found.verdict].strip()} {found.kind} {found.name}: "
        yield from textwrap.wrap(f"{name}{found.evidence}.", _WIDTH, subsequent_indent="  ")
        yield from _around(found)
    yield from _wrap(_verdict(audit))


def _around(found: Finding) -> Iterator[str]:
    """Yield how often an event type occurs about conversions, in days from them."""
    rates = found.figures.get("per_week_around_conversion")
    if not rates or None in rates:
        return
    spans = [f"{first}..{last}" for first, last in pairwise(OFFSETS_DAYS)]
    yield "  " + f"{'days from it':<14}" + "".join(f"{span:>9}" for span in spans)
    yield "  " + f"{'a week':<14}" + "".join(f"{rate:>9.2f}" for rate in rates)


def _verdict(audit: LeakageAudit) -> str:
    n_leaks, n_odd = len(audit.leaks), len(audit.with_verdict("suspicious"))
    if n_leaks:
        names = override(*dict.fromkeys(found.name for found in audit.leaks))
        return f"{n_leaks} leak{'' if n_leaks == 1 else 's'}: train refuses, but for {names}"
    if n_odd:
        return f"No leak; {n_odd} suspicious: look at how that is recorded"
    return "No leak, nothing suspicious"


def _row(found: Finding) -> str:
    figures = found.figures
    auc = f"{_two(figures['auc'])} {_two(figures['auc_low'])}–{_two(figures['auc_high'])}"
    name = found.name if len(found.name) <= _NAME else found.name[: _NAME - 1] + "…"
    known = [figures[f"known_{who}"] for who in ("converters", "others", "present")]
    shares = " ".join(f"{_percent(share):>5}" for share in known)
    ahead, lost = figures["auc_gain_one_day_ahead"], figures["average_precision_lost"]
    return (
        f"{_MARKS[found.verdict]}{name:{_NAME}} {auc:<16} {shares} {_left(figures):>5}"
        f" {_signed(ahead):>6} {_signed(lost, 2):>5}"
    )


def _left(figures: dict[str, float | None]) -> str:
    """Return the signal left; a dash where the past told too little for it to mean anything."""
    value, low, high = (figures[f"signal_left_{which}"] for which in ("in_present", "low", "high"))
    if value is None or low is None or high is None or high - low > 2:
        return "–"
    return f"{value:.1f}".replace("-0.0", "0.0")


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _signed(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text if float(text) else f"{0:.{digits}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}".replace("%", " %")


def _wrap(text: str) -> list[str]:
    kept = text.replace(" %", "\u00a0%").replace("--accept-leak ", "--accept-leak\u00a0")
    lines = textwrap.wrap(f"{kept}.", _WIDTH, break_on_hyphens=False)
    return [line.replace("\u00a0", " ") for line in lines]
