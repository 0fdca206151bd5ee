"""On which line of a TOML file each key is: `tomllib` reads values and forgets where they were."""

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*(?:"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)'|([A-Za-z0-9_-]+))[ \t]*""")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"[^,\]}\n#]*")


def line_of(lines: Mapping[Path, int], path: Path) -> int | None:
    """Return the line of a key, or of the nearest table or key that it would be part of."""
    for length in range(len(path), 0, -1):
        if (line := lines.get(path[:length])) is not None:
            return line
    return None


def key_lines(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every key, table and element of valid TOML.

    `("behaviours", 2, "points")` is the key `points` of the third `[[behaviours]]`.
    """
    return _Scanner(text).lines


class _Scanner:
    """Walks over valid TOML once; what it does not understand it steps over."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self.lines: dict[Path, int] = {}
        self._n_tables: dict[Path, int] = {}
        table: Path = ()
        while self._skip_blank():
            if text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)

    def _skip_blank(self) -> bool:
        """Step over blanks and comments; say whether anything is left."""
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at < len(self._text)

    def _note(self, path: Path) -> None:
        self.lines.setdefault(path, self._text.count("\n", 0, self._at) + 1)

    def _keys(self) -> tuple[str, ...]:
        """Read a dotted key."""
        keys = []
        while match := _KEY.match(self._text, self._at):
            keys.append(next(part for part in match.groups() if part is not None))
            self._at = match.end()
            if not self._text.startswith(".", self._at):
                break
            self._at += 1
        return tuple(keys)

    def _header(self) -> Path:
        start, is_array = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        keys = self._keys()
        path: Path = ()
        for i, key in enumerate(keys):
            path = (*path, key)
            is_last = i == len(keys) - 1
            if is_array and is_last:
                self._n_tables[path] = self._n_tables.get(path, 0) + 1
            if path in self._n_tables:
                path = (*path, self._n_tables[path] - 1)
        end = self._text.find("\n", self._at)
        self._at = start
        self._note(path)
        self._at = len(self._text) if end < 0 else end
        return path

    def _pair(self, table: Path) -> None:
        start = self._at
        path = (*table, *self._keys())
        if len(path) == len(table) or not self._text.startswith("=", self._at):
            self._at = max(self._at, start + 1)
            return
        end, self._at = self._at + 1, start
        self._note(path)
        self._at = end
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip_blank()
        self._note(path)
        if self._text.startswith("[", self._at):
            self._elements(path)
        elif self._text.startswith("{", self._at):
            self._inline_table(path)
        else:
            match = _STRING.match(self._text, self._at) or _BARE.match(self._text, self._at)
            self._at = match.end() if match else self._at + 1

    def _elements(self, path: Path) -> None:
        self._at += 1
        number = 0
        while self._skip_blank() and not self._text.startswith("]", self._at):
            self._value((*path, number))
            number += 1
            self._skip_blank()
            if self._text.startswith(",", self._at):
                self._at += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._skip_blank() and not self._text.startswith("}", self._at):
            if self._text.startswith(",", self._at):
                self._at += 1
            else:
                self._pair(path)
        self._at += 1
