"""What to do with the new bundle, in one sentence with its reason, and the next command."""

from typing import Any

_RULES = "rules win"


def recommend(found: dict[str, Any], *, is_champion: bool) -> dict[str, str]:
    """Return `verdict`, `sentence`, `reason` and `next`.

    Args:
        found: The parts of `retrain.json`.
        is_champion: Whether the new bundle has the place now.
    """
    holder = found["champion"]
    stays = f"keep {holder}" if holder else "promote nothing"
    for part, what in (
        ("check", "the data are not fit to learn from"),
        ("training", "there is too little to learn from"),
        ("backtest", "there is too little to test on"),
        ("gate", "there is nothing to compare on"),
    ):
        if found[part] and "refused" in found[part]:
            why = found[part]["refused"]
            return {
                "verdict": "refused",
                "sentence": f"{_capital(stays)}: {what} ({why['found']}).",
                "reason": why["found"],
                "next": why["next"],
            }
    bundle, gate = found["training"]["bundle"], found["gate"]
    path = f"{found['bundles']}/{bundle}"
    data = found["data"]["folder"]
    if gate is None:
        return {
            "verdict": "champion",
            "sentence": f"{bundle} is the champion already: nothing to do.",
            "reason": "the same data, settings and code made the champion",
            "next": "retrain when there are new outcomes",
        }
    against = f"against {holder}" if holder else "there is no champion to be worse than"
    if not gate["passed"]:
        failed = [c["name"] for c in gate["checks"] if not c["passed"]]
        return {
            "verdict": "keep",
            "sentence": f"{_capital(stays)}: {bundle} does not pass the gate "
            f"({', '.join(failed)}; {against}).",
            "reason": gate["reason"],
            "next": "wait for more outcomes, train with other settings, or let the owner waive a "
            f"check: intentcast promote {path} --data {data} "
            f"--accept '{failed[0]}' --by NAME",
        }
    but = _but(found["backtest"])
    if is_champion:
        return {
            "verdict": "promoted",
            "sentence": f"{bundle} is the champion: it passes the gate ({against}){but}.",
            "reason": gate["reason"],
            "next": "intentcast rollback --reason WHY goes back"
            if holder
            else f"intentcast serve --bundle {path}",
        }
    return {
        "verdict": "promote",
        "sentence": f"Promote {bundle}: it passes the gate ({against}){but}.",
        "reason": gate["reason"],
        "next": f"intentcast promote {path} --data {data}",
    }


def _but(backtest: dict[str, Any]) -> str:
    """Return a warning where the whole backtest says other than the gate's one window."""
    won = [p["b"].removeprefix("scorecard:") for p in backtest["paired"] if p["verdict"] == _RULES]
    return f"; but over the whole backtest the rules win ({', '.join(won)})" if won else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
