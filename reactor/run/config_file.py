"""Config file: reading the TOML of `--config`, and refusing what has no place in it by name."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from journal.refusal import Refusal
from lanes.profile import TABLES

M = TypeVar("M", bound=BaseModel)


def keys(model: type[BaseModel]) -> list[str]:
    """The keys of a table; a field without a description is none: it comes from elsewhere."""
    return [field.alias or name for name, field in model.model_fields.items() if field.description]


def check(tables: Mapping[str, Any], typed: Mapping[str, type[BaseModel]], config: Path | None) -> None:
    """Refuse a key that no table has, and what is no table."""
    for table, model in typed.items():
        if not isinstance(given := tables.get(table, {}), dict):
            raise Refusal(f"{config}: {table} must be a table, was {given!r}; fix: write [{table}]")
        for key in given:
            if key not in keys(model):
                _unknown(f"{table}.{key}", typed, config)
    for table in tables:
        if table not in (*typed, *TABLES):
            _unknown(table, typed, config)


def _unknown(key: str, typed: Mapping[str, type[BaseModel]], config: Path | None) -> NoReturn:
    words = [*(key for model in typed.values() for key in keys(model)), *typed, *TABLES]
    table, _, name = key.rpartition(".") if key.count(".") < 2 else key.partition(".")
    near = difflib.get_close_matches(name.replace(".", "_"), words, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if not hint and table == "kafka":
        hint = "; fix: other settings of librdkafka go to [kafka.librdkafka]"
    raise Refusal(f"{config}: unknown key {key}{hint}")


def read(config: Path | None) -> dict[str, Any]:
    """The tables of a file; none where there is no file. Raises Refusal."""
    if config is None:
        return {}
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except FileNotFoundError:
        raise Refusal(f"--config {config}: no such file; fix: name a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"--config {config}: cannot be read ({error}); fix: name a readable TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"--config {config}: not TOML: {error}; fix: mend that line") from None


def valid(model: type[M], values: Mapping[str, Any], table: str) -> M:
    """A table's settings. Raises Refusal that names the key, the rule and what was given, unless that is secret."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        flag = f" (--{key.replace('_', '-')})" if table == "reactor" else ""
        was = "" if not key or key in ("password", "url") or "librdkafka" in key else f", was {first['input']!r}"
        place = f"{table}.{key}{flag}: " if key else f"{table}."
        raise Refusal(f"{place}{message}{was}") from None
