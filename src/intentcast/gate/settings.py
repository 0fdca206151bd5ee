"""`models/gate.toml`: how much worse a challenger may be before it is refused."""

from pydantic import BaseModel, ConfigDict, Field


class GateSettings(BaseModel):
    """Margins of the gate.

    A margin is what may be lost without anyone minding. Smaller ones protect more and need more
    conversions to pass: where the data cannot rule a loss out, the challenger does not pass.

    Attributes:
        window_days: Length of the window of as-of times that both are judged on.
        log_loss_margin: Share of the champion's log loss by which the challenger's may be higher.
        conversions_margin: Share of the champion's conversions at capacity that may be lost.
        slope_low: The calibration slope's interval must reach above this …
        slope_high: … and below this.
        level_margin: The interval of predicted over observed conversions must reach 1 ± this.
        confidence: Of the one-sided bounds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_days: int = Field(default=91, ge=1, le=3650)
    log_loss_margin: float = Field(default=0.02, ge=0, le=1)
    conversions_margin: float = Field(default=0.15, ge=0, le=1)
    slope_low: float = Field(default=0.8, gt=0)
    slope_high: float = Field(default=1.25, gt=0)
    level_margin: float = Field(default=0.15, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
