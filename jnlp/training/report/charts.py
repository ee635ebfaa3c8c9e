"""Charts as inline SVG; colours and fonts are those of the page that holds them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jnlp.training.report.value import Bin, Point

SIZE = 220
_LEFT, _TOP, _RIGHT, _BOTTOM = 34, 8, 8, 30


def calibration_chart(bins: Sequence[Bin], /) -> str:
    """Return the chart of confidence against accuracy; the area of a point is its share of the rows."""
    rows = max(1, sum(each.rows for each in bins))
    points = "".join(
        f'<circle class="dot" cx="{_x(b.confidence):.1f}" cy="{_y(b.accuracy):.1f}"'
        f' r="{3 + 14 * (b.rows / rows) ** 0.5:.1f}">'
        f"<title>confidence {b.confidence:.2f}, right {b.accuracy:.2f}, {b.rows:,} rows</title></circle>"
        for b in bins
    )
    line = f'<path class="even" d="M{_x(0):.1f} {_y(0):.1f}L{_x(1):.1f} {_y(1):.1f}"/>'
    return _chart("Confidence against accuracy", line + points, "confidence", "accuracy")


def curve_chart(label: str, points: Sequence[Point], /) -> str:
    """Return a label's precision–recall curve."""
    path = " ".join(f"{'L' if n else 'M'}{_x(p.recall):.1f} {_y(p.precision):.1f}" for n, p in enumerate(points))
    return _chart(f"Precision and recall of {label}", f'<path class="line" d="{path}"/>', "recall", "precision")


def number_chart(numbers: Sequence[tuple[float, float]], /) -> str:
    """Return the chart of numbers against the model's guesses."""
    values = [value for pair in numbers for value in pair]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    points = "".join(
        f'<circle class="dot" cx="{_x((truth - low) / span):.1f}" cy="{_y((guess - low) / span):.1f}" r="2.5">'
        f"<title>{truth:g}, guessed {guess:.3g}</title></circle>"
        for truth, guess in numbers
    )
    line = f'<path class="even" d="M{_x(0):.1f} {_y(0):.1f}L{_x(1):.1f} {_y(1):.1f}"/>'
    return _chart("Numbers against guesses", line + points, "label", "guess", ends=(f"{low:g}", f"{high:g}"))


def scatter_chart(
    title: str, points: Sequence[tuple[str, float, float]], /, *, across: str, up: str, digits: int = 2
) -> str:
    """Return the chart of named points; the horizontal axis is logarithmic.

    Args:
        title: What the chart shows.
        points: Name, a positive number, and a number.
        across: What the horizontal axis is.
        up: What the vertical axis is.
        digits: Decimal places of the vertical axis.
    """
    from math import log

    wide, high = [log(x) for _, x, _ in points], [y for *_, y in points]
    span, rise = (max(wide) - min(wide)) or 1.0, (max(high) - min(high)) or 1.0
    made = "".join(
        f'<circle class="dot" cx="{_x((log(x) - min(wide)) / span):.1f}" cy="{_y((y - min(high)) / rise):.1f}" r="4">'
        f"<title>{escape(name)}: {x:,.0f} {escape(across)}, {y:.{digits}f}</title></circle>"
        for name, x, y in points
    )
    named = [f"{x:,.0f}" for x in (min(x for _, x, _ in points), max(x for _, x, _ in points))]
    rising = [f"{y:.{digits}f}" for y in (min(high), max(high))]
    return _chart(title, made, across, up, ends=named, rises=rising)


def _x(share: float) -> float:
    return _LEFT + share * (SIZE - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return SIZE - _BOTTOM - share * (SIZE - _TOP - _BOTTOM)


def _chart(
    title: str,
    inside: str,
    across: str,
    up: str,
    ends: Iterable[str] = ("0", "1"),
    rises: Iterable[str] | None = None,
) -> str:
    (left_end, right_end), (low, high) = ends, rises or ends
    right, bottom, top = _x(1), _y(0), _y(1)
    return (
        f'<svg viewBox="0 0 {SIZE} {SIZE}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f'<path class="axis" d="M{_LEFT} {top:.1f}V{bottom:.1f}H{right:.1f}"/>'
        f'<text x="{_LEFT}" y="{bottom + 12:.1f}">{escape(left_end)}</text>'
        f'<text x="{right:.1f}" y="{bottom + 12:.1f}" text-anchor="end">{escape(right_end)}</text>'
        f'<text x="{_LEFT - 4}" y="{bottom:.1f}" text-anchor="end">{escape(low)}</text>'
        f'<text x="{_LEFT - 4}" y="{top + 8:.1f}" text-anchor="end">{escape(high)}</text>'
        f'<text x="{(_LEFT + right) / 2:.1f}" y="{SIZE - 4}" text-anchor="middle">{across}</text>'
        f'<text transform="translate(10 {(top + bottom) / 2:.1f}) rotate(-90)" text-anchor="middle">{up}</text>'
        f"{inside}</svg>"
    )
