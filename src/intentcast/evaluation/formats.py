"""Numbers, shares and days as the pages write them."""

import math
from datetime import datetime

MISSING = "–"


def format_number(value: float | None, *, places: int = 0) -> str:
    """Return a number with thousands separators, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{round(value, places) + 0.0:,.{places}f}"
    return text.replace("-", "−")


def format_percent(share: float | None) -> str:
    """Return a share as a percentage of one decimal, or a dash where there is none."""
    if share is None or not math.isfinite(share):
        return MISSING
    return f"{format_number(100 * share, places=1)} %"


def format_day(instant: str | None) -> str:
    """Return the day of an ISO instant."""
    if instant is None:
        return MISSING
    day = datetime.fromisoformat(instant)
    return f"{day.day} {day:%b %Y}"
