"""Steps over a JSON text at native speed: white space, strings, words, the items of a list."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
# Bytes that go on a string: not those that end it, begin an escape, or may not be in one.
_IS_PLAIN = np.array([byte >= 32 and byte not in b'"\\' for byte in range(256)])


@njit(cache=True, nogil=True)
def byte_at(text: Bytes, at: int) -> int:
    """Return a byte; 0, which JSON never has, beyond the end."""
    return int(text[at]) if at < len(text) else 0


@njit(cache=True, nogil=True)
def solid(text: Bytes, at: int) -> int:
    """Return the first place from `at` on that is no white space."""
    while at < len(text) and (text[at] == 32 or text[at] == 10 or text[at] == 13 or text[at] == 9):
        at += 1
    return at


@njit(cache=True, nogil=True)
def closing(text: Bytes, at: int) -> int:
    """Return the place of the quote that ends a string whose first byte is at `at`; −1 for none."""
    # An index that cannot be negative, and a branch that is taken once per text: far quicker.
    i, end = np.uint64(at), np.uint64(len(text))
    while i < end:
        while i < end and _IS_PLAIN[text[i]]:
            i += np.uint64(1)
        if i < end and text[i] == 34:
            return int(np.int64(i))
        if i == end or text[i] != 92:
            return -1
        i += np.uint64(2)
    return -1


@njit(cache=True, nogil=True)
def says(text: Bytes, at: int, word: Bytes, start: int, stop: int) -> bool:
    """Whether the bytes of a word from `start` to `stop` are at a place."""
    if at + stop - start > len(text):
        return False
    i = start
    while i < stop and text[at + i - start] == word[i]:
        i += 1
    return i == stop


@njit(cache=True, nogil=True)
def items(text: Bytes) -> Ints:
    """Return where the items of a list begin and end, after a row that is −1 if it is no list.

    What is in an item is not looked at, but for strings and brackets.
    """
    bounds, n = np.full((64, 2), -1), 1
    at = solid(text, 0)
    if byte_at(text, at) != 91:
        return bounds[:1]
    at = solid(text, at + 1)
    is_over = byte_at(text, at) == 93
    at += 1 if is_over else 0
    while not is_over:
        end = _after_item(text, at)
        if end <= at:
            return bounds[:1]
        if n == len(bounds):
            bounds = np.concatenate((bounds, np.empty_like(bounds)))
        bounds[n, 0], bounds[n, 1] = at, end
        n += 1
        is_over = text[end] == 93
        at = solid(text, end + 1)
    if solid(text, at) == len(text):
        bounds[0] = 0
    return bounds[:n]


@njit(cache=True, nogil=True)
def _after_item(text: Bytes, at: int) -> int:
    """Return the place of the comma or bracket after the item at a place; −1 for none."""
    depth = 0
    while at < len(text):
        byte = text[at]
        if byte == 34:
            at = closing(text, at + 1)
            if at < 0:
                return -1
        elif byte == 123 or byte == 91:
            depth += 1
        elif byte == 125 or byte == 93:
            if depth == 0:
                return at if byte == 93 else -1
            depth -= 1
        elif byte == 44 and depth == 0:
            return at
        at += 1
    return -1
