"""The tier policy as a file: thresholds, what they promise, and how they were set.

JSON, format 1:

- `format`, `dataset`, `version` (counts up from 1), `created`, `previous` (version and sha256 of
  the policy it replaces, or null);
- `bundle`: `name`, `version`, `sha256` of the bundle it was calibrated for;
- `thresholds`: a `TierPolicy`;
- `known_by`: nothing known at or after this instant was used;
- `details`: the question, bands, rates, what the list loses, churn, curve and evidence; for
  readers, no program acts on it;
- `sha256`: of all the others, as JSON with sorted keys and no spaces.

Reading is strict: a file of another format, with a key too many or too few, a threshold out of
order, or a flipped byte is refused.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from intentcast.errors import BundleError, InputError
from intentcast.files import json_bytes, write_atomic
from intentcast.tiers import TierPolicy

FORMAT = 1
_LARGEST = 16 * 1024 * 1024
_KEYS = {
    "format",
    "dataset",
    "version",
    "created",
    "previous",
    "bundle",
    "thresholds",
    "known_by",
    "details",
    "sha256",
}
_DIGEST = re.compile(r"^[0-9a-f]{64}$")


class PolicyError(BundleError):
    """A policy file is damaged, or made for something else."""


@dataclass(frozen=True)
class BundleRef:
    """Which bundle a policy was calibrated for."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Policy:
    """A policy file's contents; see the module.

    Attributes:
        dataset: Name of the data set.
        version: From 1.
        created: When it was written, ISO 8601.
        previous: `version` and `sha256` of the one before, or None.
        bundle: What it was calibrated for.
        tiers: The thresholds.
        known_by: Nothing known at or after this instant was used, ISO 8601.
        details: For readers.
    """

    dataset: str
    version: int
    created: str
    previous: dict[str, Any] | None
    bundle: BundleRef
    tiers: TierPolicy
    known_by: str
    details: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the file's contents, digest and all."""
        values: dict[str, Any] = {
            "format": FORMAT,
            "dataset": self.dataset,
            "version": self.version,
            "created": self.created,
            "previous": self.previous,
            "bundle": asdict(self.bundle),
            "thresholds": self.tiers.to_json(),
            "known_by": self.known_by,
            "details": self.details,
        }
        return {**values, "sha256": _digest(values)}

    @property
    def sha256(self) -> str:
        """The digest of its contents."""
        return str(self.to_json()["sha256"])


def write_policy(policy: Policy, path: Path) -> None:
    """Write a policy, whole or not at all.

    Raises:
        InputError: If the folder cannot be written to.
    """
    write_atomic(path, json_bytes(policy.to_json()))


def read_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        PolicyError: Saying what is wrong.
        InputError: If there is no such file.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise _refused(path, "more than 16 MiB")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"no policy to read at {path} ({error.strerror})",
            expected="a file that `intentcast calibrate` wrote",
            next_step="check the path, or run `intentcast calibrate`",
        ) from None
    try:
        raw = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _refused(path, "not JSON") from None
    if not isinstance(raw, dict):
        raise _refused(path, "not a JSON object")
    if raw.get("format") != FORMAT:
        raise _refused(path, f"of format {str(raw.get('format'))[:20]}")
    if set(raw) != _KEYS:
        odd = ", ".join(sorted(set(raw) ^ _KEYS))[:100]
        raise _refused(path, f"with keys too many or too few ({odd})")
    try:
        is_whole = raw["sha256"] == _digest(raw)
    except ValueError:  # a number beyond all bounds
        is_whole = False
    if not is_whole:
        raise _refused(path, "with contents that do not match its checksum")
    try:
        return _parsed(raw)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _refused(path, f"with a part of another shape ({str(error)[:100]})") from None


def check_policy(policy: Policy, *, name: str, version: str, horizon_days: int) -> list[str]:
    """Return what is odd about using a policy with a bundle.

    Args:
        policy: The policy.
        name: Of the bundle.
        version: Likewise.
        horizon_days: Its primary horizon.

    Raises:
        PolicyError: If its thresholds are on the probability of another horizon.
    """
    if policy.tiers.horizon_days != horizon_days:
        raise PolicyError(
            f"a policy for probabilities within {policy.tiers.horizon_days} days, and a bundle of "
            f"{horizon_days} days",
            expected="one primary horizon",
            next_step="run `intentcast calibrate` with this bundle",
        )
    made_for = policy.bundle
    if (made_for.name, made_for.version) == (name, version):
        return []
    return [
        f"the policy was calibrated for bundle {made_for.name} {made_for.version}, this is "
        f"{name} {version}: run `intentcast calibrate` again"
    ]


def _parsed(raw: dict[str, Any]) -> Policy:
    tiers = TierPolicy.from_json(raw["thresholds"])
    _check_order(tiers)
    bundle = BundleRef(**raw["bundle"])
    for text in (raw["dataset"], raw["created"], raw["known_by"], *asdict(bundle).values()):
        if not isinstance(text, str):
            raise TypeError("text expected")
    datetime.fromisoformat(raw["created"])
    datetime.fromisoformat(raw["known_by"])
    if not _DIGEST.match(bundle.sha256):
        raise ValueError("bundle.sha256")
    if type(raw["version"]) is not int or raw["version"] < 1:
        raise ValueError("version")
    if not isinstance(raw["details"], dict):
        raise TypeError("details")
    previous = raw["previous"]
    if previous is not None and set(previous) != {"version", "sha256"}:
        raise ValueError("previous")
    return Policy(
        dataset=raw["dataset"],
        version=raw["version"],
        created=raw["created"],
        previous=previous,
        bundle=bundle,
        tiers=tiers,
        known_by=raw["known_by"],
        details=raw["details"],
    )


def _check_order(tiers: TierPolicy) -> None:
    """Refuse thresholds that are no numbers in [0, 1], or out of order."""
    named = {
        name: value
        for name in (
            "deprioritise_leave",
            "deprioritise",
            "warm_leave",
            "warm",
            "hot_leave",
            "hot",
        )
        if (value := getattr(tiers, name)) is not None
    }
    for name, value in named.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"thresholds.{name}")
    if list(named.values()) != sorted(named.values()):
        raise ValueError(f"thresholds out of order: {', '.join(named)}")
    if tiers.deprioritise is None and tiers.deprioritise_leave is not None:
        raise ValueError("thresholds.deprioritise_leave")
    if not isinstance(tiers.policy, str):
        raise TypeError("thresholds.policy")
    for name in ("horizon_days", "handoffs_per_week", "n_leads"):
        if type(getattr(tiers, name)) is not int or getattr(tiers, name) < 0:
            raise ValueError(f"thresholds.{name}")
    if isinstance(tiers.n_weeks, bool) or not isinstance(tiers.n_weeks, int | float):
        raise ValueError("thresholds.n_weeks")


def _digest(values: dict[str, Any]) -> str:
    own = {key: value for key, value in values.items() if key != "sha256"}
    text = json.dumps(own, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _refused(path: Path, what: str) -> PolicyError:
    return PolicyError(
        f"{path.name}: a policy file {what}",
        expected=f"a file of format {FORMAT} as `intentcast calibrate` wrote it",
        next_step="take the file from where it was written, or run `intentcast calibrate` again",
    )
