"""Keys of those who may ask: kept as hashes, compared in constant time, never logged.

The file is TOML, one table a key; the key itself is in nobody's file but its user's:

    [[key]]
    name = "crm"
    sha256 = "9f86d0…"          # of the key
    scopes = ["score"]          # score, admin or both
    leads_per_second = 50       # optional
    burst = 1000                # optional: leads that may come at once

A key is 256 random bits, so one round of SHA-256 cannot be searched and costs a request nothing.
`python -m serving.keys NAME` makes one.
"""

import argparse
import hashlib
import hmac
import secrets
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from intentcast.errors import InputError
from serving.settings import Settings

Scope = Literal["score", "admin"]
ADMIN_KEY = "INTENTCAST_ADMIN_KEY"
_MOST_KEYS = 1000


class Key(BaseModel):
    """A key's entry in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._\-]{1,64}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    leads_per_second: Annotated[float, Field(gt=0)] | None = None
    burst: Annotated[float, Field(ge=1)] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: Annotated[list[Key], Field(min_length=1, max_length=_MOST_KEYS)]


class Keyring:
    """The keys that are valid now.

    Args:
        keys: Each with its own name.
        is_required: Whether predictions need one; reload always does.
    """

    def __init__(self, keys: tuple[Key, ...], *, is_required: bool) -> None:
        self._digests = [(bytes.fromhex(key.sha256), key) for key in keys]
        self.is_required = is_required

    @property
    def names(self) -> frozenset[str]:
        """Of the keys."""
        return frozenset(key.name for _, key in self._digests)

    def has(self, scope: Scope) -> bool:
        """Return whether any key has a scope."""
        return any(scope in key.scopes for _, key in self._digests)

    def find(self, given: bytes) -> Key | None:
        """Return the entry of a key, or None; the time taken tells nothing of either."""
        digest = hashlib.sha256(given).digest()
        found = None
        for expected, key in self._digests:
            # All are compared, so that the time does not tell which one matched.
            if hmac.compare_digest(digest, expected):
                found = key
        return found


def read_keys(settings: Settings) -> Keyring:
    """Return the keys that the settings name.

    Raises:
        InputError: If the file cannot be read or is not one of keys; it names no value.
    """
    keys = _read(settings.keys) if settings.keys else []
    if settings.admin_key:
        digest = hashlib.sha256(settings.admin_key.get_secret_value().encode()).hexdigest()
        keys.append(Key(name=ADMIN_KEY, sha256=digest, scopes=("admin",)))
    return Keyring(tuple(keys), is_required=settings.keys is not None)


def _read(path: Path) -> list[Key]:
    try:
        found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).key
        if len({key.name for key in found}) < len(found):
            raise ValueError("a name twice")
    except OSError as error:
        what = str(error.strerror)
    except ValidationError as error:
        # Places only: a value could be a key that somebody wrote there.
        places = {".".join(str(step) for step in wrong["loc"]) for wrong in error.errors()}
        what = f"wrong {', '.join(sorted(places))[:200]}"
    except ValueError as error:
        what = "a name twice" if str(error) == "a name twice" else "not TOML"
    else:
        return found
    raise InputError(
        f"keys in {path.name} cannot be used ({what})",
        expected="[[key]] tables with name, sha256 and scopes",
        next_step="make entries with `python -m serving.keys NAME`",
    ) from None


def new_entry(name: str, scopes: tuple[Scope, ...]) -> tuple[str, str]:
    """Return a new key, and its entry for the file."""
    key = f"ic_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    return key, f'[[key]]\nname = "{name}"\nsha256 = "{digest}"\nscopes = [{listed}]\n'


def main() -> int:
    """Print a new key on stderr and its entry on stdout."""
    options = argparse.ArgumentParser(prog="python -m serving.keys", description=main.__doc__)
    options.add_argument("name", help="Who will use it; logged with each request.")
    options.add_argument("--admin", action="store_true", help="May reload, and not score.")
    chosen = options.parse_args()
    key, entry = new_entry(chosen.name, ("admin",) if chosen.admin else ("score",))
    sys.stderr.write(f"The key, shown this once: {key}\n")
    sys.stdout.write(entry)
    return 0


if __name__ == "__main__":
    sys.exit(main())
