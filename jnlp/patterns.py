"""Regular expressions that are compiled at their first use: a command does not wait for those that it does not need."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


def deferred(source: AnyStr, flags: int = 0, /) -> re.Pattern[AnyStr]:
    """Return a pattern that is compiled when it is first used; a wrong one raises `re.error` then.

    Example:
        >>> digits = deferred("[0-9]+")
        >>> digits.findall("令和7年5月")
        ['7', '5']
    """
    return cast("re.Pattern[AnyStr]", _Deferred(source, flags))


class _Deferred:
    """Has what the compiled pattern has, and keeps it, so that only the first call is slower."""

    def __init__(self, source: str | bytes, flags: int) -> None:
        self._flags, self.pattern = flags, source

    def __repr__(self) -> str:
        return f"deferred({self.pattern!r})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(re.compile(self.pattern, self._flags), name)
        setattr(self, name, value)
        return value
