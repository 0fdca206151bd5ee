"""Half-lives as text, 80 columns wide."""

import textwrap
from collections.abc import Iterable, Iterator

from intentcast.evaluation.half_lives import GroupHalfLife, HalfLifeReport, Memory
from intentcast.features.spec import OTHER
from intentcast.propensity.half_lives import HALF_LIVES_DAYS

_WIDTH = 80
_NAME = 22
_FIRST, _LAST = HALF_LIVES_DAYS[0], HALF_LIVES_DAYS[-1]


def half_life_lines(report: HalfLifeReport) -> Iterator[str]:
    """Yield the report's lines."""
    yield from _wrap(
        f"Half-lives: how long behaviour tells about conversion within {report.horizon_days} days "
        f"({report.n_snapshots:,} snapshots; {report.n_accounts_converted:,} of "
        f"{report.n_accounts:,} accounts converted; 90 % intervals by account)"
    )
    yield from _wrap(_rule_sentence(report))
    shown = [group for group in report.groups if _has_effect(group)]
    if shown:
        yield f"{'days':{_NAME}} {' on its own ':─^39}  adds to the rest"
        rule = "rule" if report.scorecard else ""
        head = f"{'':{_NAME}} {'half-life':>9}  {'interval':<12} {'odds':>6}  {rule:<7}  half-life"
        yield head.rstrip()
    kind = ""
    for group in shown:
        if group.kind != kind and group.kind != "all activity":
            yield f"{group.kind}s"
        kind = group.kind
        yield _row(group, report)
    for what, names in (
        ("No evidence of an effect", _names(report.groups, has_memory=True)),
        ("Too few accounts", _names(report.groups, has_memory=False)),
    ):
        if names:
            yield from _wrap(f"{what}: {', '.join(names)}")


def days(value: float | None) -> str:
    """Return days for people: two figures below ten, whole days above."""
    return "–" if value is None else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def span(memory: Memory) -> str:
    """Return an interval for people; an end beyond the grid is open."""
    if memory.low_days is None and memory.high_days is None:
        return "any"
    if memory.low_days is None:
        return f"up to {days(memory.high_days)}"
    if memory.high_days is None:
        return f"from {days(memory.low_days)}"
    return f"{days(memory.low_days)}–{days(memory.high_days)}"


def best(memory: Memory) -> str:
    """Return the best half-life for people; at an end of the grid, as a bound."""
    if memory.verdict == "not determined" or memory.best_days is None:
        return "–"
    if memory.best_days >= _LAST:
        return f"≥{days(_LAST)}"
    return f"≤{days(_FIRST)}" if memory.best_days <= _FIRST else days(memory.best_days)


def _rule_sentence(report: HalfLifeReport) -> str:
    if report.scorecard is None:
        return "No points table to compare with."
    if report.rule_days is None:
        rule = f"Points of {report.scorecard} never halve by silence"
    else:
        rule = f"Points of {report.scorecard} halve after {report.rule_days} days of silence"
    overall = next((g.alone for g in report.groups if g.kind == "all activity"), None)
    if overall is None or overall.verdict != "known":
        return f"{rule}; the data do not say when all activity halves."
    return f"{rule}; the data say that all activity halves after {best(overall)} ({span(overall)})."


def _row(group: GroupHalfLife, report: HalfLifeReport) -> str:
    name = "all activity" if group.kind == "all activity" else f"  {group.name}"
    alone, beside = group.alone, group.beside
    if alone is None or alone.verdict == "no evidence":
        left = f"{'–':>9}  {'no evidence':<12} {'':>6}  {'':<7}"
    else:
        rule = alone.against(report.rule_days) if report.scorecard else ""
        odds = f"×{alone.odds_factor:.2f}" if alone.odds_factor < 100 else "×>100"
        left = f"{best(alone):>9}  {span(alone):<12} {odds:>6}  {rule:<7}"
    return f"{_cut(name):{_NAME}} {left}  {_added(beside)}".rstrip()


def _added(beside: Memory | None) -> str:
    if beside is None:
        return ""
    if beside.verdict == "no evidence":
        return "no evidence"
    lead = "" if beside.odds_factor >= 1.0 else "− "
    return f"{lead}{best(beside)} ({span(beside)})"


def _cut(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _has_effect(group: GroupHalfLife) -> bool:
    both = (group.alone, group.beside)
    return any(memory is not None and memory.verdict != "no evidence" for memory in both)


def _names(groups: Iterable[GroupHalfLife], *, has_memory: bool) -> list[str]:
    found = [g for g in groups if (g.alone is not None) == has_memory and not _has_effect(g)]
    return [
        f"{group.name} ({group.kind})" if group.name == OTHER else group.name
        for group in found
        if group.n_accounts
    ]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH)
