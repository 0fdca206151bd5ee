"""Sales' decisions in words: lines of at most 80 columns."""

import textwrap
from typing import Any

from intentcast.feedback.suggestions import ANY_REASON, FEWEST_HOT, is_certain
from intentcast.seen import shortened

_MOST_ROWS = 12
_NAME = 34


def feedback_lines(found: dict[str, Any]) -> list[str]:
    """Return what `survey_feedback` found as lines of at most 80 columns."""
    overall = found["overall"]
    lines = _wrapped(
        f"Sales decided on {found['n_leads']:,} leads of {overall['n_accounts']:,} accounts, "
        f"{found['from'][:10]} to {found['to'][:10]}: {overall['n_accepted']:,} accepted, "
        f"{overall['n_rejected']:,} sent back; accepted {_percent(overall['accepted'])} "
        f"({_percent(overall['low'])} to {_percent(overall['high'])})."
    )
    for title, key in (("tier when decided", "tiers"), ("stage when decided", "stages")):
        lines += ["", f"{title:<22}{'decided':>8}{'accepted':>9}{'sent back':>10}   share accepted"]
        lines += [_rate(row) for row in found[key]]
    lines += ["", f"{'reason':<34}{'sent back':>10}{'share':>9}"]
    lines += [
        f"{_short(row['reason'], 34):<34}{row['n_rejected']:>10,}{_percent(row['share']):>9}"
        for row in found["reasons"]
    ]
    lines += _associations(found)
    lines += ["", "What it suggests (nothing is applied):"]
    for sentence in (*_threshold_words(found), *_rule_words(found)):
        lines += _wrapped(sentence, "- ")
    lines += ["", "Read with care:"]
    for sentence in _caveats(found):
        lines += _wrapped(sentence, "- ")
    return lines


def _wrapped(text: str, bullet: str = "") -> list[str]:
    kept = text.replace(" %", "\u00a0%")
    filled = textwrap.wrap(
        kept, 80, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_long_words=True
    )
    return [line.replace("\u00a0", " ") for line in filled]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}".replace("%", " %")


def _short(text: str, width: int) -> str:
    return shortened(text, width - 1)


def _rate(row: dict[str, Any]) -> str:
    spread = "" if row["low"] is None else f" ({_percent(row['low'])} to {_percent(row['high'])})"
    return (
        f"{_short(row['group'], 22):<22}{row['n_decided']:>8,}{row['n_accepted']:>9,}"
        f"{row['n_rejected']:>10,}   {_percent(row['accepted'])}{spread}"
    )


def _associations(found: dict[str, Any]) -> list[str]:
    certain = [row for row in found["associations"] if is_certain(row["p_adjusted"])]
    head = (
        f"Marks that certainly go with a reason ({len(certain)} of {found['n_tested']} tested, at "
        f"5 % for all together); lift: share among those sent back over share among those accepted."
    )
    if not certain:
        return [
            "",
            *_wrapped(
                f"No rule and no theme goes with a reason with certainty "
                f"({found['n_tested']} tested, at 5 % for all together)."
            ),
        ]
    lines = ["", *_wrapped(head)]
    lines.append(f"{'mark':<{_NAME}}{'reason':<18}{'sent back':>10}{'accepted':>10}{'lift':>7}")
    lines += [
        f"{_short(_mark(row), _NAME):<{_NAME}}{_short(row['reason'], 18):<18}"
        f"{_percent(row['share']):>10}{_percent(row['n_accepted_marked'] / row['n_accepted']):>10}"
        f"{_lift(row['lift']):>7}"
        for row in certain[:_MOST_ROWS]
    ]
    if len(certain) > _MOST_ROWS:
        lines.append(f"and {len(certain) - _MOST_ROWS} more; --json has them all")
    return lines


def _mark(row: dict[str, Any]) -> str:
    return row["mark"] if row["kind"] == "rule" else f"theme {row['mark']}"


def _lift(lift: float | None) -> str:
    return "–" if lift is None else f"{lift:.2f}"


def _threshold_words(found: dict[str, Any]) -> list[str]:
    hot, cuts = found["hot"], found["thresholds"]
    n_hot = next(row["n_decided"] for row in found["tiers"] if row["group"] == "hot")
    if not cuts:
        return [
            f"Thresholds: nothing. Sales decided on {n_hot} hot leads, and {FEWEST_HOT} are "
            f"needed, with more than one probability among them."
        ]
    suggested = [cut for cut in cuts if cut["suggested"]]
    if not suggested:
        tried = ", ".join(_percent(cut["hot"]) for cut in cuts)
        return [
            f"Thresholds: nothing. Among hot leads (from {_percent(hot)}) rejections are not "
            f"certainly more frequent below any of {tried} than above it."
        ]
    [cut] = suggested
    below, above = cut["below"], cut["above"]
    main = (
        f", most often as “{cut['main_reason']}” ({cut['n_main_reason']})"
        if cut["main_reason"]
        else ""
    )
    to = _percent(cut["hot"])
    return [
        f"Thresholds: of hot leads with a probability from {_percent(hot)} to {to} sales sent "
        f"back {_percent(1 - below['accepted'])} of {below['n_decided']:,}{main}; of those above, "
        f"{_percent(1 - above['accepted'])} of {above['n_decided']:,}. Raising hot to {to} would "
        f"have dropped {cut['per_week']:.1f} decided hand-offs a week, "
        f"{below['n_rejected'] / found['n_weeks']:.1f} of them sent back; of the "
        f"{cut['n_matured']:,} dropped whose {found['horizon_days']} days are over, "
        f"{cut['n_converted']:,} converted."
    ]


def _rule_words(found: dict[str, Any]) -> list[str]:
    telling = set(found["telling_rules"])
    rows = [
        row
        for row in found["associations"]
        if row["kind"] == "rule" and row["reason"] == ANY_REASON and row["mark"] in telling
    ]
    if not rows:
        return [
            "Points: nothing. No rule is certainly met more, or less, by what sales sends back."
        ]
    words = []
    for row in rows:
        sent, taken = row["share"], row["n_accepted_marked"] / row["n_accepted"]
        says = (
            "it earns points that sales does not honour; they may be too many"
            if sent > taken
            else "sales honours its points; they may be too few"
        )
        words.append(
            f"Points: “{row['mark']}” is met by {_percent(sent)} of the leads sent back and "
            f"{_percent(taken)} of those accepted: {says}."
        )
    return words


def _caveats(found: dict[str, Any]) -> list[str]:
    care = [
        "Only leads that were handed over are decided on: nothing here speaks for those that were "
        "not. A quota of random hand-offs from below the threshold (intentcast explore) would.",
        "Each lead is scored just before the decision became known, so what happened between the "
        "hand-off and the decision counts too.",
    ]
    if n := found["n_perhaps_learnt_from"]:
        care.append(
            f"The model learnt from what was known before {found['learnt_before'][:10]}; {n:,} of "
            f"{found['overall']['n_decided']:,} decisions are from before and may be among it, so "
            f"its probabilities look better here than on new leads."
        )
    return care
