"""Which features are written, by patterns of their names."""

import difflib
import fnmatch
from collections.abc import Sequence

from intentcast.errors import InputError


def chosen(names: Sequence[str], only: Sequence[str]) -> tuple[str, ...]:
    """Return the names that match any of the patterns, in their order; all where there is none.

    Args:
        names: Of features.
        only: With `*`, `?` and `[...]`, as names of files are matched.

    Raises:
        InputError: If a pattern matches no name.
    """
    if not only:
        return tuple(names)
    for pattern in only:
        if not fnmatch.filter(names, pattern):
            near = difflib.get_close_matches(pattern, names, n=1, cutoff=0.0)
            raise InputError(
                f"no feature called {pattern}",
                expected=f"a name or a pattern of names, such as {near[0]}",
                next_step="look it up in docs/features.md, or in names of another manifest.json",
            )
    return tuple(n for n in names if any(fnmatch.fnmatchcase(n, pattern) for pattern in only))
