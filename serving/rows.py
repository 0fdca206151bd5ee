"""A request's events straight from its bytes: rows of known fields, plainly spelled.

Most of a request is its events. A JSON reader would make a few hundred small objects of them that
are looked at once; here numbers and times become arrays as the bytes are walked over, and a text is
made once, however many rows have it. Whatever is odd in any way is not read here: the close look of
`reading` then says whether it is wrong, and names it.
"""

import secrets
import sys
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic_core import from_json

from intentcast.engagement import Engagement
from intentcast.instants import UNSAID, micros, read_instant
from serving.scanning import Bytes, byte_at, closing, says, solid
from serving.schemas import EARLIEST, LARGEST, LONGEST_ID, LONGEST_TEXT

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Floats = NDArray[np.float64]

FIELDS: Final = (
    "lead_id", "event_type", "content", "channel", "event_id",
    "occurred_at", "recorded_at", "is_machine", "value", "duration_seconds",
)  # fmt: skip
_N_TEXTS = 5
_OCCURRED, _RECORDED, _MACHINE, _VALUE, _DURATION = range(_N_TEXTS, len(FIELDS))
_IS_NEEDED = np.array([name in ("lead_id", "event_type", "occurred_at") for name in FIELDS])
_ALL_NEEDED = sum(1 << i for i in range(len(FIELDS)) if _IS_NEEDED[i])
_LONGEST = np.array([LONGEST_TEXT if name == "content" else LONGEST_ID for name in FIELDS])
_NAMES = np.frombuffer("".join(FIELDS).encode(), dtype=np.uint8)
_NAME_AT = np.cumsum([0, *map(len, FIELDS)])
_EVENTS = np.frombuffer(b"events", dtype=np.uint8)
_NULL, _TRUE, _FALSE = (np.frombuffer(w, dtype=np.uint8) for w in (b"null", b"true", b"false"))
# Where hashes start: else a sender could choose texts that all fall on one place.
_SEED = secrets.randbits(63)
_SAID = np.array([None, False, True], dtype=object)
_EARLIEST = micros(EARLIEST)
# Powers of ten that a double holds exactly, and whole numbers up to which it holds them all.
_TENS = np.array([float(10**i) for i in range(23)])
_MOST_EXACT = 2**53
# No row with the fields that it must have is shorter, and no text with its key is.
_SHORTEST_ROW, _SHORTEST_TEXT = 70, 12


class Rows(NamedTuple):
    """What was read.

    Attributes:
        events: The rows.
        rest: The body with no rows in it.
        n_keys: How many keys the rest has.
    """

    events: Engagement
    rest: bytes
    n_keys: int


def read_rows(body: bytes, *, most: int, latest: int) -> Rows | None:
    """Return the events of a body that is one request; None if they need a close look.

    Args:
        body: JSON or not: of what is not in a row, nothing is checked here.
        most: Rows.
        latest: Microseconds that no time may be after.
    """
    text = np.frombuffer(body, dtype=np.uint8)
    start, stop, n_keys, is_plain, whole, real, joined = _read(text, most, latest, _SEED)
    if start < 0:
        return None
    try:
        texts = _texts(joined.tobytes(), is_plain=is_plain)
    except ValueError:
        return None
    # One object per text in the process: what is looked up by it is found without a comparison.
    names = np.array([*map(sys.intern, texts), None], dtype=object)
    lead_id, event_type, content, channel, event_id = names[whole[:_N_TEXTS]].tolist()
    events = Engagement(
        lead_id=lead_id,
        event_type=event_type,
        content=content,
        channel=channel,
        is_machine=_SAID[whole[_MACHINE]].tolist(),
        event_id=event_id,
        occurred=whole[_OCCURRED],
        recorded=whole[_RECORDED],
        value=real[0],
        duration=real[1],
    )
    rest = body[:start] + b"[]" + body[stop:] if start else body
    return Rows(events, rest, n_keys)


def _texts(joined: bytes, *, is_plain: bool) -> list[str]:
    """Return texts of which each ends with a line break.

    Raises:
        ValueError: If one of them needs a close look.
    """
    if is_plain:
        return joined.decode().split("\n")[:-1]
    texts = [_text(raw) for raw in joined.split(b"\n")[:-1]]
    if any(not text or text != text.strip() or "\0" in text for text in texts):
        raise ValueError("an odd text")
    return texts


