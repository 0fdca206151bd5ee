"""`python -m serving`: the server, with its settings from the environment."""

import os
import sys

from pydantic import ValidationError

from intentcast.errors import InputError
from serving.run import run
from serving.settings import Settings
from serving.workers import LISTENER, serve_as_worker


def main() -> int:
    """Serve; return the exit code."""
    listener = os.environ.pop(LISTENER, None)
    try:
        if listener:
            serve_as_worker(Settings(), int(listener))
        else:
            run(Settings())
    except ValidationError as error:
        # Names only: a value could be the key.
        names = sorted({f"INTENTCAST_{str(e['loc'][0]).upper()}" for e in error.errors()})
        sys.stderr.write(f"Found: a wrong {', '.join(names)}. Expected: as serving/README.md says.")
        sys.stderr.write(" Next: correct the environment.\n")
        return 2
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
