"""`dataset.toml`: what the data are."""

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from intentcast.config.base import Settings


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
_ThemeName = Annotated[str, Field(min_length=1, max_length=100)]


class Conversion(Settings):
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


class Cohort(Settings):
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


class Attributes(Settings):
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


class Themes(Settings):
    """Themes that a team knows by name; the rest of the content is clustered.

    `rename` gives a theme a new name (`"bag-jumbo-lunch" = "gift bags"`); `merge` puts several
    under one (`"kitchen" = ["mug-tea-cup", "plate-bowl"]`). `core` uses the names that result.
    """

    core: tuple[str, ...] = ()
    seeds: dict[str, str] = Field(default_factory=dict)
    rename: dict[_ThemeName, _ThemeName] = Field(default_factory=dict)
    merge: dict[_ThemeName, Annotated[tuple[_ThemeName, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )

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


class Capacity(Settings):
    """How many leads sales can take on in a week."""

    handoffs_per_week: int = Field(default=40, ge=1)


class Sales(Settings):
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


class Backtest(Settings):
    """Where the test windows lie; without `first_test`, the last two fifths of the as-of times."""

    first_test: Instant | None = None
    folds: int = Field(default=1, ge=1)


class Quarantine(Settings):
    """Above this share of bad rows in one table, nothing is computed from it."""

    max_share: float = Field(default=0.2, ge=0, le=1)


class SourceDelay(Settings):
    """Hours from when a thing happened to when the source tells, where rows do not say."""

    events: float = Field(default=0, ge=0, le=87_600)
    outcomes: float = Field(default=0, ge=0, le=87_600)


class Columns(Settings):
    """Canonical column = source column, per table, where the names differ."""

    leads: dict[str, str] = Field(default_factory=dict)
    accounts: dict[str, str] = Field(default_factory=dict)
    events: dict[str, str] = Field(default_factory=dict)
    outcomes: dict[str, str] = Field(default_factory=dict)
    attribute_changes: dict[str, str] = Field(default_factory=dict)


class DatasetConfig(Settings):
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

    @property
    def handoffs_per_time(self) -> float:
        """Leads that sales can take on from one as-of time to the next."""
        return self.capacity.handoffs_per_week * self.cohort.every_days / 7
