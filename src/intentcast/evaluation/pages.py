"""What every page has in common: how it is made from a template, and how it looks."""

from importlib import resources
from typing import TYPE_CHECKING

from intentcast.evaluation.formats import format_day, format_number, format_percent

if TYPE_CHECKING:
    from jinja2 import Environment


def page_environment(package: str) -> "Environment":
    """Return an environment of a package's templates, which escapes every name from the data.

    Its filters are `whole`, `decimals`, `percent` and `day`; a name that a template asks for and
    is not given is an error.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = resources.files(package)
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "whole": format_number,
        "decimals": lambda value, places: format_number(value, places=places),
        "percent": format_percent,
        "day": format_day,
    }
    return environment


def style_sheet() -> str:
    """Return the style sheet of the backtest's report, for pages that look like it."""
    return resources.files("intentcast.evaluation").joinpath("page.css").read_text("utf-8")
