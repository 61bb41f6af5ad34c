"""Display: what a notebook shows of a run, an explanation, a comparison and a column, as HTML with inline SVG.

Pure: values in, text out. The HTML asks nobody for anything.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from reactor.web.drawing import bars, lines, number, text

_STYLE: Final = (
    "<style>.violet{font:14px/1.5 system-ui,sans-serif;overflow-x:auto}"
    ".violet table{border-collapse:collapse;font:inherit}"
    ".violet th,.violet td{text-align:left;padding:2px 10px 2px 0;white-space:nowrap}"
    ".violet svg{width:100%;max-width:760px;height:auto}"
    ".violet svg text{font:11px system-ui,sans-serif;fill:#77718a}.violet polyline{fill:none;stroke-width:2}"
    ".violet .c0{stroke:#7f5af0}.violet .d0,.violet .f0{fill:#7f5af0}.violet .axis{stroke:#b9b4c6;stroke-width:.5}"
    ".violet .PASS{color:#12803f}.violet .FAIL,.violet .INVALID_COMPARISON{color:#c62f27}.violet .HOLD{color:#b26a00}"
    "</style>"
)
_POINTS: Final = 2_000  # of a chart at most: more do not fit its width
_COUNTS: Final = ("records", "decisions", "evaluations", "planes", "rejects", "lost", "doubled", "corrupt", "orders")


class Shown(Mapping[str, Any]):
    """An answer of several parts by their names, that a notebook shows."""

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self._parts = dict(parts)

    def __getitem__(self, name: str) -> Any:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._parts!r})"


class Summary(Shown):
    """A run: its verdict and figures, as `violet gate --json` gives them."""

    def _repr_html_(self) -> str:
        counts = [(name, number(self[name])) for name in _COUNTS]
        broken = [
            (f"segment {segment['segment']}", f"{text(clause['verdict'])}: {text(clause['name'])}")
            for segment in self["segments"]
            for clause in segment["clauses"]
            if clause["verdict"] != "PASS"
        ]
        head = _verdict(self["verdict"], f"run {self['run_id']} ({self['name']}), {self['state']}")
        differs = (
            [("differs from " + self["replay_of"], text(self["differing_columns"]))] if "identical" in self else []
        )
        rest = [("rests on", text(self["verdict_basis"])), ("content hash", text(self["content_hash"]))]
        return _box(head, _pairs([*rest, *counts, *differs, *broken]))


class Explanation(Shown):
    """One outcome: of a scan every factor and what it came to, as `violet explain --json` gives it."""

    def _repr_html_(self) -> str:
        if "steps" not in self:
            return _box(f"<b>{text(self['outcome'])}</b>", _pairs([(n, text(v)) for n, v in self.items()]))
        steps = [(f"{'' if at == 0 else 'x '}{s['part']} {s['value']:.6g}", s["product"]) for at, s in self._steps()]
        named = [*steps, ("raw", self["raw"]), ("cap", self["cap"]), ("leverage", self["leverage"])]
        head = f"<b>{text(self['outcome'])}</b>, scan {self['scan_id']} of {text(self['stream'])}"
        facts = [
            ("asset", text(self["asset"] or "none")), ("vel_div", number(self["vel_div"])),
            ("bound", text(self["bound"])), ("notional, USD", number(self["notional_usd"])),
            ("reasons", text(", ".join(self["reasons"]) or "none")), ("run", text(self["run_id"])),
        ]  # fmt: skip
        drawn = bars([name for name, _ in named], [("product so far", [value for _, value in named])])
        return _box(head, _pairs(facts), drawn)

    def _steps(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        return enumerate(self["steps"])


class Compared(Shown):
    """A run beside BLUE: verdict, measures and figures, as `violet compare --json` gives them."""

    def _repr_html_(self) -> str:
        head = _verdict(self["verdict"], f"run {self['run_id']} beside {self['label']} trades")
        broken = [("broken", text(each["name"])) for each in self["clauses"] if not each["holds"]]
        measured = [
            (each["name"], f"{text(each['verdict'])}: {number(each['figure'])} of {number(each['n'])}")
            for each in self.get("measures", ())
        ]
        return _box(head, _pairs([*broken, *measured, ("trust", text(self["trust"]))]))


class Chart:
    """A picture. svg: its text."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def _repr_html_(self) -> str:
        return _box(self.svg)


def chart(xs: Sequence[Any], ys: Sequence[Any], x: str, y: str) -> Chart:
    """A column over another. Of more than 2,000 points so many stand for all, at even distances, first and last too.

    xs: numbers, or times, of which the axis has the hours since the first.
    """
    points = [(a, b) for a, b in zip(xs, ys, strict=True) if a is not None and b is not None and math.isfinite(b)]
    if len(points) > _POINTS:
        points = [points[round(at * (len(points) - 1) / (_POINTS - 1))] for at in range(_POINTS)]
    across = x
    if points and isinstance(points[0][0], datetime):
        first = points[0][0]
        across = f"hours since {first:%Y-%m-%d %H:%M:%S} UTC"
        points = [((at - first).total_seconds() / 3_600, value) for at, value in points]
    return Chart(lines([(y, [(float(at), float(value)) for at, value in points])], across, y))


def table(names: Sequence[str], rows: Sequence[Mapping[str, Any]], *, is_all: bool) -> str:
    """Rows as a table. is_all: there are no more than these."""
    head = "".join(f"<th>{text(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_cell(row[name])}</td>" for name in names) + "</tr>" for row in rows)
    words = f"{len(rows)} row{'s' * (len(rows) != 1)}" if is_all else f"the first {len(rows)} rows; there are more"
    return _box(f"<table><tr>{head}</tr>{body}</table><p>{words}</p>")


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else "" if value is None else text(value)


def _verdict(verdict: str, words: str) -> str:
    return f'<b class="{text(verdict)}">{text(verdict)}</b> {text(words)}'


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{text(name)}</th><td>{value}</td></tr>" for name, value in pairs) + "</table>"


def _box(*parts: str) -> str:
    return f'{_STYLE}<div class="violet">{"".join(parts)}</div>'
