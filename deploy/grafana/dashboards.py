"""Grafana's dashboards, made here and committed as JSON beside this file: `make dashboards` writes them again.

Live figures come from Prometheus, everything about outcomes from the journal in ClickHouse; a panel about the whole run is
a saved query of sql/queries. Panels over time follow event time, that of the scans, but for the journal's own.
Source: the plugins' documented query models and macros. See docs/design/watching.md.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from panel import CLICKHOUSE, Panel, answer, bars, figure, lines, live, rows, saved

from journal.query import find
from lanes.registry import LANES
from reactor.evaluate.state import LANE_PLANES

FOLDER: Final = Path(__file__).parent / "dashboards"
UIDS: Final = {"metrics": "violet-prometheus", "journal": "violet-clickhouse"}  # of provisioning/datasources
WIDTH: Final = 24  # Grafana's grid
MINE: Final = 'name="$name"'
SCANS: Final = "run_id = '${run}' AND stream IN (${stream:singlequote}) AND $__timeFilter(ts)"
# Per lane: what its value is made of, its planes, and how wide a bar of its distribution is.
PARTS: Final[dict[str, tuple[str, ...]]] = {
    lane.name: parts
    for lane in LANES
    if (parts := tuple(column for column in lane.shown.values() if column not in (lane.name, "confirm")))
}
BAR: Final = {"base": 0.5}
NARROW_BAR: Final = 0.05


def _query(name: str, label: str, sql: str) -> build.QueryVariable:
    made = build.QueryVariable(name).label(label).datasource(CLICKHOUSE).query(sql)
    return made.refresh(models.VariableRefresh.ON_DASHBOARD_LOAD)


def _integrity() -> list[Panel]:
    """What must be 0 of every run."""
    return [
        figure("Lost", f"violet_lost{{{MINE}}}", "Offsets without an outcome.", bad_from=1),
        figure("Doubled", f"violet_doubled{{{MINE}}}", "Offsets with two outcomes.", bad_from=1),
        figure("Corrupt", f"violet_corrupt{{{MINE}}}", "Batches whose hash differs.", bad_from=1),
    ]


def _board(uid: str, title: str, says: str, panels: Sequence[Panel], *more: Any) -> models.Dashboard:
    board = build.Dashboard(f"VIOLET: {title}").uid(f"violet-{uid}").description(says).tags(["violet"]).timezone("utc")
    board = board.time("now-6h", "now").refresh("30s").editable().tooltip(models.DashboardCursorSync.CROSSHAIR)
    for name, (kind, label) in {
        "metrics": ("prometheus", "Metrics"),
        "journal": (CLICKHOUSE.type_val, "Journal"),
    }.items():
        chosen = models.VariableOption(text=UIDS[name], value=UIDS[name], selected=True)
        board = board.with_variable(build.DatasourceVariable(name).label(label).type(str(kind)).current(chosen))
    board = board.with_variable(_query("name", "Name", "SELECT DISTINCT name FROM runs ORDER BY name"))
    board = board.with_variable(
        _query("run", "Run", "SELECT run_id FROM runs WHERE name = '${name}' ORDER BY started_at DESC, run_id DESC")
    )
    streams = _query("stream", "Stream", "SELECT DISTINCT stream FROM scans WHERE run_id = '${run}' ORDER BY stream")
    everything = models.VariableOption(text="All", value="$__all", selected=True)
    board = board.with_variable(streams.multi(multi=True).include_all(include_all=True).current(everything))
    for variable in more:
        board = board.with_variable(variable)
    links = build.DashboardLink("VIOLET").type(models.DashboardLinkType.DASHBOARDS).tags(["violet"])
    board = board.link(links.include_vars(include_vars=True).keep_time(keep_time=True).as_dropdown(as_dropdown=True))
    for number, panel in enumerate(panels, 1):
        board = board.with_panel(panel.id(number))
    return board.build()


# Long since it is a list of panels, each with its query.
def _overview() -> models.Dashboard:
    runs = rows(
        "Runs",
        "SELECT r.run_id AS run_id, name, toString(state) AS state, profile, fromUnixTimestamp64Milli(first_ms, 'UTC') AS first_scan, "
        "fromUnixTimestamp64Milli(last_ms, 'UTC') AS last_scan, scans, first_ms - 1000 AS from_ms, last_ms + 1000 AS to_ms "
        "FROM runs AS r INNER JOIN (SELECT run_id, min(ts_ms) AS first_ms, max(ts_ms) AS last_ms FROM ("
        "SELECT run_id, ts_ms FROM violet_decisions UNION ALL SELECT run_id, ts_ms FROM violet_evaluations) GROUP BY run_id) AS t "
        "ON r.run_id = t.run_id INNER JOIN (SELECT run_id, sum(decisions + evaluations) AS scans FROM batches GROUP BY run_id) AS b "
        "ON r.run_id = b.run_id ORDER BY started_at DESC",
        "Every run of the journal; a click on one chooses it and the time of its scans.",
        span=WIDTH,
    )
    here = "/d/violet-overview?var-name=${__data.fields.name}&var-run=${__data.fields.run_id}&from=${__data.fields.from_ms}&to=${__data.fields.to_ms}"
    link = models.DynamicConfigValue(id_val="links", value=[{"title": "Look at this run", "url": here}])
    return _board(
        "overview",
        "overview",
        "How the soak does, and what it decides.",
        [
            figure("Mode", f"violet_mode{{{MINE}}} == 1", "What the soak is in.", legend="{{mode}}"),
            figure(
                "Silence",
                f"violet_silence_seconds{{{MINE}}}",
                "Since a scan was last journaled.",
                unit="s",
                bad_from=60,
            ),
            figure("Lag", f"sum(violet_lag_records{{{MINE}}})", "Records that wait in the log."),
            figure(
                "Coverage",
                f"violet_coverage_ratio{{{MINE}}}",
                "Scans with an outcome, of all; since UTC midnight.",
                unit="percentunit",
            ),
            *_integrity(),
            figure("Orders", f"violet_orders_total{{{MINE}}}", "Must be 0 for ever.", bad_from=1),
            live("Scans a second", (f"rate(violet_scans_total{{{MINE}}}[$__rate_interval])", "scans"), unit="reqps"),
            live(
                "Outcomes a second",
                (f"rate(violet_outcomes_total{{{MINE}}}[$__rate_interval])", "{{kind}}"),
                unit="reqps",
            ),
            lines(
                "Leverage of decisions",
                "SELECT $__timeInterval(ts) AS time, quantileExactInclusive(0.5)(leverage) AS median, min(leverage) AS least, "
                f"max(leverage) AS most FROM decisions WHERE {SCANS} GROUP BY time ORDER BY time",
                "Conviction as BLUE would size it.",
            ),
            lines(
                "Decisions by bound",
                f"SELECT $__timeInterval(ts) AS time, toString(bound) AS bound, count() AS n FROM decisions WHERE {SCANS} "
                "GROUP BY time, bound ORDER BY time, bound",
                "Which term fixed the leverage.",
            ),
            lines(
                "Reasons",
                f"SELECT $__timeInterval(ts) AS time, toString(arrayJoin(reasons)) AS reason, count() AS n FROM scans WHERE {SCANS} "
                "GROUP BY time, reason ORDER BY time, reason",
                "Doubts, and why scans did not decide.",
            ),
            lines(
                "What the lanes multiply",
                f"SELECT $__timeInterval(ts) AS time, {', '.join(f'avg({lane.name}) AS {lane.name}_avg' for lane in LANES[1:])} "
                f"FROM scans WHERE {SCANS} GROUP BY time ORDER BY time",
                "Means over all scans.",
            ),
            answer("by_strength", "By strength of signal"),
            answer("clamps", "Bounds"),
            answer("diversity", "Assets"),
            answer("upward_tail", "Upward tail"),
            runs.override_by_name("run_id", [link]),
        ],
    )


def _lane(name: str, formula: str) -> models.Dashboard:
    bar = BAR.get(name, NARROW_BAR)
    planes = LANE_PLANES.get(name, ())
    columns = ", ".join((f"{name} AS value", *PARTS.get(name, ())))
    spent = f'rate(violet_lane_cpu_seconds_total{{{MINE}, lane="{name}"}}[$__rate_interval])'
    panels = [
        figure("Now", f'violet_lane_value{{{MINE}, lane="{name}"}}', "Of the last scan that was journaled."),
        lines(
            "Value",
            f"SELECT $__timeInterval(ts) AS time, avg({name}) AS mean, min({name}) AS least, max({name}) AS most FROM scans "
            f"WHERE {SCANS} GROUP BY time ORDER BY time",
            formula,
            span=WIDTH - 3,
        ),
        bars(
            "Distribution",
            f"SELECT toString(from) AS value_from, n FROM (SELECT round(floor(round({name} / {bar}, 9)) * {bar}, 2) AS from, count() AS n "
            f"FROM scans WHERE {SCANS} GROUP BY from ORDER BY from)",
            f"Scans by value, in steps of {bar}.",
        ),
        live(
            "Quantiles, live",
            *(
                (
                    f'histogram_quantile({q}, rate(violet_lane_value_distribution_bucket{{{MINE}, lane="{name}"}}[$__rate_interval]))',
                    f"p{q * 100:g}",
                )
                for q in (0.05, 0.5, 0.95)
            ),
        ),
        live(
            "CPU time a scan",
            (f"{spent} / ignoring (lane) rate(violet_scans_total{{{MINE}}}[$__rate_interval])", "seconds a scan"),
            unit="s",
        ),
        *_inputs(name, planes),
        rows(
            "Last readings",
            f"SELECT ts, stream, scan_id, {columns}, actuated FROM scans WHERE {SCANS} "
            "ORDER BY ts DESC, log_offset DESC LIMIT 100",
            "What it said at bar N: `violet explain SCAN_ID` has the rest.",
        ),
        rows(
            "Provenance",
            f"SELECT segment, partition, first_offset, JSONExtractRaw(params, '{name}') AS params, "
            f"if(JSONHas(kernels, '{name}'), JSONExtractString(kernels, '{name}'), 'default') AS kernel, params_hash, code_hash "
            "FROM segments WHERE run_id = '${run}' ORDER BY segment, partition",
            "Params and kernel by segment.",
        ),
    ]
    return _board(f"lane-{name}", f"lane {name}", formula, panels)


def _inputs(name: str, planes: tuple[str, ...]) -> Iterator[Panel]:
    """What the lane's value is made of and its planes; of the lanes without one, what stands in the scan."""
    if name in PARTS:
        parts = ", ".join(f"avg({part}) AS {part}_avg" for part in PARTS[name])
        yield lines(
            "What it is made of",
            f"SELECT $__timeInterval(ts) AS time, {parts} FROM scans WHERE {SCANS} GROUP BY time ORDER BY time",
            "Means over all scans.",
        )
    if planes:
        some = "|".join(planes)
        yield live(
            "Age of its planes, live", (f'violet_plane_age_seconds{{{MINE}, plane=~"{some}"}}', "{{plane}}"), unit="s"
        )
        marks = ", ".join(
            f"countIf(has(reasons, 'PLANE_MISSING_{plane.upper()}')) / count() AS {plane}_missing, "
            f"countIf(has(reasons, 'PLANE_STALE_{plane.upper()}')) / count() AS {plane}_stale"
            for plane in planes
        )
        yield lines(
            "Missing or stale planes",
            f"SELECT $__timeInterval(ts) AS time, {marks} FROM scans WHERE {SCANS} GROUP BY time ORDER BY time",
            "Share of scans.",
            unit="percentunit",
        )
        names = ", ".join(f"'{plane}'" for plane in planes)
        yield rows(
            "Its planes",
            f"SELECT ts, stream, name, seq, toString(form) AS form, value FROM planes WHERE {SCANS} AND name IN ({names}) "
            "ORDER BY ts DESC, log_offset DESC LIMIT 100",
            "As upstream published them.",
            span=WIDTH if name in PARTS else 12,
        )
    elif name == "dc":
        yield lines(
            "Direction-confirm status",
            f"SELECT $__timeInterval(ts) AS time, toString(dc_status) AS status, count() AS n FROM scans WHERE {SCANS} "
            "GROUP BY time, status ORDER BY time, status",
            "Scans by status.",
        )
    else:
        yield lines(
            "Signals",
            f"SELECT $__timeInterval(ts) AS time, countIf(NOT has(reasons, 'NO_SIGNAL')) / count() AS signal, "
            f"countIf(strength = 1) / count() AS saturated, avg(actuated) AS decided FROM scans WHERE {SCANS} GROUP BY time ORDER BY time",
            "Share of scans.",
            unit="percentunit",
            span=WIDTH,
        )


