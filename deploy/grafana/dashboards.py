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
from panel import CLICKHOUSE, SCANS, Panel, answer, bars, figure, live, mine, percentiles, rate, rows, saved, series

from journal.query import find
from lanes.registry import LANES
from reactor.evaluate.state import LANE_PLANES

FOLDER: Final = Path(__file__).parent / "dashboards"
SOURCES: Final = (  # name, type, label, uid in provisioning/datasources
    ("metrics", "prometheus", "Metrics", "violet-prometheus"),
    ("journal", CLICKHOUSE.type_val, "Journal", "violet-clickhouse"),
)
WIDTH: Final = 24  # Grafana's grid
SHARE: Final = "percentunit"
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


def _chosen(text: str, value: str) -> models.VariableOption:
    return models.VariableOption(text=text, value=value, selected=True)


def _integrity() -> list[Panel]:
    """What must be 0 of every run."""
    return [
        figure("Lost", "violet_lost", "Offsets without an outcome.", bad_from=1),
        figure("Doubled", "violet_doubled", "Offsets with two outcomes.", bad_from=1),
        figure("Corrupt", "violet_corrupt", "Batches whose hash differs.", bad_from=1),
    ]


def _board(uid: str, title: str, says: str, panels: Sequence[Panel], *more: Any) -> models.Dashboard:
    board = build.Dashboard(f"VIOLET: {title}").uid(f"violet-{uid}").description(says).tags(["violet"]).timezone("utc")
    board = board.time("now-6h", "now").refresh("30s").editable().tooltip(models.DashboardCursorSync.CROSSHAIR)
    streams = _query("stream", "Stream", "SELECT DISTINCT stream FROM scans WHERE run_id = '${run}' ORDER BY stream")
    for variable in (
        *(
            build.DatasourceVariable(name).label(label).type(str(kind)).current(_chosen(uid, uid))
            for name, kind, label, uid in SOURCES
        ),
        _query("name", "Name", "SELECT DISTINCT name FROM runs ORDER BY name"),
        _query(
            "run",
            "Run",
            "SELECT run_id FROM runs WHERE name = '${name}' ORDER BY begun DESC, started_at DESC, run_id DESC",
        ),
        streams.multi(multi=True).include_all(include_all=True).current(_chosen("All", "$__all")),
        *more,
    ):
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
        "ON r.run_id = b.run_id ORDER BY begun DESC, started_at DESC",
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
            figure("Mode", "violet_mode", "What the soak is in.", ask="{} == 1", legend="{{mode}}"),
            figure("Silence", "violet_silence_seconds", "Since a scan was last journaled.", unit="s", bad_from=60),
            figure("Lag", "violet_lag_records", "Records that wait in the log.", ask="sum({})"),
            figure(
                "Coverage", "violet_coverage_ratio", "Scans with an outcome, of all; since UTC midnight.", unit=SHARE
            ),
            *_integrity(),
            figure("Orders", "violet_orders_total", "Must be 0 for ever.", bad_from=1),
            live("Scans a second", (rate("violet_scans_total"), "scans"), unit="reqps"),
            live("Outcomes a second", (rate("violet_outcomes_total"), "{{kind}}"), unit="reqps"),
            series(
                "Leverage of decisions",
                "quantileExactInclusive(0.5)(leverage) AS median, min(leverage) AS least, max(leverage) AS most",
                "Conviction as BLUE would size it.",
                source=f"decisions WHERE {SCANS}",
            ),
            series(
                "Decisions by bound",
                "toString(bound) AS bound, count() AS n",
                "Which term fixed the leverage.",
                source=f"decisions WHERE {SCANS}",
                by="bound",
            ),
            series(
                "Reasons",
                "toString(arrayJoin(reasons)) AS reason, count() AS n",
                "Doubts, and why scans did not decide.",
                by="reason",
            ),
            series(
                "What the lanes multiply",
                ", ".join(f"avg({lane.name}) AS {lane.name}_avg" for lane in LANES[1:]),
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
    own = f', lane="{name}"'
    a_scan = f"{rate('violet_lane_cpu_seconds_total', own)} / ignoring (lane) {rate('violet_scans_total')}"
    panels = [
        figure("Now", "violet_lane_value", "Of the last scan that was journaled.", more=own),
        series("Value", f"avg({name}) AS mean, min({name}) AS least, max({name}) AS most", formula, span=WIDTH - 3),
        bars(
            "Distribution",
            f"SELECT toString(from) AS value_from, n FROM (SELECT round(floor(round({name} / {bar}, 9)) * {bar}, 2) AS from, count() AS n "
            f"FROM scans WHERE {SCANS} GROUP BY from ORDER BY from)",
            f"Scans by value, in steps of {bar}.",
        ),
        live("Quantiles, live", *percentiles("violet_lane_value_distribution", (0.05, 0.5, 0.95), own)),
        live("CPU time a scan", (a_scan, "seconds a scan"), unit="s"),
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
        yield series("What it is made of", parts, "Means over all scans.")
    if planes:
        ages = mine("violet_plane_age_seconds", f', plane=~"{"|".join(planes)}"')
        yield live("Age of its planes, live", (ages, "{{plane}}"), unit="s")
        marks = ", ".join(
            f"countIf(has(reasons, 'PLANE_{word}_{plane.upper()}')) / count() AS {plane}_{word.lower()}"
            for plane in planes
            for word in ("MISSING", "STALE")
        )
        yield series("Missing or stale planes", marks, "Share of scans.", unit=SHARE)
        names = ", ".join(f"'{plane}'" for plane in planes)
        yield rows(
            "Its planes",
            f"SELECT ts, stream, name, seq, toString(form) AS form, value FROM planes WHERE {SCANS} AND name IN ({names}) "
            "ORDER BY ts DESC, log_offset DESC LIMIT 100",
            "As upstream published them.",
            span=WIDTH if name in PARTS else 12,
        )
    elif name == "dc":
        counted = "toString(dc_status) AS status, count() AS n"
        yield series("Direction-confirm status", counted, "Scans by status.", by="status")
    else:
        shares = (
            "countIf(NOT has(reasons, 'NO_SIGNAL')) / count() AS signal, "
            "countIf(strength = 1) / count() AS saturated, avg(actuated) AS decided"
        )
        yield series("Signals", shares, "Share of scans.", unit=SHARE, span=WIDTH)


# Long since it is a list of panels, each with its query.
def _journal() -> models.Dashboard:
    written = "batches WHERE run_id = '${run}' AND $__timeFilter(written_at)"
    return _board(
        "journal",
        "journal health",
        "Whether everything is written, once, and soon. Panels over batches follow the wall clock.",
        [
            figure(
                "Disk", "violet_disk_used_ratio", "DEGRADED from 85 %, HALTED from 92 %.", unit=SHARE, bad_from=0.85
            ),
            figure("Journal", "violet_journal_bytes", "On disk.", unit="bytes"),
            figure(
                "Time coverage",
                "violet_time_coverage_ratio",
                "Of event time, without gaps; since UTC midnight.",
                unit=SHARE,
            ),
            figure("Rejects", "violet_rejects_total", "Of this process.", ask="sum({})"),
            figure("Dropped taps", "violet_taps_dropped_total", "Readings that were not tapped.", ask="sum({})"),
            *_integrity(),
            live("Latency, live", *percentiles("violet_journal_latency_seconds", (0.5, 0.99)), unit="s"),
            live("Rejects a second", (rate("violet_rejects_total"), "{{code}}"), unit="reqps"),
            series(
                "Latency of batches",
                ", ".join(f"quantileExactInclusive({q})(latency_ms) AS p{q * 100:g}" for q in (0.5, 0.99)),
                "From the poll to the completion.",
                source=written,
                at="written_at",
                unit="ms",
            ),
            series(
                "Records journaled",
                ", ".join(f"sum({kind}s) AS {kind}" for kind in ("decision", "evaluation", "plane", "reject")),
                "By kind of outcome.",
                source=written,
                at="written_at",
            ),
            series(
                "Wall clock minus event time",
                "max(drift_ms) AS drift",
                "How far behind the scans' own time.",
                source=f"{written} AND decisions + evaluations > 0",
                at="written_at",
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
    ours = "run_id = '${run}' AND label = '${label}'"
    last = f"compare_id = (SELECT compare_id FROM compares WHERE {ours} AND verdict != 'INVALID' ORDER BY compared_at DESC LIMIT 1)"
    inside = f"{ours} AND is_colocated AND recorded IS NOT NULL"
    label = _query("label", "Trades", "SELECT DISTINCT label FROM blue_imports WHERE state = 'COMPLETE' ORDER BY label")
    edge, tail = (
        f"SELECT * FROM (\n{saved(name)}\n) WHERE label = '${{label}}'" for name in ("blue_edge", "blue_tail")
    )
    return _board(
        "blue",
        "beside BLUE",
        "BLUE's trades beside a run: what comparisons under a contract came to, and a first look, which judges nothing.",
        [
            rows(
                "Comparisons",
                "SELECT compared_at, verdict, is_over, fromUnixTimestamp64Milli(from_ms, 'UTC') AS window_from, "
                "fromUnixTimestamp64Milli(to_ms, 'UTC') AS window_to, pairs, trades, left(contract_hash, 16) AS contract, "
                f"compare_id FROM compares WHERE {ours} ORDER BY compared_at DESC",
                "Newest first. An INVALID one has no figures. Trust is apart: `violet trust`.",
                span=WIDTH,
            ),
            rows(
                "Measures of the last comparison",
                "SELECT JSONExtractString(m, 'verdict') AS verdict, JSONExtractString(m, 'name') AS measure, "
                "JSONExtract(m, 'n', 'Nullable(UInt64)') AS n, JSONExtract(m, 'figure', 'Nullable(Float64)') AS figure, "
                "JSONExtract(m, 'above', 'Nullable(Float64)') AS above_floor, "
                "JSONExtract(m, 'low', 'Nullable(Float64)') AS low, JSONExtract(m, 'high', 'Nullable(Float64)') AS high, "
                "JSONExtract(m, 'margin', 'Nullable(Float64)') AS margin, JSONExtract(m, 'needed', 'Nullable(UInt64)') AS pairs_needed "
                f"FROM (SELECT measures FROM compares WHERE {ours} ORDER BY compared_at DESC LIMIT 1) "
                "ARRAY JOIN JSONExtractArrayRaw(measures) AS m",
                "Each with what of it lies above the noise floor; this is judged, by its interval, which holds under daily looks.",
            ),
            rows(
                "Why the pairs differ",
                f"SELECT class, arrayStringConcat(class_where, '+') AS place, count() AS pairs, sum(abs(recorded - journaled)) AS leverage FROM compare_pairs WHERE {last} "
                "AND class != '' GROUP BY class, place ORDER BY pairs DESC",
                "Classes of the last comparison's pairs that are not the same bits.",
            ),
            rows(
                "Which lane moves the leverage",
                "SELECT term, pairs, moved_nominal, nominal_leverage, moved_effective, effective_leverage, closure_ulp_max "
                f"FROM blue_attribution_sums WHERE {last} ORDER BY abs(effective_leverage) DESC, term",
                "Nominal: the terms of the product and the clamp. Effective: what a lane changed through the real fan-in.",
                span=WIDTH,
            ),
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
                f"FROM blue_pairs WHERE {ours}",
                "Trades with a decision on their asset within 5 minutes.",
                span=8,
            ),
            rows(
                "Trades without a decision",
                f"SELECT why, count() AS trades FROM blue_unmatched WHERE {ours} GROUP BY why ORDER BY trades DESC",
                "And why.",
                span=8,
            ),
            series(
                "Recorded and journaled leverage",
                "avg(recorded) AS recorded_avg, avg(journaled) AS journaled_avg",
                "Means of co-located trades.",
                source=f"blue_pairs WHERE {inside} AND $__timeFilter(entry_ts)",
                at="entry_ts",
            ),
            bars(
                "Median curve",
                "SELECT toString(round(vel_div_from, 4)) AS vel_div, recorded_median, journaled_median, base_median FROM blue_curve "
                f"WHERE {ours} ORDER BY vel_div_from DESC",
                "Leverage by step of vel_div.",
            ),
            rows(
                "By vel_div and dc_status",
                f"SELECT * EXCEPT (run_id, label) FROM blue_buckets WHERE {ours} ORDER BY vel_div, dc_status",
                span=WIDTH,
            ),
            rows("Upward tail", tail, find("blue_tail").question),
            rows("Edge by strength", edge, find("blue_edge").question),
            bars(
                "Haircuts recovered",
                "SELECT band, recorded_to_base, journaled_to_base, recorded_to_esof, journaled_to_esof FROM blue_recovery "
                f"WHERE {ours} ORDER BY band",
                "Leverage over base, and over base, dc, acb and ob.",
            ),
            rows(
                "Universe",
                f"SELECT * EXCEPT (run_id, label) FROM blue_universe WHERE {ours} ORDER BY trades DESC, asset",
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
