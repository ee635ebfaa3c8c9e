"""Front matter of a Markdown file: YAML between `---`, TOML between `+++`."""

from __future__ import annotations

from jnlp.patterns import deferred

_LARGEST = 1 << 16  # characters
_MOST_NESTED = 200  # brackets
_LINE = deferred(r"[^\r\n]*+(?:\r\n|[\r\n]|\Z)")
_FENCES = {"---": ("---", "..."), "+++": ("+++",)}


def front_matter(text: str, /) -> tuple[str, int]:
    r"""Return the front matter of a Markdown file (YAML or TOML, its fences included), and where the rest begins.

    The text between the fences must be a YAML or TOML mapping that begins on the next line. Otherwise the first line is
    a thematic break, and everything is text.

    Example:
        >>> front_matter("---\ntitle: 議事録\n---\n本文")
        ('---\ntitle: 議事録\n---\n', 19)
        >>> front_matter("---\n\n本文\n\n---\n")
        ('', 0)
    """
    start = 1 if text.startswith("\ufeff") else 0
    first = _line(text, start)
    fence = first.rstrip(" \t\r\n")
    if fence not in _FENCES or not first.endswith(("\n", "\r")):
        return "", 0
    begin = place = start + len(first)
    while place < len(text) and place - begin < _LARGEST:
        line = _line(text, place)
        if line.rstrip(" \t\r\n") in _FENCES[fence]:
            inside = text[begin:place]
            end = place + len(line)
            return (text[:end], end) if (_is_yaml if fence == "---" else _is_toml)(inside) else ("", 0)
        place += len(line)
    return "", 0


def _line(text: str, start: int) -> str:
    line = _LINE.match(text, start)
    return line[0] if line else ""


def _is_yaml(inside: str) -> bool:
    """Return True if the text is one YAML mapping. Only parser events are read: no objects, no aliases."""
    if inside.count("[") + inside.count("{") > _MOST_NESTED or not _line(inside, 0).strip():
        return False
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        events = [type(event).__name__ for event in yaml.parse(inside, Loader=loader)]
    except (yaml.YAMLError, ValueError):
        return False
    return events[2:3] == ["MappingStartEvent"] and events.count("DocumentStartEvent") == 1


def _is_toml(inside: str) -> bool:
    import tomllib

    if inside.count("[") + inside.count("{") > _MOST_NESTED:
        return False
    try:
        return bool(tomllib.loads(inside.replace("\r\n", "\n")))
    except (ValueError, RecursionError):
        return False