# Long since it is a list of panels, each with its query.
def _journal() -> models.Dashboard:
    written = "run_id = '${run}' AND $__timeFilter(written_at)"
    return _board(
        "journal",
        "journal health",
        "Whether everything is written, once, and soon. Panels over batches follow the wall clock.",
        [
            figure(
                "Disk",
                f"violet_disk_used_ratio{{{MINE}}}",
                "DEGRADED from 85 %, HALTED from 92 %.",
                unit="percentunit",
                bad_from=0.85,
            ),
            figure("Journal", f"violet_journal_bytes{{{MINE}}}", "On disk.", unit="bytes"),
            figure(
                "Time coverage",
                f"violet_time_coverage_ratio{{{MINE}}}",
                "Of event time, without gaps; since UTC midnight.",
                unit="percentunit",
            ),
            figure("Rejects", f"sum(violet_rejects_total{{{MINE}}})", "Of this process."),
            figure("Dropped taps", f"sum(violet_taps_dropped_total{{{MINE}}})", "Readings that were not tapped."),
            *_integrity(),
            live(
                "Latency, live",
                *(
                    (
                        f"histogram_quantile({q}, rate(violet_journal_latency_seconds_bucket{{{MINE}}}[$__rate_interval]))",
                        f"p{q * 100:g}",
                    )
                    for q in (0.5, 0.99)
                ),
                unit="s",
            ),
            live(
                "Rejects a second",
                (f"rate(violet_rejects_total{{{MINE}}}[$__rate_interval])", "{{code}}"),
                unit="reqps",
            ),
            lines(
                "Latency of batches",
                "SELECT $__timeInterval(written_at) AS time, quantileExactInclusive(0.5)(latency_ms) AS p50, "
                f"quantileExactInclusive(0.99)(latency_ms) AS p99 FROM batches WHERE {written} GROUP BY time ORDER BY time",
                "From the poll to the completion.",
                unit="ms",
            ),
            lines(
                "Records journaled",
                "SELECT $__timeInterval(written_at) AS time, sum(decisions) AS decision, sum(evaluations) AS evaluation, "
                f"sum(planes) AS plane, sum(rejects) AS reject FROM batches WHERE {written} GROUP BY time ORDER BY time",
                "By kind of outcome.",
            ),
            lines(
                "Wall clock minus event time",
                f"SELECT $__timeInterval(written_at) AS time, max(drift_ms) AS drift FROM batches WHERE {written} AND decisions + evaluations > 0 GROUP BY time ORDER BY time",
                "How far behind the scans' own time.",
                unit="ms",
            ),
            answer("freshness", "Freshness"),
            answer("silence", "Silences"),
            answer("rejected", "Rejects"),
            answer("stale_planes", "Missing or stale planes"),
            answer("plane_ages", "Planes"),
            rows(
                "Incidents",
                "SELECT at, toString(severity) AS severity, toString(code) AS code, detail, count FROM incidents "
                "WHERE run_id = '${run}' ORDER BY at DESC LIMIT 200",
                "What happened to the run.",
            ),
            rows(
                "Segments",
                "SELECT segment, partition, first_offset, cause, profile, params_hash, code_hash, kernels, opened_at FROM segments "
                "WHERE run_id = '${run}' ORDER BY segment, partition",
                "Which code and params decided from where on.",
            ),
        ],
    )


