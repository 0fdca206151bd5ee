"""`conversion.toml`: the learner's settings."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from intentcast.config.base import Settings

_HalfLife = Annotated[float, Field(ge=0.01, le=3650)]
_Window = Annotated[int, Field(ge=1, le=3650)]

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


class FeatureSettings(Settings):
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


class BoosterSettings(Settings):
    """LightGBM's settings, by its own names."""

    rounds: int = Field(default=150, ge=1)
    learning_rate: float = Field(default=0.05, gt=0)
    num_leaves: int = Field(default=7, ge=2)
    min_data_in_leaf: int = Field(default=40, ge=1)
    feature_fraction: float = Field(default=0.4, gt=0, le=1)
    bagging_fraction: float = Field(default=0.7, gt=0, le=1)
    lambda_l2: float = Field(default=3.0, ge=0)
    max_bin: int = Field(default=127, ge=2)


class HazardSettings(Settings):
    """The hazard learner: its own `rounds`, else the settings of `booster`.

    Of several `rounds` the one that does best out of sample is taken: more data bear more of them.
    `lead_weight` 0: every snapshot counts alike; 1: every lead counts alike. Beyond `max_rows`
    person-periods, those without conversion are sampled, and the odds corrected for it.
    """

    rounds: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(100, 150, 200), min_length=1)
    lead_weight: float = Field(default=0.0, ge=0, le=1)
    max_rows: int = Field(default=200_000, ge=1000)

    @field_validator("rounds", mode="before")
    @classmethod
    def _several(cls, rounds: object) -> object:
        return [rounds] if isinstance(rounds, int) else rounds

    @field_validator("rounds")
    @classmethod
    def _rise(cls, rounds: tuple[int, ...]) -> tuple[int, ...]:
        if list(rounds) != sorted(set(rounds)):
            raise ValueError("must rise and not repeat, such as [100, 150, 200]")
        return rounds


class LogisticSettings(Settings):
    """Ridge-penalised logistic regression; the penalty is chosen among these out of sample."""

    inverse_penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3), min_length=1
    )


class CalibrationSettings(Settings):
    """The later slice on which calibration is fitted and judged, and its intervals.

    `level_moves` is the standard deviation, after a year, of how the level of all probabilities
    moves on the log-odds scale; 0.35 has a doubling or halving of the odds as two of them.
    `abstain_wider_than` is the width of the interval at the primary horizon, high less low, above
    which a lead is said to be too little known; 1 never says so.
    """

    share: float = Field(default=0.25, gt=0, lt=1)
    folds: int = Field(default=2, ge=1, le=2)
    min_converted: int = Field(default=30, ge=2)
    isotonic_from: int = Field(default=500, ge=2)
    level_moves: float = Field(default=0.35, ge=0, le=5)
    abstain_wider_than: float = Field(default=0.5, gt=0, le=1)


class SearchSettings(Settings):
    """The budget of a search for the trees' settings; without trials there is none.

    Each trial is kept in `folder`: a search that was stopped goes on there.
    """

    trials: int = Field(default=0, ge=0)
    seconds: float = Field(default=1800, gt=0)
    folder: str = "out/search"


class LearnerConfig(Settings):
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
