"""Finds and loads plugins, and isolates broken ones."""

from __future__ import annotations

import importlib
import os
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pluggy

from jnlp import defaults, hookspecs
from jnlp.entry_points import entry_points
from jnlp.errors import JnlpError
from jnlp.plugin_traceback import own_line, own_traceback
from jnlp.registry import Kind, Registration, Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jnlp.types import Target

SLOW_IMPORT = 0.05
"""`jnlp plugins` marks a plugin whose import takes more seconds than this."""

GROUP = "jnlp"
"""The entry-point group of plugins."""


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One plugin: its registrations, or why it is disabled.

    Args:
        name: Its entry point's name.
        module: The module the entry point names.
        distribution: The installed package that contains it.
        version: That package's version.
        registrations: What it registered; empty if it is disabled.
        reason: Why it is disabled, or None.
        note: A note for its author (a slow or heavy import), or None.
        trace: The traceback in its own code, if that raised.
    """

    name: str
    module: str
    distribution: str = ""
    version: str = ""
    registrations: tuple[Registration, ...] = ()
    reason: str | None = None
    note: str | None = None
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin before it is loaded: its name, its module's name, and how to get the module."""

    name: str
    module: str
    load: Callable[[], object] = field(compare=False)
    distribution: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Plugins:
    """What `load_plugins` returns: the registry, and the list for `jnlp plugins`."""

    registry: Registry
    infos: tuple[PluginInfo, ...]


def disabled() -> frozenset[str]:
    """Return the names in `JNLP_DISABLED_PLUGINS`, separated by commas."""
    return frozenset(filter(None, (part.strip() for part in os.environ.get("JNLP_DISABLED_PLUGINS", "").split(","))))


def installed() -> list[Candidate]:
    """Return the plugins that installed packages declare: jnlp's own first, then by name."""
    found = [
        Candidate(point.name, point.module, point.load, point.distribution, point.version)
        for point in entry_points(GROUP)
    ]
    unique = {(c.name, c.module): c for c in found}  # an editable install may be seen twice
    return sorted(unique.values(), key=lambda c: (c.distribution != "jnlp", c.name))


def load_plugins(candidates: Iterable[Candidate] | None = None) -> Plugins:
    """Load the core's own registrations and every plugin that works.

    Args:
        candidates: The plugins to load; None for the installed ones.
    """
    manager = pluggy.PluginManager("jnlp")
    manager.add_hookspecs(hookspecs)
    registry = Registry()
    off = disabled()
    core = Candidate("core", "jnlp.defaults", lambda: defaults, "jnlp")
    infos = [_load(core, manager, registry)]
    for candidate in installed() if candidates is None else candidates:
        if candidate.name in off:
            reason = "turned off by JNLP_DISABLED_PLUGINS"
            infos.append(
                PluginInfo(candidate.name, candidate.module, candidate.distribution, candidate.version, reason=reason)
            )
        else:
            infos.append(_load(candidate, manager, registry))
    return Plugins(registry, tuple(infos))


def _load(candidate: Candidate, manager: pluggy.PluginManager, registry: Registry) -> PluginInfo:
    info = partial(PluginInfo, candidate.name, candidate.module, candidate.distribution, candidate.version)
    had_torch = "torch" in sys.modules
    start = time.perf_counter()
    try:
        module = candidate.load()
    except (Exception, SystemExit) as error:
        name = candidate.module
        return info(reason=f"import failed: {own_line(error, name)}", trace=own_traceback(error, name))
    seconds = time.perf_counter() - start
    note: str | None = None
    if not had_torch and "torch" in sys.modules:
        note = "its import loads torch; import torch where it is used"
    elif seconds > SLOW_IMPORT:
        note = f"its import takes {seconds * 1000:.0f} ms"
    stated = getattr(module, "jnlp_api", hookspecs.API)
    if stated != hookspecs.API:
        return info(reason=f"made for plugin API {stated}; this jnlp has {hookspecs.API}", note=note)
    try:
        registrations = _ask(candidate.name, module, manager)
        for registration in registrations:
            registration.check()
        registry.add(registrations)
    except JnlpError as error:
        return info(reason=str(error), note=note)
    except Exception as error:
        name = candidate.module
        return info(reason=f"its hooks failed: {own_line(error, name)}", note=note, trace=own_traceback(error, name))
    return info(registrations=tuple(registrations), note=note)


def _ask(name: str, module: object, manager: pluggy.PluginManager) -> list[Registration]:
    """Call the hooks of one plugin alone and return what it registered."""
    manager.register(module, name)
    try:
        registrations: list[Registration] = []
        others = [plugin for plugin in manager.get_plugins() if plugin is not module]
        for caller in manager.get_hookcallers(module) or []:
            if not caller.has_spec():
                known = ", ".join(f"register_{kind.value}" for kind in Kind)
                raise JnlpError(f"implements an unknown hook '{caller.name}'", hint=f"there are: {known}")
            kind = Kind(caller.name.removeprefix("register_"))
            hook = manager.subset_hook_caller(caller.name, remove_plugins=others)
            hook(register=partial(_register, registrations, kind, name))
        return registrations
    except Exception:
        manager.unregister(module)
        raise


def _register(
    into: list[Registration],
    kind: Kind,
    plugin: str,
    name: str,
    target: Target,
    /,
    *,
    summary: str = "",
    extensions: tuple[str, ...] = (),
) -> None:
    into.append(Registration(kind, name, target, plugin, summary, extensions))


def import_candidate(name: str, module: str) -> Candidate:
    """Return a candidate for a module that is importable but not installed (for tests and scripts)."""
    return Candidate(name, module, lambda: importlib.import_module(module))