# Long since it is a list of panels, each with its query.
def _blue() -> models.Dashboard:
    mine = "run_id = '${run}' AND label = '${label}'"
    inside = f"{mine} AND is_colocated AND recorded IS NOT NULL"
    label = _query("label", "Trades", "SELECT DISTINCT label FROM blue_imports WHERE state = 'COMPLETE' ORDER BY label")
    edge, tail = (
        f"SELECT * FROM (\n{saved(name)}\n) WHERE label = '${{label}}'" for name in ("blue_edge", "blue_tail")
    )
    return _board(
        "blue",
        "first look at BLUE",
        "BLUE's trades beside a run. It gives no verdict: trust is HOLD.",
        [
            rows(
                "Cleaning",
                "SELECT if(reason = '', 'kept', reason) AS what, count() AS rows FROM blue_cleaning WHERE label = '${label}' "
                "GROUP BY what ORDER BY rows DESC",
                "Rows as they came, and what was dropped.",
                span=8,
            ),
            rows(
                "Co-location",
                "SELECT count() AS trades, countIf(is_colocated) AS within_5_min, within_5_min / trades AS share, "
                "quantileExactInclusiveOrNullIf(0.5)(gap_ms, is_colocated) / 1000 AS gap_median_s, countIf(is_identical) AS identical "
                f"FROM blue_pairs WHERE {mine}",
                "Trades with a decision on their asset within 5 minutes.",
                span=8,
            ),
            rows(
                "Trades without a decision",
                f"SELECT why, count() AS trades FROM blue_unmatched WHERE {mine} GROUP BY why ORDER BY trades DESC",
                "And why.",
                span=8,
            ),
            lines(
                "Recorded and journaled leverage",
                "SELECT $__timeInterval(entry_ts) AS time, avg(recorded) AS recorded_avg, avg(journaled) AS journaled_avg FROM blue_pairs "
                f"WHERE {inside} AND $__timeFilter(entry_ts) GROUP BY time ORDER BY time",
                "Means of co-located trades.",
            ),
            bars(
                "Median curve",
                "SELECT toString(round(vel_div_from, 4)) AS vel_div, recorded_median, journaled_median, base_median FROM blue_curve "
                f"WHERE {mine} ORDER BY vel_div_from DESC",
                "Leverage by step of vel_div.",
            ),
            rows(
                "By vel_div and dc_status",
                f"SELECT * EXCEPT (run_id, label) FROM blue_buckets WHERE {mine} ORDER BY vel_div, dc_status",
                span=WIDTH,
            ),
            rows("Upward tail", tail, find("blue_tail").question),
            rows("Edge by strength", edge, find("blue_edge").question),
            bars(
                "Haircuts recovered",
                "SELECT band, recorded_to_base, journaled_to_base, recorded_to_esof, journaled_to_esof FROM blue_recovery "
                f"WHERE {mine} ORDER BY band",
                "Leverage over base, and over base, dc, acb and ob.",
            ),
            rows(
                "Universe",
                f"SELECT * EXCEPT (run_id, label) FROM blue_universe WHERE {mine} ORDER BY trades DESC, asset",
                "Assets that BLUE traded.",
            ),
        ],
        label,
    )


def boards() -> dict[str, str]:
    """Every dashboard: the name of its file and its JSON."""
    made = [_overview(), *(_lane(lane.name, lane.formula) for lane in LANES), _journal(), _blue()]
    return {
        f"{cast('str', board.uid)}.json": json.dumps(
            board, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False
        )
        + "\n"
        for board in made
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for old in folder.glob("*.json"):
        old.unlink()
    for name, text in boards().items():
        (folder / name).write_text(text, "utf-8")
