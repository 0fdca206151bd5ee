"""Settings as frozen models: `dataset.toml` (what the data is) and `conversion.toml` (the learner).

An unknown key is an error that names it; nothing is guessed from a misspelling.
"""

import difflib
import tomllib
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from intentcast.errors import ConfigError


def _to_instant(value: Any) -> Any:
    """Read a date, quoted or not, as its first instant, and a zone-less time as UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), tzinfo=UTC)
    raise ValueError(f"{value!r} is not a date or a time, such as 2024-01-31")


Instant = Annotated[datetime, BeforeValidator(_to_instant)]
_HalfLife = Annotated[float, Field(ge=0.01, le=3650)]
_Window = Annotated[int, Field(ge=1, le=3650)]
_ThemeName = Annotated[str, Field(min_length=1, max_length=100)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Conversion(_Settings):
    """What counts as conversion, and within how many days."""

    outcomes: tuple[str, ...] = Field(min_length=1)
    closing: tuple[str, ...] = ()
    recurring: bool = False
    horizons_days: tuple[Annotated[int, Field(ge=1, le=3650)], ...] = Field(min_length=1)
    primary_horizon_days: int = 0

    @model_validator(mode="after")
    def _horizons_make_sense(self) -> "Conversion":
        if list(self.horizons_days) != sorted(set(self.horizons_days)):
            raise ValueError("horizons_days must rise and not repeat, such as [30, 60, 90]")
        if both := sorted(set(self.outcomes) & set(self.closing)):
            raise ValueError(f"{both} cannot be both a conversion and a closing outcome")
        if self.primary_horizon_days == 0:
            object.__setattr__(self, "primary_horizon_days", self.horizons_days[-1])
        if self.primary_horizon_days not in self.horizons_days:
            raise ValueError(
                f"primary_horizon_days = {self.primary_horizon_days} is not among horizons_days"
            )
        return self


class Cohort(_Settings):
    """Who is scored at each as-of time: decided by what was known then, never by the outcome.

    `start` and `end` are the first and last as-of times; where they are absent, the cohort spans
    the recorded data and every command that uses it prints the span.
    """

    rule: Literal["engaged", "created", "open"] = "engaged"
    within_days: int = Field(default=180, ge=1, le=36_500)
    every_days: int = Field(default=7, ge=1, le=3650)
    start: Instant | None = None
    end: Instant | None = None

    @model_validator(mode="after")
    def _start_before_end(self) -> "Cohort":
        if self.start and self.end and self.start > self.end:
            raise ValueError(f"cohort start {self.start:%Y-%m-%d} is after its end")
        return self


class Attributes(_Settings):
    """Columns of leads and accounts that say how well the two fit.

    `seniority` is the column of leads whose text tells a person's rank; without it, `job_title`
    where that is listed under `categorical`.
    """

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    seniority: str | None = None

    @property
    def rank_column(self) -> str | None:
        """The column that tells rank, or None."""
        if self.seniority is not None:
            return self.seniority
        return "job_title" if "job_title" in self.categorical else None

    @model_validator(mode="after")
    def _each_once_and_none_a_key(self) -> "Attributes":
        names = [*self.numeric, *self.categorical]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} listed twice")
        if keys := sorted({"lead_id", "account_id", "created_at", "as_of"} & set(names)):
            raise ValueError(f"{', '.join(keys)} is no attribute")
        return self


class Themes(_Settings):
    """Themes that a team knows by name; the rest of the content is clustered.

    `rename` gives a theme a new name (`"bag-jumbo-lunch" = "gift bags"`); `merge` puts several
    under one (`"kitchen" = ["mug-tea-cup", "plate-bowl"]`). `core` uses the names that result.
    """

    core: tuple[str, ...] = ()
    seeds: dict[str, str] = {}
    rename: dict[_ThemeName, _ThemeName] = {}
    merge: dict[_ThemeName, Annotated[tuple[_ThemeName, ...], Field(min_length=1)]] = {}

    @model_validator(mode="after")
    def _each_name_for_one_thing(self) -> "Themes":
        new = list(self.rename.values())
        if twice := sorted({name for name in new if new.count(name) > 1}):
            raise ValueError(
                f"rename gives {', '.join(twice)} to several themes; join them under themes.merge"
            )
        parts = [part for merged in self.merge.values() for part in dict.fromkeys(merged)]
        if twice := sorted({name for name in parts if parts.count(name) > 1}):
            raise ValueError(f"merge puts {', '.join(twice)} into several themes")
        return self


class Capacity(_Settings):
    """How many leads sales can take on in a week."""

    handoffs_per_week: int = Field(default=40, ge=1)


class Sales(_Settings):
    """What sales says of leads that it was handed: outcomes that accept one or send it back.

    A lead that was sent back is nurtured for `renurture_days`, or until it does something new.
    """

    accepted: tuple[str, ...] = ("opportunity_created",)
    rejected: tuple[str, ...] = ("mql_rejected",)
    renurture_days: int = Field(default=90, ge=0, le=3650)

    @model_validator(mode="after")
    def _one_meaning_each(self) -> "Sales":
        if both := sorted(set(self.accepted) & set(self.rejected)):
            raise ValueError(f"{', '.join(both)} cannot be both accepted and rejected")
        return self


class Backtest(_Settings):
    """Where the test windows lie; without `first_test`, the last two fifths of the as-of times."""

    first_test: Instant | None = None
    folds: int = Field(default=1, ge=1)


class Quarantine(_Settings):
    """Above this share of bad rows in one table, nothing is computed from it."""

    max_share: float = Field(default=0.2, ge=0, le=1)


class SourceDelay(_Settings):
    """Hours from when a thing happened to when the source tells, where rows do not say."""

    events: float = Field(default=0, ge=0, le=87_600)
    outcomes: float = Field(default=0, ge=0, le=87_600)


class Columns(_Settings):
    """Canonical column = source column, per table, where the names differ."""

    leads: dict[str, str] = {}
    accounts: dict[str, str] = {}
    events: dict[str, str] = {}
    outcomes: dict[str, str] = {}
    attribute_changes: dict[str, str] = {}


class DatasetConfig(_Settings):
    """A data set's `dataset.toml`.

    `data_cutoff` is the instant up to which the extract is complete. Without it, it is the
    first whole second after the last recorded row: a fact about the extract, printed by `check` and
    kept in every report, never an as-of time.
    """

    name: str = Field(default="dataset", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    data_cutoff: Instant | None = None
    conversion: Conversion
    cohort: Cohort = Cohort()
    attributes: Attributes = Attributes()
    themes: Themes = Themes()
    capacity: Capacity = Capacity()
    sales: Sales = Sales()
    backtest: Backtest = Backtest()
    quarantine: Quarantine = Quarantine()
    columns: Columns = Columns()
    source_delay_hours: SourceDelay = SourceDelay()


FeatureFamily = Literal[
    "recency",
    "last",
    "counts",
    "value",
    "consistency",
    "coherence",
    "acceleration",
    "escalation",
    "dormancy",
    "account",
    "lifecycle",
    "fit",
]


class FeatureSettings(_Settings):
    """Which features are computed; what their vocabulary is, is learnt from training time.

    `without` names families of features that are left out.
    """

    half_lives_days: tuple[_HalfLife, ...] = (3.0, 14.0, 45.0, 120.0)
    windows_days: tuple[_Window, ...] = (7, 14, 30, 90)
    max_event_types: int = Field(default=24, ge=1)
    max_channels: int = Field(default=8, ge=1)
    max_levels: int = Field(default=20, ge=1)
    min_share: float = Field(default=0.001, ge=0, lt=1)
    clustered_themes: int = Field(default=12, ge=0)
    without: tuple[FeatureFamily, ...] = ()

    @field_validator("half_lives_days", "windows_days")
    @classmethod
    def _rise(cls, days: tuple[float, ...]) -> tuple[float, ...]:
        if list(days) != sorted(set(days)):
            raise ValueError("must rise and not repeat, such as [7, 14, 30]")
        return days


class BoosterSettings(_Settings):
    """LightGBM's settings, by its own names."""

    rounds: int = Field(default=150, ge=1)
    learning_rate: float = Field(default=0.05, gt=0)
    num_leaves: int = Field(default=7, ge=2)
    min_data_in_leaf: int = Field(default=40, ge=1)
    feature_fraction: float = Field(default=0.4, gt=0, le=1)
    bagging_fraction: float = Field(default=0.7, gt=0, le=1)
    lambda_l2: float = Field(default=10.0, ge=0)
    max_bin: int = Field(default=127, ge=2)


