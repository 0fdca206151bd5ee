"""A retraining as one self-contained HTML page: the recommendation first, then why."""

from collections.abc import Mapping
from typing import Any

from intentcast.evaluation.formats import format_number
from intentcast.evaluation.pages import page_environment
from intentcast.evaluation.report import contender_in_words

_SHOWN_CHECKS = {True: ("passed", "good"), False: ("failed", "bad")}
_BADGES = {
    "promote": ("Promote", "good"),
    "promoted": ("Promoted", "good"),
    "champion": ("Champion already", "good"),
    "keep": ("Keep the champion", "bad"),
    "refused": ("Refused", "bad"),
}


def render_page(found: Mapping[str, Any]) -> str:
    """Return `retrain.json` as a page without scripts that loads nothing; names are escaped."""
    environment = page_environment("intentcast.retraining")
    environment.filters["contender"] = contender_in_words
    badge, kind = _BADGES[found["recommendation"]["verdict"]]
    return environment.get_template("retrain.html.j2").render(
        s=found,
        badge=badge if found["champion"] or kind == "good" else "Promote nothing",
        kind=kind,
        steps=_steps(found),
        checks=_checks(found),
    )


def _steps(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return each step with its mark and what it said."""
    told = []
    for name, part, done in (
        ("Check", "check", _checked),
        ("Train", "training", _trained),
        ("Backtest", "backtest", _backtested),
        ("Gate", "gate", _judged),
    ):
        result = found[part]
        if result is None:
            told.append({"name": name, "mark": "not reached", "kind": "soft", "said": ""})
        elif "refused" in result:
            said = f"{result['refused']['found']}. Next: {result['refused']['next']}."
            told.append({"name": name, "mark": "refused", "kind": "bad", "said": said})
        else:
            is_bad = part == "gate" and not result["passed"]
            mark, kind = ("not passed", "bad") if is_bad else ("done", "good")
            told.append({"name": name, "mark": mark, "kind": kind, "said": done(result)})
    return told


def _checked(check: Mapping[str, Any]) -> str:
    set_aside = sum(row["n_set_aside"] for row in check["tables"])
    odd = _count(check, "suspicious")
    accepted = check["accepted_leaks"]
    leaks = f"leaks accepted by name: {', '.join(accepted)}" if accepted else "no leak"
    return f"{format_number(set_aside)} rows set aside; {leaks}, {odd} suspicious"


def _count(check: Mapping[str, Any], verdict: str) -> int:
    return sum(1 for one in check["leakage"]["findings"] if one["verdict"] == verdict)


def _trained(training: Mapping[str, Any]) -> str:
    return (
        f"{training['step']}, on {format_number(training['n_snapshots'])} snapshots, "
        f"{format_number(training['n_converted'])} of them converted"
    )


def _backtested(backtest: Mapping[str, Any]) -> str:
    return str(backtest["sentence"])


def _judged(gate: Mapping[str, Any]) -> str:
    n_passed = sum(1 for check in gate["checks"] if check["passed"])
    against = f"against {gate['champion']}" if gate["champion"] else "no champion to compare with"
    return f"{n_passed} of {len(gate['checks'])} checks passed, {against}"


def _checks(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    gate = found["gate"]
    if not gate or "refused" in gate:
        return []
    rows = []
    for check in gate["checks"]:
        mark, kind = _SHOWN_CHECKS[check["passed"]]
        figures = check["figures"]
        ours = figures.get("challenger", figures.get("slope"))
        theirs = figures.get("champion", figures.get("rules"))
        rows.append({**check, "mark": mark, "kind": kind, "ours": ours, "theirs": theirs})
    return rows


def step_lines(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return each step's name, mark and words, for the command line."""
    return [(step["name"], step["mark"], step["said"]) for step in _steps(found)]
