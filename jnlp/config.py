"""Settings of the engine. Precedence: defaults < config file < `JNLP_*` variables < the caller's arguments.

The config file is `config.toml` in the user's config folder, or the file `JNLP_CONFIG` names:

    model = "130m"
    [tasks.fill-mask]
    top = 10
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jnlp import folders, options
from jnlp.errors import JnlpError, UsageError
from jnlp.types import Settings as Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tomlkit import TOMLDocument

O = TypeVar("O")  # noqa: E741

DEFAULT = "default"
"""The origin of a default value."""


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """Settings, the options of tasks, and where each value came from.

    Args:
        settings: The settings.
        tasks: Options by task name, as the file gives them.
        origins: By settings field: `default`, `config`, the variable's name, or `given`.
        path: The config file, which need not exist.
    """

    settings: Settings = dataclasses.field(default_factory=Settings)
    tasks: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    path: Path = Path("config.toml")


def config_path() -> Path:
    """Return where the config file is, or would be."""
    if override := os.environ.get("JNLP_CONFIG"):
        return Path(override).expanduser()
    return folders.config_folder() / "config.toml"


def load_config() -> Config:
    """Read the config file and the environment.

    Raises:
        JnlpError: The file is not TOML, or cannot be read.
        UsageError: A key is unknown or a value not allowed; the message names the file or the variable.
    """
    path = config_path()
    table = read_table(path)
    tasks = table.pop("tasks", {})
    if not isinstance(tasks, dict) or not all(isinstance(value, dict) for value in tasks.values()):
        raise UsageError(f"{path}: [tasks] must have one table per task", hint="write [tasks.fill-mask], then top = 10")
    values: dict[str, Any] = {}
    origins = dict.fromkeys((field.name for field in options.fields(Settings)), DEFAULT)
    build_from(table, where=str(path))
    for field in options.fields(Settings):
        for name in (field.name, field.key):
            if name in table:
                values[field.name], origins[field.name] = table[name], "config"
        variable = f"JNLP_{field.name.upper()}"
        if (value := os.environ.get(variable)) is not None and value != "":
            values[field.name], origins[field.name] = options.check(field, value, where=variable), variable
    return Config(build_from(values, where=str(path)), tasks, origins, path)


def task_options(config: Config, name: str, cls: type[O], given: Mapping[str, Any], /) -> O:
    """Return the options of a task or command: defaults, then the config file's, then those given.

    Raises:
        UsageError: An unknown option, or a value that is not allowed; the message names the file it comes from.
    """
    table = config.tasks.get(name, {})
    options.build(cls, table, where=f"{config.path}: [tasks.{name}]")
    return options.build(cls, {**table, **given}, where=name)


def build_from(values: Mapping[str, Any], *, where: str) -> Settings:
    """Return settings from a table of values; errors mention `where`."""
    return options.build(Settings, values, where=where)


def read_table(path: Path) -> dict[str, Any]:
    """Return the table of a TOML file, or an empty one if there is no file.

    Raises:
        JnlpError: It is not TOML, or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise _not_toml(path, error) from error
    except OSError as error:
        raise JnlpError(f"{path} cannot be read: {error.strerror}") from error
    if not text.strip():
        return {}
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(path, error) from error


def _not_toml(path: Path, error: ValueError) -> JnlpError:
    return JnlpError(f"{path} is not valid TOML: {error}", hint="correct the file, or move it away")


def set_value(key: str, value: str | None, /) -> Path:
    """Write one setting to the config file, or remove it; order, other keys and comments are kept.

    Args:
        key: A settings key (`model`), or an option of a task, command or trainer (`fill-mask.top`).
        value: The value as text; None removes the key.

    Returns:
        The file.

    Raises:
        UsageError: The key is unknown, or the value not allowed.
        JnlpError: The file is not TOML, or cannot be written.
    """
    from jnlp.io.durable import replacing

    section, _, name = _split(key)
    if not section:
        known = {field.key: field for field in options.fields(Settings)}
        field = known.get(name)
        if field is None:
            raise UsageError(f"no setting is called '{key}'", hint=f"there are: {', '.join(known)}")
        if value is not None:
            options.check(field, value, where="config")
    path = config_path()
    document = _document(path)
    _change(document, section, name, value)
    try:
        target = path.resolve()  # a file of dotfiles that is linked here stays linked
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as file:
            file.write(document.as_string().encode())
    except OSError as error:
        raise JnlpError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
    return path


def unset_value(key: str, /) -> tuple[Path, bool]:
    """Remove one setting from the config file; return the file, and whether it held the setting.

    Raises:
        UsageError: The key is unknown.
        JnlpError: As `set_value`.
    """
    section, _, name = _split(key)
    table: Any = read_table(config_path())
    table = table.get("tasks", {}).get(section, {}) if section else table
    held = any(other.replace("_", "-") == name for other in table)
    return set_value(key, None), held


def _split(key: str) -> tuple[str, str, str]:
    return key.replace("_", "-").rpartition(".")


def _document(path: Path) -> TOMLDocument:
    """Return the config file with its comments and order, or an empty document if there is no file."""
    import tomlkit

    read_table(path)  # one line for what is not TOML
    if path.exists() and not path.is_file():
        raise JnlpError(f"{path} is not a file", hint="JNLP_CONFIG names the config file")
    if not path.exists():
        return tomlkit.document()
    with path.open(encoding="utf-8", newline="") as file:
        return tomlkit.parse(file.read())


def _change(document: TOMLDocument, section: str, name: str, value: str | None) -> None:
    """Set a key of a document, or remove it if `value` is None; the key may be spelled in any TOML form."""
    import tomlkit

    table: Any = document
    if section:
        if value is None and section not in document.get("tasks", {}):
            return
        tasks: Any = document.setdefault("tasks", tomlkit.table(is_super_table=True))
        table = tasks.setdefault(section, tomlkit.table())
    spellings = [other for other in table if other.replace("_", "-") == name]
    for other in spellings if value is None else spellings[1:]:
        del table[other]
    if value is not None:
        table[spellings[0] if spellings else name] = _toml(value)


def _toml(value: str) -> bool | int | float | str:
    """Return text as a TOML value: a boolean, a number if it formats back to the same text, or a string."""
    import re

    if value in ("true", "false"):
        return value == "true"
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})", value, re.ASCII) and value != "-0":
        return int(value)
    if re.fullmatch(r"-?(0|[1-9]\d*)\.(0|\d*[1-9])", value, re.ASCII) and str(float(value)) == value:
        return float(value)
    return value