def _text(raw: bytes) -> str:
    text: str = from_json(b'"' + raw + b'"') if b"\\" in raw else raw.decode()
    return text.strip(" ")


@njit(cache=True, nogil=True)
def _field(text: Bytes, start: int, stop: int) -> int:
    """Return the number of the field of this name; −1 for none."""
    for field in range(len(_NAME_AT) - 1):
        first, last = _NAME_AT[field], _NAME_AT[field + 1]
        if last - first == stop - start and says(text, start, _NAMES, first, last):
            return field
    return -1


@njit(cache=True, nogil=True)
def _number(text: Bytes, at: int) -> tuple[float, int]:
    """Return a number and the place after it; NaN where it may not be the nearest double.

    A whole number that a double holds, times or through a power of ten that one holds, is rounded
    once: it is the nearest.
    """
    is_below = byte_at(text, at) == 45
    at += 1 if is_below else 0
    whole, scale, first = 0, 0, at
    while 48 <= byte_at(text, at) <= 57 and at - first < 18:
        whole = whole * 10 + int(text[at]) - 48
        at += 1
    if at == first or (text[first] == 48 and at - first > 1):
        return np.nan, at
    if byte_at(text, at) == 46:
        at += 1
        begin = at
        while 48 <= byte_at(text, at) <= 57 and at - first < 19:
            whole = whole * 10 + int(text[at]) - 48
            at += 1
        scale = at - begin
        if scale == 0:
            return np.nan, at
    # A sign is lost on a whole 0, and kept on 0.0: who is right is not for here.
    if whole > _MOST_EXACT or (is_below and whole == 0):
        return np.nan, at
    value = float(whole) / _TENS[scale]
    return (-value if is_below else value), at