class HazardSettings(_Settings):
    """The hazard learner: its own `rounds`, else the settings of `booster`.

    `lead_weight` 0: every snapshot counts alike; 1: every lead counts alike. Beyond `max_rows`
    person-periods, those without conversion are sampled, and the odds corrected for it.
    """

    rounds: int = Field(default=100, ge=1)
    lead_weight: float = Field(default=0.0, ge=0, le=1)
    max_rows: int = Field(default=200_000, ge=1000)


class LogisticSettings(_Settings):
    """Ridge-penalised logistic regression; the penalty is chosen among these out of sample."""

    inverse_penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3), min_length=1
    )


class CalibrationSettings(_Settings):
    """The later slice on which calibration is fitted and judged."""

    share: float = Field(default=0.25, gt=0, lt=1)
    folds: int = Field(default=2, ge=1, le=2)
    min_converted: int = Field(default=30, ge=2)
    isotonic_from: int = Field(default=500, ge=2)


class SearchSettings(_Settings):
    """The budget of a search for the trees' settings; without trials there is none.

    Each trial is kept in `folder`: a search that was stopped goes on there.
    """

    trials: int = Field(default=0, ge=0)
    seconds: float = Field(default=1800, gt=0)
    folder: str = "out/search"


class LearnerConfig(_Settings):
    """`conversion.toml`: the learner's settings."""

    seed: int = 7
    threads: int = Field(default=2, ge=1)
    min_converted: int = Field(default=20, ge=2)
    max_rows: int = Field(default=20_000, ge=100)
    features: FeatureSettings = FeatureSettings()
    booster: BoosterSettings = BoosterSettings()
    hazard: HazardSettings = HazardSettings()
    logistic: LogisticSettings = LogisticSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    search: SearchSettings = SearchSettings()


