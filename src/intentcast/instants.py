"""Instants as microseconds since 1970, and the plain spelling of them read at native speed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Where a row does not say when, or a text is no plain time.
UNSAID: Final = -(2**63)
DAY_US: Final = 86_400_000_000
_SECOND = 1_000_000


def micros(moment: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    since = moment - EPOCH
    return since.days * DAY_US + since.seconds * _SECOND + since.microseconds


def instant(micro: int) -> datetime:
    """Return microseconds since 1970 as an instant."""
    return EPOCH + timedelta(microseconds=micro)


def plain_instants(times: Sequence[str | datetime]) -> Ints:
    """Return the microseconds since 1970 of times such as 2026-01-31T09:00:00.5Z, shape (n,).

    `UNSAID` stands for whatever is not plainly of that form from 1970 on, with a zone: another has
    to look at it more closely.
    """
    try:
        told = "\n".join(times).encode("ascii")  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError):
        return np.full(len(times), UNSAID)
    found: Ints = _read_instants(np.frombuffer(told, dtype=np.uint8), len(times))
    return found


@njit(cache=True, nogil=True)
def _number(text: Bytes, start: int, length: int) -> int:
    """Return the digits as a number; −1 if one of them is none."""
    out = 0
    for i in range(start, start + length):
        digit = int(text[i]) - 48
        if digit < 0 or digit > 9:
            return -1
        out = out * 10 + digit
    return out


@njit(cache=True, nogil=True)
def read_instant(text: Bytes, start: int, end: int) -> int:
    """Read `YYYY-MM-DDTHH:MM:SS[.f…](Z|±HH:MM)`; fractions beyond the sixth digit are dropped."""
    if end - start < 20:
        return UNSAID
    year, month, day = (
        _number(text, start, 4),
        _number(text, start + 5, 2),
        _number(text, start + 8, 2),
    )
    hour, minute = _number(text, start + 11, 2), _number(text, start + 14, 2)
    second = _number(text, start + 17, 2)
    dashes = text[start + 4] == 45 and text[start + 7] == 45
    colons = text[start + 13] == 58 and text[start + 16] == 58
    middle = text[start + 10]
    if not (dashes and colons) or not (middle == 84 or middle == 116 or middle == 32):
        return UNSAID
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = 31
    if month == 2:
        longest = 29 if is_leap else 28
    elif month == 4 or month == 6 or month == 9 or month == 11:
        longest = 30
    if year < 1970 or month < 1 or month > 12 or day < 1 or day > longest:
        return UNSAID
    if min(hour, minute, second) < 0 or hour > 23 or minute > 59 or second > 59:
        return UNSAID
    at, fraction = start + 19, 0
    if text[at] == 46:
        at += 1
        first, scale = at, 100_000
        while at < end and 48 <= text[at] <= 57:
            fraction += (int(text[at]) - 48) * scale
            scale //= 10
            at += 1
        if at == first or at - first > 9:
            return UNSAID
    offset = 0
    if end - at == 1 and (text[at] == 90 or text[at] == 122):
        offset = 0
    elif end - at == 6 and (text[at] == 43 or text[at] == 45) and text[at + 3] == 58:
        hours, minutes = _number(text, at + 1, 2), _number(text, at + 4, 2)
        if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
            return UNSAID
        offset = (hours * 60 + minutes) * (1 if text[at] == 43 else -1)
    else:
        return UNSAID
    # Days of the civil calendar, counted from years that begin in March.
    y = year - 1 if month <= 2 else year
    era_day = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = 365 * y + y // 4 - y // 100 + y // 400 + era_day - 719_468
    seconds = days * 86_400 + hour * 3600 + (minute - offset) * 60 + second
    return int(seconds * 1_000_000 + fraction)


@njit(cache=True, nogil=True)
def _read_instants(text: Bytes, n: int) -> Ints:
    out = np.full(n, UNSAID)
    start, row = 0, 0
    for i in range(len(text) + 1):
        if i == len(text) or text[i] == 10:
            if row == n:  # a line break inside a text: none of them can be told from another
                out[:] = UNSAID
                return out
            out[row] = read_instant(text, start, i)
            start = i + 1
            row += 1
    return out
