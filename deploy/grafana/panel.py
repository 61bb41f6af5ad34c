"""Panels of Grafana: figures and lines from Prometheus, lines, bars and tables from the journal in ClickHouse."""

from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import barchart, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import BigValueTextMode, VizOrientation

from journal.query import find

PROMETHEUS: Final = models.DataSourceRef(type_val="prometheus", uid="${metrics}")
CLICKHOUSE: Final = models.DataSourceRef(type_val="grafana-clickhouse-datasource", uid="${journal}")
SCANS: Final = "run_id = '${run}' AND stream IN (${stream:singlequote}) AND $__timeFilter(ts)"
ALL: Final = f"scans WHERE {SCANS}"
Panel = Any  # the builders share no type


class Sql(Dataquery):
    """A query of the ClickHouse plugin; series: as lines over `time`, else as a table."""

    def __init__(self, sql: str, *, series: bool) -> None:
        self._json = {
            "refId": "A", "datasource": CLICKHOUSE, "editorType": "sql", "rawSql": sql,
            "queryType": "timeseries" if series else "table", "format": 0 if series else 1,
        }  # fmt: skip

    def build(self) -> "Sql":
        return self

    def to_json(self) -> dict[str, Any]:
        return self._json


def saved(name: str) -> str:
    """A saved query, of the run that is chosen."""
    lines = [line for line in find(name).sql.splitlines() if not line.startswith("--")]
    return "\n".join(lines).replace("{run:String}", "'${run}'")


def prom(panel: Panel, *asked: tuple[str, str], now: bool = False) -> Panel:
    """The panel with PromQL in it: (expression, legend)."""
    for ref, (expr, legend) in zip("ABCDEFGH", asked, strict=False):
        query = prometheus.Dataquery().ref_id(ref).expr(expr).legend_format(legend).datasource(PROMETHEUS)
        panel = panel.with_target(query.instant() if now else query.range())
    return panel.datasource(PROMETHEUS)


def mine(metric: str, more: str = "") -> str:
    """A metric of the soak that is chosen. more: labels, each with a comma before it."""
    return f'{metric}{{name="$name"{more}}}'


def rate(metric: str, more: str = "") -> str:
    """How fast a counter of the soak rises, a second."""
    return f"rate({mine(metric, more)}[$__rate_interval])"


def percentiles(metric: str, shares: Sequence[float], more: str = "") -> list[tuple[str, str]]:
    """Quantiles of a histogram, with their legends."""
    return [(f"histogram_quantile({q}, {rate(f'{metric}_bucket', more)})", f"p{q * 100:g}") for q in shares]


def figure(
    title: str, metric: str, says: str, *, ask: str = "{}", more: str = "", unit: str = "short", legend: str = "",
    bad_from: float | None = None,
) -> Panel:  # fmt: skip
    """One figure of the live soak, or, where it has a legend, that word; red from bad_from on. ask: of the metric."""
    expr = ask.format(mine(metric, more))
    panel = prom(stat.Panel().title(title).description(says).unit(unit), (expr, legend), now=True).span(3).height(4)
    steps = [models.Threshold(color="green", value=None)]
    steps += [] if bad_from is None else [models.Threshold(color="red", value=bad_from)]
    scale = build.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
    words = BigValueTextMode.NAME if legend else BigValueTextMode.AUTO
    return panel.thresholds(scale).text_mode(words).no_value("no soak is scraped")


def live(title: str, *asked: tuple[str, str], unit: str = "short", span: int = 12) -> Panel:
    """Lines of the live soak, over the wall clock."""
    return prom(timeseries.Panel().title(title).unit(unit), *asked).span(span).height(8)


def series(
    title: str, what: str, says: str, *, source: str = ALL, at: str = "ts", by: str = "", unit: str = "short",
    span: int = 12,
) -> Panel:  # fmt: skip
    """Lines out of the journal: what is selected of a source, over its time `at`; `by`: one for each value of it."""
    keys = f"time, {by}" if by else "time"
    sql = f"SELECT $__timeInterval({at}) AS time, {what} FROM {source} GROUP BY {keys} ORDER BY {keys}"
    panel = timeseries.Panel().title(title).description(says).unit(unit).datasource(CLICKHOUSE)
    return panel.with_target(Sql(sql, series=True)).span(span).height(8)


def rows(title: str, sql: str, says: str = "", *, span: int = 12) -> Panel:
    """A table out of the journal."""
    panel = table.Panel().title(title).description(says).datasource(CLICKHOUSE)
    return panel.with_target(Sql(sql, series=False)).span(span).height(8)


def answer(name: str, title: str, *, span: int = 12) -> Panel:
    """A saved query as a table over the whole run."""
    return rows(title, saved(name), find(name).question, span=span)


def bars(title: str, sql: str, says: str, *, span: int = 12) -> Panel:
    """Bars out of the journal: the first column names them."""
    panel = barchart.Panel().title(title).description(says).datasource(CLICKHOUSE).orientation(VizOrientation.AUTO)
    return panel.with_target(Sql(sql, series=False)).span(span).height(8)
