"""Where the server's settings come from: environment variables, checked at the start."""

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from intentcast.errors import InputError

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
    bundles: Path | None = Field(
        default=None,
        description="Folder of bundles whose champion is served and followed; "
        "`INTENTCAST_BUNDLE` then stands in until there is one",
    )
    model: str | None = Field(
        default=None, description="Name of the model whose champion it is, if there are several"
    )
    watch_seconds: float = Field(
        default=2.0, ge=0, description="Time between looks at `champions.json`; 0 never looks"
    )
    keep: Path | None = Field(
        default=None, description="Folder for a copy of the last good bundle; without it, none"
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(
        default=8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one"
    )
    workers: int = Field(default=1, ge=1, le=64, description="Processes that answer")
    keys: Path | None = Field(
        default=None, description="File of hashed keys; with it, nothing is answered without one"
    )
    without_keys: bool = Field(
        default=False, description="Whether other machines may be served without keys"
    )
    admin_key: SecretStr | None = Field(
        default=None, description="A key for reload, beside those of the file"
    )
    leads_per_second: float | None = Field(
        default=None, gt=0, description="Rate limit of a key that has none of its own, per process"
    )
    max_connections: int = Field(default=500, ge=1, description="Most open connections")
    max_waiting: int = Field(default=64, ge=1, description="Most predictions under way at once")
    max_waiting_bytes: int = Field(
        default=64 * _MIB, ge=1, description="Most bytes of bodies held at once"
    )
    max_body_bytes: int = Field(default=_MIB, ge=1, description="Largest body of one prediction")
    max_batch_bytes: int = Field(default=16 * _MIB, ge=1, description="Largest body of a batch")
    max_items: int = Field(default=1000, ge=1, description="Most items of a batch")
    max_events: int = Field(default=10_000, ge=0, description="Most events of one lead")
    max_outcomes: int = Field(default=1000, ge=0, description="Most outcomes of one lead")
    max_colleagues: int = Field(default=1000, ge=0, description="Most colleagues of one lead")
    head_seconds: float = Field(
        default=10.0, gt=0, description="Time for a request's head to arrive"
    )
    body_seconds: float = Field(default=10.0, gt=0, description="Time for a body to arrive")
    write_seconds: float = Field(default=30.0, gt=0, description="Time to take an answer")
    drain_seconds: float = Field(
        default=1.0, ge=0, description="Time between 'not ready' and no new connections"
    )
    shutdown_seconds: int = Field(
        default=30, ge=1, description="Time for accepted requests to finish"
    )
    log_ids: Literal["hashed", "plain", "none"] = Field(
        default="hashed", description="How a lead's id is logged"
    )
    log_salt: SecretStr | None = Field(
        default=None, description="Key of that hash; without it a new one at each start"
    )
    sample_to: Path | None = Field(
        default=None, description="Folder for a sample of requests and answers; without it, none"
    )
    sample_share: float = Field(default=0.01, gt=0, le=1, description="Share of answers sampled")
    sample_days: float = Field(default=30.0, gt=0, description="Days after which samples go")
    sample_max_bytes: int = Field(
        default=256 * _MIB, ge=1, description="Most bytes of samples; the oldest go first"
    )

    @field_validator("bundle", "policy", "bundles", "keep", "sample_to", "model", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: object) -> object:
        # An empty path would be the working directory.
        return None if value == "" else value

    @field_validator("keys", mode="before")
    @classmethod
    def _keys_are_not_empty(cls, value: object) -> object:
        # Whoever sets it wants keys: to serve without any must be said in so many words.
        if value == "":
            raise ValueError("is empty")
        return value

    @field_validator("admin_key", "log_salt")
    @classmethod
    def _blank_is_absent(cls, key: SecretStr | None) -> SecretStr | None:
        # An empty variable must switch reload off, not make the empty key the right one.
        return key if key and key.get_secret_value().strip() else None


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_open(settings: Settings) -> None:
    """Return if the address may be listened on as the settings are.

    Raises:
        InputError: If other machines could ask without a key and nobody said that they may.
    """
    if settings.keys or settings.without_keys or is_loopback(settings.host):
        return
    raise InputError(
        f"{settings.host}, which other machines may reach, and no keys",
        expected="a file of keys (INTENTCAST_KEYS), or loopback",
        next_step="make a key with `python -m serving.keys NAME`, or set "
        "INTENTCAST_WITHOUT_KEYS=true where something in front asks for one",
    )
