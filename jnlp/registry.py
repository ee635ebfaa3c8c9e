"""The registry of names: filled by plugins, read by the engine and the command line."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jnlp import options
from jnlp.errors import BrokenPluginError, JnlpError, UsageError
from jnlp.plugin_traceback import own_line, own_traceback

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jnlp.types import Target


class Kind(StrEnum):
    """The kind of a registration; its hook is `register_<value>`."""

    TASK = "tasks"
    COMMAND = "commands"
    MODEL = "models"
    READER = "readers"
    WRITER = "writers"
    NORMALIZER = "normalizers"
    CHUNKER = "chunkers"
    STORE = "stores"
    TRAINER = "trainers"
    EXECUTOR = "executors"
    EVALUATION = "evaluations"

    @property
    def noun(self) -> str:
        """The noun for one item of this kind."""
        return self.value.removesuffix("s")

    @property
    def namespace(self) -> str:
        """The namespace; tasks and commands share one, because both are subcommands of `jnlp`."""
        return "commands" if self is Kind.TASK else self.value


@dataclass(frozen=True, slots=True)
class Registration:
    """One name, who registered it, and where its target is."""

    kind: Kind
    name: str
    target: Target
    plugin: str
    summary: str = ""
    extensions: tuple[str, ...] = ()

    def load(self) -> object:
        """Import or make the target.

        Raises:
            BrokenPluginError: The target cannot be imported or does not exist; the message names the plugin.
            JnlpError: Its options dataclass is invalid.
        """
        if isinstance(self.target, str):
            loaded = import_target(self.target, f"{self.kind.noun} '{self.name}' of plugin '{self.plugin}'")
        else:
            loaded = self.target()
        self._check_options(loaded)
        return loaded

    def check(self) -> None:
        """Check the target if its module is already imported; import nothing.

        Raises:
            JnlpError: Its options dataclass is invalid.
        """
        if isinstance(self.target, str):
            module, _, attribute = self.target.partition(":")
            self._check_options(getattr(sys.modules.get(module), attribute, None))

    def _check_options(self, loaded: object) -> None:
        owner = getattr(loaded, "options", None) if self.kind in (Kind.TASK, Kind.TRAINER) else None
        if not isinstance(owner, type):
            return
        try:
            options.fields(owner)
        except (TypeError, NameError) as error:
            text = str(error) if owner.__name__ in str(error) else f"{owner.__name__}: {error}"
            raise JnlpError(f"{self.kind.noun} '{self.name}' of plugin '{self.plugin}': {text}") from error


def import_target(target: str, what: str = "") -> Any:
    """Return the attribute that `"package.module:attribute"` names.

    Args:
        target: Module and attribute.
        what: The owner of the target, for the message.

    Raises:
        BrokenPluginError: The module cannot be imported, or lacks the attribute.
    """
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except JnlpError:
        raise
    except Exception as error:
        if error.__traceback__ is not None:
            error.__traceback__ = error.__traceback__.tb_next  # this frame, which is jnlp's
        raise BrokenPluginError(
            f"{what or repr(target)} cannot be loaded: {own_line(error, module)}",
            hint="jnlp plugins" if what else None,
            trace="" if isinstance(error, ImportError) else own_traceback(error, module),  # a package to install
        ) from error


class Registry:
    """All registrations, by kind and name; targets are loaded on first use."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Registration] = {}
        self._loaded: dict[tuple[str, str], object] = {}

    def add(self, registrations: Iterable[Registration], /) -> None:
        """Add a plugin's registrations, all or none.

        Raises:
            JnlpError: A name is taken; the message names both owners.
        """
        new: dict[tuple[str, str], Registration] = {}
        endings = {kind: self.by_extension(kind) for kind in Kind}
        for entry in registrations:
            key = (entry.kind.namespace, entry.name)
            if (taken := self._entries.get(key) or new.get(key)) is not None:
                raise _clash(f"{entry.kind.noun} '{entry.name}'", entry, taken)
            for extension in entry.extensions:
                if (taken := endings[entry.kind].setdefault(extension, entry)) is not entry:
                    raise _clash(f"{entry.kind.noun} of '{extension}'", entry, taken)
            new[key] = entry
        self._entries.update(new)

    def entries(self, kind: Kind, /) -> Iterator[Registration]:
        """Yield the registrations of a kind, in the order of registration."""
        return (entry for entry in self._entries.values() if entry.kind is kind)

    def find(self, kind: Kind, name: str, /) -> Registration | None:
        """Return the registration of a name, or None."""
        entry = self._entries.get((kind.namespace, name))
        return entry if entry is not None and entry.kind is kind else None

    def get(self, kind: Kind, name: str, /) -> Any:
        """Return the target of a name, loading it on first use.

        Raises:
            UsageError: There is no such name; the message lists all names.
        """
        entry = self.find(kind, name)
        if entry is None:
            known = ", ".join(sorted(e.name for e in self.entries(kind))) or "none"
            raise UsageError(f"no {kind.noun} is called '{name}'", hint=f"there are: {known}")
        key = (kind.namespace, name)
        if key not in self._loaded:
            self._loaded[key] = entry.load()
        return self._loaded[key]

    def by_extension(self, kind: Kind, /) -> dict[str, Registration]:
        """Return the registrations of readers or writers by file extension."""
        return {extension: entry for entry in self.entries(kind) for extension in entry.extensions}


def _clash(what: str, entry: Registration, taken: Registration) -> JnlpError:
    prefer = f"set JNLP_DISABLED_PLUGINS={taken.plugin} to prefer '{entry.plugin}'"
    return JnlpError(
        f"{what} of plugin '{entry.plugin}' is already taken by plugin '{taken.plugin}'",
        hint="choose another name" if taken.plugin in ("core", entry.plugin) else prefer,
    )