Model = TypeVar("Model", bound=BaseModel)


def _known_keys(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Return the keys that are allowed where an unknown one was found."""
    for step in path:
        field = model.model_fields.get(str(step))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return list(model.model_fields)


def read_settings(path: Path, model: type[Model]) -> Model:
    """Read a TOML file into a settings model.

    Raises:
        ConfigError: If the file is missing, is not TOML, or a key is unknown or out of range.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        is_dataset = model is DatasetConfig
        raise ConfigError(
            f"no {path.name} in {path.parent} ({error.strerror})",
            expected="at least conversion.outcomes and conversion.horizons_days in it"
            if is_dataset
            else "a TOML file",
            next_step="write one (README, section 'Your own data', shows the smallest)"
            if is_dataset
            else "check the path",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path.name} is not valid TOML ({error})",
            expected="a TOML file in UTF-8",
            next_step=f"correct {path}",
        ) from None
    return parse_settings(raw, model, source=str(path))


def parse_settings(raw: dict[str, Any], model: type[Model], *, source: str) -> Model:
    """Turn a mapping into a settings model; `source` names it in errors.

    Raises:
        ConfigError: With every offending key, sorted.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise _config_error(error, model, source=source) from None


def _config_error(error: ValidationError, model: type[BaseModel], *, source: str) -> ConfigError:
    found, hints = [], []
    for item in error.errors(include_url=False, include_context=False):
        key = ".".join(str(step) for step in item["loc"]) or "the settings"
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, item["loc"])
            near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
            found.append(f"unknown key {key}")
            hints.append(f"did you mean {near[0]}" if near else f"known here: {', '.join(known)}")
        elif item["type"] == "missing":
            found.append(f"no {key}")
        else:
            found.append(f"{key}: {item['msg'].removeprefix('Value error, ')}")
    return ConfigError(
        f"{'; '.join(sorted(found))} in {source}",
        expected="only known keys, with values in range",
        next_step="; ".join(sorted(set(hints))) or "correct the value",
    )
