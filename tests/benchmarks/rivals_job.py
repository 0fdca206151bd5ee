"""The job that every rival does: which features, at which as-of times, with which vocabulary.

What a rival is asked for is read from our feature names (`family.measure.subject.unit`), so that
both sides always mean the same columns. A name that is not understood here is not asked for.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

DAY_US = 86_400_000_000
OTHER = "other"
# Family of a feature = column of the coded events; `any` and `value` are over all events.
CODINGS = {"activity": "type", "theme": "theme", "channel": "channel"}
WHOLE = {("engagement", "any"), ("value", "any")}


@dataclass(frozen=True)
class Feature:
    """One feature of the job.

    `days` is the half-life or the window, None where it has none; `code` the number of the subject
    among its coding's, None for all events.
    """

    name: str
    family: str
    measure: str
    code: int | None
    days: float | None


@dataclass(frozen=True)
class Job:
    """What to compute.

    Attributes:
        as_of: As-of times, rising.
        subjects: Per coding, raw value to the number of its group, and how many groups there are;
            a value that is not listed belongs to the last, `other`.
        features: In the order of the matrix.
    """

    as_of: tuple[datetime, ...]
    subjects: dict[str, tuple[dict[str, int], int]]
    features: tuple[Feature, ...]

    @property
    def half_lives(self) -> list[float]:
        """Days, rising."""
        return sorted({f.days for f in self.features if f.measure == "recency_weighted" and f.days})

    @property
    def windows(self) -> list[float]:
        """Days, rising."""
        measures = ("count", "active_days", "distinct_content", "people_engaged")
        return sorted({f.days for f in self.features if f.measure in measures and f.days})

    def of(self, measure: str) -> list[Feature]:
        """Features of one measure."""
        return [feature for feature in self.features if feature.measure == measure]


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return round(moment.timestamp()) * 1_000_000


def write_job(
    path: Path,
    *,
    names: list[str],
    as_of: list[datetime],
    types: dict[str, str],
    channels: dict[str, str],
    contents: dict[str, str],
) -> None:
    """Write the job; the mappings are raw value to subject, as feature names spell it."""
    raw = {
        "names": names,
        "as_of": [moment.isoformat() for moment in as_of],
        "subjects": {"type": types, "channel": channels, "theme": contents},
    }
    path.write_text(json.dumps(raw, indent=1), encoding="utf-8")


def read_job(path: Path) -> Job:
    """Read what `write_job` wrote."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    numbers: dict[str, dict[str, int]] = {}
    subjects: dict[str, tuple[dict[str, int], int]] = {}
    for coding, subject_of in raw["subjects"].items():
        known = sorted(set(subject_of.values()) - {OTHER})
        number = {subject: i for i, subject in enumerate([*known, OTHER])}
        numbers[coding] = number
        subjects[coding] = ({v: number[s] for v, s in subject_of.items()}, len(number))
    features = [_feature(name, numbers) for name in raw["names"]]
    return Job(
        as_of=tuple(datetime.fromisoformat(text) for text in raw["as_of"]),
        subjects=subjects,
        features=tuple(feature for feature in features if feature),
    )


def _feature(name: str, numbers: dict[str, dict[str, int]]) -> Feature | None:
    family, measure, subject, unit = name.split(".")
    days = None if unit == "days" else _days(unit)
    if measure in ("recency_weighted", "count", "days_since_last"):
        if (family, subject) in WHOLE:
            return Feature(name, family, measure, None, days)
        if family in CODINGS and subject in numbers[CODINGS[family]]:
            return Feature(name, family, measure, numbers[CODINGS[family]][subject], days)
    simple = {
        "engagement.active_days.any",
        "engagement.distinct_content.any",
        "account.people_engaged.any",
    }
    if f"{family}.{measure}.{subject}" in simple and days:
        return Feature(name, family, measure, None, days)
    if name == "lifecycle.age.first_event.days":
        return Feature(name, family, "first_event", None, None)
    return None


def _days(unit: str) -> float | None:
    number = unit.removesuffix("_halflife").removesuffix("d").replace("_", ".")
    try:
        return float(number)
    except ValueError:
        return None
