"""Which leads will buy: the calibrated probability of conversion within a horizon."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intentcast.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """Import the client when it is asked for: commands start without it."""
    if name == "Client":
        from intentcast.client import Client

        return Client
    raise AttributeError(f"module 'intentcast' has no attribute {name!r}")
