"""Write docs/help.md: every command's --help, as it is printed 80 columns wide.

python docs/make_help.py           write it
python docs/make_help.py --check   exit 1 if it is out of date
"""

import os
import subprocess
import sys
from pathlib import Path

from intentcast.cli.main import app

PAGE = Path(__file__).with_name("help.md")
HEAD = """# Commands

This page is written by `python docs/make_help.py`; a test compares it with the program.
"""


def help_of(*command: str) -> str:
    """Return what `intentcast COMMAND --help` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "intentcast", *command, "--help"],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1"},
    )
    lines = [line.rstrip() for line in done.stdout.strip("\n").splitlines()]
    return "\n".join(lines).replace("python -m intentcast", "intentcast")


def page() -> str:
    """Return the page as it should be."""
    commands = [command.name for command in app.registered_commands if command.name]
    parts = [f"## intentcast\n\n```\n{help_of()}\n```\n"]
    parts += [f"## intentcast {name}\n\n```\n{help_of(name)}\n```\n" for name in commands]
    return "\n".join([HEAD, *parts])


def main() -> int:
    """Write the page, or compare it."""
    wanted = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    found = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if found == wanted:
        return 0
    sys.stderr.write("docs/help.md is out of date. Next: python docs/make_help.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
