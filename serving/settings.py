"""What an operator sets: by environment variable `INTENTCAST_<NAME>`, or by the command line."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_MIB = 1024 * 1024


class Settings(BaseSettings):
    """The server's settings; every one has a default that is safe on a laptop."""

    model_config = SettingsConfigDict(env_prefix="INTENTCAST_", extra="forbid", frozen=True)

    bundle: Path | None = Field(
        default=None, description="Bundle folder; a link is resolved at each load"
    )
    policy: Path | None = Field(
        default=None, description="Policy file of `calibrate`, instead of the bundle's tiers"
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(
        default=8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one"
    )
    max_body_bytes: int = Field(default=_MIB, ge=1, description="Largest body of one prediction")
    max_batch_bytes: int = Field(default=16 * _MIB, ge=1, description="Largest body of a batch")
    max_items: int = Field(default=1000, ge=1, description="Most items of a batch")
    max_events: int = Field(default=10_000, ge=0, description="Most events of one lead")
    max_outcomes: int = Field(default=1000, ge=0, description="Most outcomes of one lead")
    max_colleagues: int = Field(default=1000, ge=0, description="Most colleagues of one lead")
    body_seconds: float = Field(default=10.0, gt=0, description="Time for a body to arrive")
    drain_seconds: float = Field(
        default=1.0, ge=0, description="Time between 'not ready' and no new connections"
    )
    shutdown_seconds: int = Field(
        default=30, ge=1, description="Time for accepted requests to finish"
    )
    admin_key: SecretStr | None = Field(default=None, description="Key of reload; without it, off")

    @field_validator("admin_key")
    @classmethod
    def _blank_is_absent(cls, key: SecretStr | None) -> SecretStr | None:
        # An empty variable must switch reload off, not make the empty key the right one.
        return key if key and key.get_secret_value().strip() else None
