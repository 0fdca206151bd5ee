"""Files that come with the project: in a checkout, or inside the installed package."""

from pathlib import Path

from intentcast.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def shipped(installed: str, *, in_checkout: str) -> Path:
    """Return a shipped file or folder.

    Args:
        installed: Its path inside the package's `builtin` folder.
        in_checkout: Its path inside a checkout.

    Raises:
        ConfigError: If it is in neither place.
    """
    places = (_PACKAGE / "builtin" / installed, _CHECKOUT / in_checkout)
    for place in places:
        if place.exists():
            return place
    raise ConfigError(
        f"no {in_checkout} in this installation",
        expected=f"it at {places[0]} or {places[1]}",
        next_step="install the package again, or run from a complete checkout",
    )
