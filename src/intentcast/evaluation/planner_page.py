"""The data planner as text, 80 columns wide."""

import textwrap
from collections.abc import Iterator, Sequence

from intentcast.evaluation.planner import ASSUMPTIONS, HorizonPlan, Need

_STEP = 24
_COLUMN = 18
_MOST = 3


def plan_lines(plans: Sequence[HorizonPlan]) -> Iterator[str]:
    """Yield the plan: a row per step, a column per horizon, the longest three if there are more."""
    shown = plans[-_MOST:]
    if not shown:
        return
    yield "How many more conversions (leads) until there are enough for …"
    yield f"{'':{_STEP}}" + "".join(f"{f'{plan.horizon_days} days':>{_COLUMN}}" for plan in shown)
    yield f"{'there are':{_STEP}}" + "".join(f"{plan.conversions:>{_COLUMN},}" for plan in shown)
    for row in zip(*(plan.needs for plan in shown), strict=True):
        yield f"{row[0].step:{_STEP}}" + "".join(f"{_cell(need):>{_COLUMN}}" for need in row)
    effects = " / ".join(f"{plan.design_effect:.1f}" for plan in shown)
    rates = " / ".join(f"{plan.per_year:,.0f}" for plan in shown)
    yield from _wrap(
        f"At the present rate of {rates} a year. Leads of one account convert together: "
        f"{effects} of them count as one"
    )
    yield from _wrap(ASSUMPTIONS)


def _cell(need: Need) -> str:
    if not need.missing:
        return "enough"
    when = f"{need.by:%Y-%m}" if need.by else "not in 10 y"
    return f"{need.missing:,}, {when}"


def _wrap(text: str) -> list[str]:
    lines = textwrap.wrap(f"{text.replace(' %', chr(0xA0) + '%')}.", 80)
    return [line.replace("\u00a0", " ") for line in lines]
