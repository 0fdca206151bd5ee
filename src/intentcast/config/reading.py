"""TOML files into settings models, with errors that name the key."""

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from intentcast.config.dataset import DatasetConfig
from intentcast.errors import ConfigError

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
