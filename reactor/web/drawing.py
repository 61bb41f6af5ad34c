"""Drawings for a report: lines, bars and intervals as inline SVG, and text and numbers that are safe in HTML.

Pure: values in, text out. Nothing in a drawing asks the network for anything.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

from journal.shown import shown

WIDTH: Final = 640
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 16, 36  # room around a drawing, for its axes
Points = Sequence[tuple[float, float]]


def text(value: Any) -> str:
    """Anybody's text as HTML: what speaks to a browser or a terminal is spelled out."""
    return escape(shown(str(value)))


def number(value: float | None) -> str:
    """A number for people, with all its digits in the element's value; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "&ndash;"
    short = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    return f'<data value="{value!r}">{short.replace("-", "&minus;")}</data>'


def instant(ms: int | None) -> str:
    """An event time, UTC, to the minute."""
    return "&ndash;" if ms is None else f"{datetime.fromtimestamp(ms / 1e3, UTC):%Y-%m-%d %H:%M}"


def lines(series: Sequence[tuple[str, Points]], across: str, up: str, height: int = 260) -> str:
    """Curves in one picture, each with its name. across, up: what the axes are."""
    points = [point for _, each in series for point in each]
    if not points:
        return ""
    (x0, x1), (y0, y1) = (_span([point[at] for point in points]) for at in (0, 1))
    right, low = WIDTH - _RIGHT, height - _BOTTOM

    def at(x: float, y: float) -> str:
        return f"{_LEFT + (x - x0) / (x1 - x0) * (right - _LEFT):.1f},{low - (y - y0) / (y1 - y0) * (low - _TOP):.1f}"

    parts = [*_grid((x0, x1), (y0, y1), height), _label(right, height - 4, across, "end"), _label(_LEFT, 8, up)]
    for n, (name, each) in enumerate(series):
        parts.append(f'<polyline class="c{n}" points="{" ".join(at(x, y) for x, y in each)}"/>')
        if len(each) <= 30:
            parts += (
                f'<circle class="d{n}" r="2.4" cx="{c[0]}" cy="{c[1]}"/>' for c in (at(*p).split(",") for p in each)
            )
        parts.append(f'<text class="k{n}" x="{_LEFT + 10 + 150 * n}" y="{_TOP + 14}">{text(name)}</text>')
    return _svg(f"{up} over {across}: {', '.join(name for name, _ in series)}", height, parts)


def bars(names: Sequence[str], series: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    """Bars from zero on, to both sides where any is negative: for each name one of each series."""
    values = [value for _, each in series for value in each if value is not None]
    most = max((abs(value) for value in values), default=0.0) or 1.0
    row, left, room = 10 * len(series) + 12, 160, 70  # beside a bar stands its number
    height = row * len(names) + 26
    zero = (WIDTH + left) / 2 if min(values, default=0.0) < 0.0 else left
    reach = WIDTH - zero - room
    parts = [f'<line class="axis" x1="{zero}" x2="{zero}" y1="20" y2="{height}"/>']
    parts += [
        f'<text class="k{n}" x="{left + 210 * n}" y="12">{text(name)}</text>' for n, (name, _) in enumerate(series)
    ]
    for line, name in enumerate(names):
        top = 26 + line * row
        parts.append(_label(left - 8, top + row / 2, name, "end"))
        for n, (_, each) in enumerate(series):
            if (value := each[line]) is None:
                continue
            wide = abs(value) / most * reach
            x = zero if value >= 0 else zero - wide
            parts.append(f'<rect class="f{n}" x="{x:.1f}" y="{top + 10 * n}" width="{wide:.1f}" height="8"/>')
            side, beside = ("start", zero + wide + 4) if value >= 0 else ("end", zero - wide - 4)
            parts.append(_label(beside, top + 10 * n + 8, f"{value:.4g}", side))
    return _svg(f"{', '.join(name for name, _ in series)} of {', '.join(names)}", height, parts)


def interval(low: float, high: float, figure: float, margin: float) -> str:
    """An interval beside the margin that it must stay within; both from 0 on."""
    most = max(high, margin) * 1.1 or 1.0
    x = [4 + value / most * 152 for value in (low, high, figure, margin)]
    parts = [
        f'<rect class="ok" x="4" y="3" width="{x[3] - 4:.1f}" height="14"/>',
        f'<line class="c0" x1="{x[0]:.1f}" x2="{x[1]:.1f}" y1="10" y2="10"/>',
        f'<circle class="d0" r="3" cx="{x[2]:.1f}" cy="10"/>',
        f'<line class="bar" x1="{x[3]:.1f}" x2="{x[3]:.1f}" y1="1" y2="19"/>',
    ]  # fmt: skip
    said = f"from {low:.4g} to {high:.4g}, margin {margin:.4g}"
    return f'<svg class="small" viewBox="0 0 160 20" role="img" aria-label="{said}">{"".join(parts)}</svg>'


def _svg(said: str, height: float, parts: Sequence[str]) -> str:
    inside = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{text(said)}">{inside}</svg>'


def _label(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text class="t" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>'


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        return low - 0.5, high + 0.5
    return low, high


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers between two."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(times for times in (1, 2, 5, 10) if (high - low) / (step * times) <= 8)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _grid(across: tuple[float, float], up: tuple[float, float], height: int) -> Iterator[str]:
    right, low = WIDTH - _RIGHT, height - _BOTTOM
    for value in _ticks(*up):
        y = low - (value - up[0]) / (up[1] - up[0]) * (low - _TOP)
        yield f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _label(_LEFT - 6, y + 4, f"{value:.6g}", "end")
    for value in _ticks(*across):
        yield _label(
            _LEFT + (value - across[0]) / (across[1] - across[0]) * (right - _LEFT), low + 16, f"{value:.6g}", "middle"
        )
