"""Figures into a page: what stands between two marks is replaced, all else stays."""

import re
from collections.abc import Mapping
from pathlib import Path

from intentcast.files import write_atomic


def write_sections(page: Path, sections: Mapping[str, str]) -> None:
    """Put each section between `<!-- NAME:begin … -->` and `<!-- NAME:end -->`.

    Raises:
        SystemExit: If the page has not each pair of marks once.
    """
    text = page.read_text(encoding="utf-8")
    for name, body in sections.items():
        marks = rf"(<!-- {name}:begin[^\n]*-->\n).*?(<!-- {name}:end -->)"
        section = body.strip("\n")
        text, n = re.subn(
            marks, lambda m, s=section: f"{m[1]}\n{s}\n\n{m[2]}", text, flags=re.DOTALL
        )
        if n != 1:
            raise SystemExit(f"{page} has no marks {name}:begin and :end")
    write_atomic(page, text.encode())
