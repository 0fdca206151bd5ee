"""What every settings model has in common."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen; an unknown key or a number without bounds is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