@njit(cache=True, nogil=True)
def _read(
    text: Bytes, most: int, latest: int, seed: int
) -> tuple[int, int, int, bool, Ints, Floats, Bytes]:
    """Walk over a request.

    Returns:
        Where the rows begin, −1 if they need a close look and 0 if there are none; where they end;
        how many keys the rest has; whether texts are as they are spelled; of each row the numbers
        of its texts, −1 for none, its times and whether a machine did it, shape (8, n); value and
        duration, shape (2, n); and the texts, each followed by a line break.
    """
    room = min(most, len(text) // _SHORTEST_ROW) + 1
    whole = np.full((_VALUE, room), -1)
    whole[_RECORDED], whole[_MACHINE] = UNSAID, 0
    real = np.full((2, room), np.nan)
    size = 64
    while size < 2 * len(text) // _SHORTEST_TEXT:
        size *= 2
    slots, spans = np.full(size, np.int32(-1)), np.empty((size // 2 + 1, 2), dtype=np.int64)
    # Number of texts, whether one is not as it is spelled, and the seed.
    state = np.array([0, 0, seed])
    start, stop, n, n_keys, depth, at = 0, 0, 0, 0, 0, 0
    while at < len(text) and start >= 0:
        byte = text[at]
        at += 1
        if byte == 34:
            end = closing(text, at)
            value = solid(text, end + 1)
            is_key = end >= 0 and depth == 1 and byte_at(text, value) == 58
            if end < 0:
                start = -1
            elif is_key and end - at == len(_EVENTS) and says(text, at, _EVENTS, 0, len(_EVENTS)):
                value = solid(text, value + 1)
                n, end = _read_rows(text, value, latest, whole, real, slots, spans, state)
                is_first, start, stop = start == 0, value, end
                n_keys += 1
                if end < 0 or n > most or not is_first:
                    start = -1
                at = end
            else:
                at = end + 1
        elif byte == 58:
            n_keys += 1
        elif byte == 123 or byte == 91:
            depth += 1
        elif byte == 125 or byte == 93:
            depth -= 1
    n_bytes = 0
    for i in range(state[0]):
        n_bytes += spans[i, 1] - spans[i, 0] + 1
    joined, at = np.full(n_bytes, np.uint8(10)), 0
    for i in range(state[0]):
        for k in range(spans[i, 0], spans[i, 1]):
            joined[at] = text[k]
            at += 1
        at += 1
    return start, stop, n_keys, state[1] == 0, whole[:, :n], real[:, :n], joined


@njit(cache=True, nogil=True)
def _read_rows(
    text: Bytes,
    at: int,
    latest: int,
    whole: Ints,
    real: Floats,
    slots: Codes,
    spans: Ints,
    state: Ints,
) -> tuple[int, int]:
    """Read a list of rows; return how many, and the place after it, −1 for a close look."""
    if byte_at(text, at) != 91:
        return 0, -1
    at, n = solid(text, at + 1), 0
    if byte_at(text, at) == 93:
        return 0, at + 1
    while n < whole.shape[1] and byte_at(text, at) == 123:
        found = 0
        while True:
            at = solid(text, at + 1)
            end = closing(text, at + 1) if byte_at(text, at) == 34 else -1
            field = _field(text, at + 1, end) if end >= 0 else -1
            at = solid(text, end + 1)
            if field < 0 or found & (1 << field) or byte_at(text, at) != 58:
                return 0, -1
            found |= 1 << field
            at = solid(text, at + 1)
            if says(text, at, _NULL, 0, len(_NULL)) and not _IS_NEEDED[field]:
                at += len(_NULL)
            elif field < _N_TEXTS:
                number, at = _read_text(text, at, field, slots, spans, state)
                whole[field, n] = number
            elif field >= _VALUE:
                value, at = _number(text, at)
                if not abs(value) <= LARGEST or (field == _DURATION and value < 0):
                    return 0, -1
                real[field - _VALUE, n] = value
            elif field == _MACHINE:
                is_true = says(text, at, _TRUE, 0, len(_TRUE))
                if not is_true and not says(text, at, _FALSE, 0, len(_FALSE)):
                    return 0, -1
                whole[field, n] = 2 if is_true else 1
                at += len(_TRUE) if is_true else len(_FALSE)
            else:
                end = closing(text, at + 1) if byte_at(text, at) == 34 else -1
                moment = read_instant(text, at + 1, end)
                if end < 0 or not _EARLIEST <= moment <= latest:
                    return 0, -1
                whole[field, n] = moment
                at = end + 1
            if at < 0:
                return 0, -1
            at = solid(text, at)
            if byte_at(text, at) != 44:
                break
        if byte_at(text, at) != 125 or found & _ALL_NEEDED != _ALL_NEEDED:
            return 0, -1
        n += 1
        at = solid(text, at + 1)
        if byte_at(text, at) == 93:
            return n, at + 1
        if byte_at(text, at) != 44:
            return 0, -1
        at = solid(text, at + 1)
    return 0, -1


@njit(cache=True, nogil=True)
def _read_text(
    text: Bytes, at: int, field: int, slots: Codes, spans: Ints, state: Ints
) -> tuple[int, int]:
    """Return the number of a text, −1 for an empty one, and the place after it, −1 if it is odd."""
    start = at + 1
    end = closing(text, start) if byte_at(text, at) == 34 else -1
    if end < 0 or end - start > _LONGEST[field]:
        return -1, -1
    if end == start:
        return -1, -1 if _IS_NEEDED[field] else end + 1
    key = np.uint64(state[2])
    is_odd = text[start] <= 32 or text[end - 1] <= 32 or text[start] > 127 or text[end - 1] > 127
    for i in range(start, end):
        is_odd = is_odd or text[i] == 92
        key = (key ^ np.uint64(text[i])) * np.uint64(1099511628211)
    if is_odd:
        state[1] = 1
    slot = int(key >> np.uint64(20)) & (len(slots) - 1)
    while slots[slot] >= 0:
        number = slots[slot]
        first = spans[number, 0]
        if spans[number, 1] - first == end - start and says(text, first, text, start, end):
            return number, end + 1
        slot = (slot + 1) & (len(slots) - 1)
    slots[slot] = state[0]
    spans[state[0], 0], spans[state[0], 1] = start, end
    state[0] += 1
    return slots[slot], end + 1
