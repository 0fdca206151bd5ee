"""A folder of bundles with a champion, as `promote` leaves it, and requests that need a key."""

import hashlib
import json
import shutil
from datetime import UTC, datetime

from intentcast.champions import Reign, crown

NAME = "small"
SCORE, ADMIN = "ic_key-to-score", "ic_key-to-administer"


def registry(world, folder):
    """Return a folder with copies of both bundles; the boosted one is champion."""
    for bundle in (world.boosted, world.logistic):
        shutil.copytree(bundle, folder / bundle.name)
    promote(folder, world.boosted.name)
    return folder


def promote(folder, name):
    """Make a bundle of the folder the champion, as the command does."""
    crown(folder, NAME, Reign(name, datetime.now(UTC).isoformat(), "for a test"))


def write_keys(path, **more):
    """Write a file with a key to score and one to administer; `more` is of the first."""
    lines = []
    for name, key, scope in (("crm", SCORE, "score"), ("deployer", ADMIN, "admin")):
        digest = hashlib.sha256(key.encode()).hexdigest()
        lines += ["[[key]]", f'name = "{name}"', f'sha256 = "{digest}"', f'scopes = ["{scope}"]']
        lines += [f"{k} = {v}" for k, v in more.items()] if scope == "score" else []
    path.write_text("\n".join(lines))
    return path


def with_key(key=SCORE, **more):
    """Return the headers of a JSON request with a key."""
    return {"Content-Type": "application/json", "Authorization": f"Bearer {key}", **more}


def replaced(folder, name, data):
    """Write a file of a bundle with the checksums to match."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    resealed(folder, manifest)


def resealed(folder, manifest):
    """Write a bundle's manifest with its own checksum to match."""
    manifest.pop("sha256", None)
    own = json.dumps(manifest, sort_keys=True).encode()
    manifest["sha256"] = hashlib.sha256(own).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
