"""Copy the demo's output from docs/demo.txt into README.md; `--check` fails where they differ.

docs/demo.txt is what `intentcast demo` printed: `make readme` writes both.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- demo:begin[^\n]*-->\n).*?(<!-- demo:end -->)", re.DOTALL)


def main() -> int:
    """Write README.md, or check it."""
    readme, demo = ROOT / "README.md", (ROOT / "docs" / "demo.txt").read_text(encoding="utf-8")
    text = readme.read_text(encoding="utf-8")
    new = BLOCK.sub(lambda m: f"{m[1]}```\n{demo.rstrip()}\n```\n{m[2]}", text)
    if "--check" in sys.argv:
        if new != text:
            print("README.md is not what docs/demo.txt says: run `make readme`", file=sys.stderr)
            return 1
        return 0
    readme.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
