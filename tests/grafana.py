"""What Grafana would do with a dashboard before it asks: variables and macros become text.

Macros of the ClickHouse plugin as its documentation gives them, for a query that spans a time range in which a point is
an interval; `$__rate_interval` of Prometheus is four scrapes. What is not known here stays, and a test fails on it.
"""

import json
import re
from dataclasses import dataclass

from tests.integration.soaking import ROOT

FOLDER = ROOT / "deploy/grafana/dashboards"


@dataclass(frozen=True)
class Panel:
    """One panel of a committed dashboard."""

    board: str
    title: str
    kind: str
    targets: tuple[dict, ...]

    def __str__(self):
        return f"{self.board.removeprefix('violet-')}: {self.title}"


def boards():
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def panels():
    return [
        Panel(name, panel["title"], panel["type"], tuple(panel["targets"]))
        for name, board in boards().items()
        for panel in board["panels"]
    ]


@dataclass(frozen=True)
class Grafana:
    """Values of the variables, and the time range in seconds of the epoch."""

    values: dict[str, str | list[str]]
    from_s: int
    to_s: int
    interval_s: int
    scrape_s: int = 1

    def sql(self, text):
        at = f"toDateTime({self.from_s})", f"toDateTime({self.to_s})"
        text = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= {at[0]} AND \1 <= {at[1]}", text)
        every = f"INTERVAL {self.interval_s} second"
        text = re.sub(r"\$__timeInterval\((\w+)\)", rf"toStartOfInterval(toDateTime(\1), {every})", text)
        return self._variables(text)

    def promql(self, text):
        return self._variables(text.replace("$__rate_interval", f"{4 * self.scrape_s}s"))

    def _variables(self, text):
        for name, value in self.values.items():
            if isinstance(value, list):
                text = text.replace(f"${{{name}:singlequote}}", ",".join(f"'{each}'" for each in value))
            else:
                text = text.replace(f"${{{name}}}", value)
                text = re.sub(rf"\${name}\b", value, text)
        assert "$" not in text, f"what is not expanded: {text}"
        return text
