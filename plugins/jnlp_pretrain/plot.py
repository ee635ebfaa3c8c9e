"""The plot of a training log, as an SVG file."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp.io.durable import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT, _LEFT, _TOP = 760, 360, 56, 24
_ACROSS, _DOWN = _WIDTH - 2 * _LEFT, _HEIGHT - 2 * _TOP - 24
_MOST = 400  # points of a curve; more are averaged
_TICKS = 5


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float

    def at(self, value: float) -> float:
        """Return a value's position between 0 and 1."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * i / _TICKS for i in range(_TICKS + 1)]


def write_plot(log: Path, out: Path) -> None:
    """Plot the losses and the held-out accuracy of a `log.jsonl` against tokens, if there are losses yet."""
    rows = read_log(log)
    curves = {name: [(row["tokens"], row[name]) for row in rows if row.get(name) is not None] for name in _COLOURS}
    if len(curves["loss"]) > 1:
        with replacing(out) as file:
            file.write(_svg(curves).encode())


def read_log(log: Path) -> list[dict[str, Any]]:
    """Return the entries of a `log.jsonl`, if there is one; skip a line that a full disk cut short."""
    rows: list[dict[str, Any]] = []
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        with suppress(ValueError):
            rows.append(json.loads(line))
    return rows


_COLOURS = {"loss": "#9ab", "held_out_loss": "#c33", "accuracy": "#27a"}


def _svg(curves: dict[str, list[tuple[float, float]]]) -> str:
    losses = [value for name in ("loss", "held_out_loss") for _, value in curves[name]]
    tokens = _Axis(0.0, max(x for points in curves.values() for x, _ in points))
    loss = _Axis(0.0, max(losses) * 1.05)
    share = _Axis(0.0, 1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        ' font-size="11">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        *_grid(tokens, loss, share),
        *(
            _curve(name, _thin(points), tokens, share if name == "accuracy" else loss)
            for name, points in curves.items()
        ),
        *_legend(curves),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(tokens: _Axis, loss: _Axis, share: _Axis) -> Iterable[str]:
    for x in tokens.ticks():
        at = _LEFT + _ACROSS * tokens.at(x)
        yield f'<text x="{at:.0f}" y="{_TOP + _DOWN + 16}" text-anchor="middle">{x / 1e6:,.3g} M</text>'
    for value, other in zip(loss.ticks(), share.ticks(), strict=True):
        y = _TOP + _DOWN * (1 - loss.at(value))
        yield f'<path d="M{_LEFT} {y:.1f}h{_ACROSS}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>'
        yield f'<text x="{_LEFT + _ACROSS + 6}" y="{y + 4:.1f}">{other:.0%}</text>'


def _curve(name: str, points: Points, tokens: _Axis, axis: _Axis) -> str:
    places = (f"{_LEFT + _ACROSS * tokens.at(x):.1f},{_TOP + _DOWN * (1 - axis.at(y)):.1f}" for x, y in points)
    return f'<polyline fill="none" stroke="{_COLOURS[name]}" stroke-width="1.5" points="{" ".join(places)}"/>'


def _thin(points: Points) -> Points:
    size = -(-len(points) // _MOST)
    groups = [points[i : i + size] for i in range(0, len(points), size)] if size else []
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def _legend(curves: dict[str, list[tuple[float, float]]]) -> Iterable[str]:
    titles = {"loss": "training loss", "held_out_loss": "held-out loss", "accuracy": "held-out masked accuracy (right)"}
    for place, name in enumerate(name for name, points in curves.items() if points):
        x, y = _LEFT + 170 * place, _HEIGHT - 10
        last = curves[name][-1][1]
        yield f'<text x="{x}" y="{y}" fill="{_COLOURS[name]}">{titles[name]} {last:.3f}</text>'
