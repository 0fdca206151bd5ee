"""The rank that a job title tells: whose engagement weighs more inside an account."""

import functools
import re

UNKNOWN, STAFF, MANAGER, DIRECTOR, VICE_PRESIDENT, CHIEF = range(6)
_RANKS = (
    (CHIEF, r"\bc[etfoimprs]o\b|\bchief\b|\bfounder\b|\bowner\b|(?<!vice )(?<!vice-)\bpresident\b"),
    (VICE_PRESIDENT, r"\b[se]?vp\b|\bvice[ -]president\b|\bpartner\b"),
    (DIRECTOR, r"\bdirector\b|\bhead\b"),
    (MANAGER, r"\bmanager\b|\blead\b|\bprincipal\b|\bsupervisor\b"),
)
_PATTERNS = tuple((rank, re.compile(pattern)) for rank, pattern in _RANKS)


@functools.lru_cache(maxsize=4096)
def rank(title: str | None) -> int:
    """Return 0 for an unknown title, 1 for any other, 2 manager, 3 director, 4 VP, 5 chief."""
    if title is None or not title.strip():
        return UNKNOWN
    text = title.lower()
    return next((rank for rank, pattern in _PATTERNS if pattern.search(text)), STAFF)
