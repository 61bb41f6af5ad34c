"""The gate's clauses, each made to fail by its own fault in the rows of one small run, and by no other."""

from dataclasses import replace
from datetime import timedelta

import pytest

from journal.judge import count, gate
from journal.judge.gate import FAIL, HOLD, PASS, basis, figures, judge, summary, worst
from journal.judge.scope import Scope
from journal.keep.retention import _record
from journal.ledger.pruned import Pruned
from journal.ledger.run import Segment, now, open_segments
from lanes.code import Incident, Severity
from lanes.profile import PROFILES, override
from tests.strategies import START_MS, encode, plane, planes, scan
from tests.written import ABSENT, BLUE, MINUTE_MS, begin, decisions

# True of every row that the tables can hold, so no stored row can make them fail: they say what is, and judge nothing.
BY_CONSTRUCTION = {"side", "schema"}


def clauses(store, written, **scope):
    run = written.run
    (judged,) = judge(store, run, **scope)
    return {clause.name: clause for clause in judged.clauses}


def unlike(store, written):
    """Clauses that are not PASS, with their verdicts."""
    return {name: clause.verdict for name, clause in clauses(store, written).items() if clause.verdict != PASS}


@pytest.fixture(scope="module")
def calm(store):
    """Batches of 7 planes, 99 decisions and an evaluation; of 1 decision; of 20."""
    written = begin(store, asked={})
    quiet = encode(scan(scan_id=99, ts_ms=START_MS + 99 * MINUTE_MS, vel_div=0.0))
    written.append([*map(encode, planes()), *decisions(99), quiet])
    written.append(decisions(1, first=100))
    written.append(decisions(20, first=101))
    return written


@pytest.fixture(scope="module")
def silent(store):
    """One scan, which did not decide."""
    written = begin(store)
    written.append([encode(scan(vel_div=0.0))])
    return written


def test_a_calm_run_passes_every_clause(store, calm):
    found = clauses(store, calm)
    assert {clause.verdict for clause in found.values()} == {PASS}
    assert {name for name, clause in found.items() if clause.by_construction} == BY_CONSTRUCTION
    f = figures(store, calm.run, Scope.of(store, calm.run_id))
    counts = (
        "records",
        "decisions",
        "evaluations",
        "planes",
        "rejects",
        "lost",
        "doubled",
        "corrupt",
        "skipped",
        "orders",
    )
    assert [f[name] for name in counts] == [128, 120, 1, 7, 0, 0, 0, 0, 0, 0]
    assert (f["coverage"], f["reject_share"], f["time_coverage"], f["scan_gaps"]) == (1.0, 0.0, 1.0, 0)
    assert f["longest_silence_ms"] == MINUTE_MS
    assert f["pruned"] == []
    assert f["content_hash"] != figures(store, calm.run, Scope(calm.run_id, {0: 126}))["content_hash"]


def at(edges):
    """What turns the decision at each offset into an edge."""
    return {
        name: f"multiIf({', '.join(f'log_offset = {o}, {v}' for o, v in places.items())}, {name})"
        for name, places in edges.items()
    }


def test_each_clause_over_decisions_has_its_edge(store, calm):
    inside = {
        "asset": {20: "'XUSDCUSDT'"}, "vel_div": {21: "-0.020000000000000004"}, "scan_id": {24: "scan_id + 1"},
        "leverage_fanin": {22: "0.5", 23: "9.0", 25: "9.0"}, "bound": {25: "'ABS'", 26: "'CAP'"}, "w750": {27: "nan"},
    }  # fmt: skip
    assert unlike(store, calm.copied("decisions", put=at(inside))) == {"corrupt": FAIL}
    beyond = {
        "asset": {20: "'USDCUSDT'", 30: "'EURUSDT'"}, "vel_div": {21: "-0.02"}, "scan_id": {24: "scan_id + 1"},
        "ts_ms": {24: f"ts_ms + {MINUTE_MS}"}, "bound": {25: "'ABS'"},
        "leverage_fanin": {22: "0.49999999999999994", 23: "9.000000000000002", 25: "8.999999999999998"},
    }  # fmt: skip
    found = clauses(store, calm.copied("decisions", put=at(beyond)))
    names = ("pegged_decisions", "signal", "one_per_scan", "conviction_low", "conviction_high", "abs_exact")
    assert {name: clause.verdict for name, clause in found.items() if clause.verdict != PASS} == dict.fromkeys(
        [*names, "corrupt"], FAIL
    )
    assert [found[name].figure for name in names] == [2, -0.02, 1, 0.49999999999999994, 9.000000000000002, 1]


def test_a_run_without_decisions_holds_and_says_so(store, silent):
    found = clauses(store, silent)
    names = {"side", "signal", "conviction_low", "conviction_high", "schema", "time_coverage"}
    assert {name for name, clause in found.items() if clause.figure is None} == names
    assert {n: c.verdict for n, c in found.items() if c.verdict != PASS} == dict.fromkeys([*names, "decisions"], HOLD)
    for name in BY_CONSTRUCTION:
        assert found[name].verdict == HOLD


def test_a_hundred_decisions_are_enough(store, calm):
    assert clauses(store, calm, scope=Scope(calm.run_id, {0: 107}))["decisions"].verdict == PASS
    assert clauses(store, calm, scope=Scope(calm.run_id, {0: 106}))["decisions"].verdict == HOLD


def test_the_tables_constraints_are_asked_again(store, calm):
    """Constraints guard an insert alone, so rows are changed where they lie: one is broken, two are not."""
    copy = calm.copied()
    changes = at({"reasons": {50: "1", 51: "16"}, "w750": {52: "nan"}})
    store.command(
        f"ALTER TABLE violet_decisions UPDATE {', '.join(f'{n} = {v}' for n, v in changes.items())} "
        "IN PARTITION {r:String} WHERE log_offset IN (50, 51, 52) SETTINGS mutations_sync = 2",
        {"r": copy.run_id},
    )
    assert clauses(store, copy)["broken_rows"].figure == 1


def test_lost_is_an_offset_of_the_range_that_has_no_outcome(store, calm):
    gone = calm.copied("decisions", without="log_offset IN (50, 51)")
    assert unlike(store, gone) == {"lost": FAIL, "corrupt": FAIL}
    assert figures(store, gone.run, Scope.of(store, gone.run_id))["lost"] == 2


def test_what_the_broker_never_delivered_is_skipped_and_not_lost(store):
    written = begin(store)
    written.append(decisions(6))
    written.append(decisions(6, first=60), after=4)
    f = figures(store, written.run, Scope.of(store, written.run_id))
    assert (f["skipped"], f["lost"], f["records"]) == (4, 0, 12)


def test_offsets_between_the_segments_first_and_the_first_batch_are_lost(store):
    written = begin(store, first=0)
    written.lines[0] = {2: b""}
    written.batch(decisions(1))
    written.append(decisions(9, first=1))
    assert figures(store, written.run, Scope.of(store, written.run_id))["lost"] == 4


def test_doubled_is_two_kinds_or_two_rows_of_one_offset_that_differ(store, calm):
    same, other, kind = (calm.copied() for _ in range(3))
    for copy, source, change in (
        (same, "decisions", "*"), (other, "decisions", "* REPLACE (leverage + 1 AS leverage)"),
        (kind, "evaluations", "* REPLACE (50 AS log_offset)"),
    ):  # fmt: skip
        where = "log_offset = 50" if source == "decisions" else "log_offset = 106"
        store.command(
            f"INSERT INTO violet_{source} SELECT {change} FROM "
            f"(SELECT * FROM violet_{source} WHERE run_id = {{r:String}} AND {where})",
            {"r": copy.run_id},
        )
    # The same row twice is one row.
    assert [count._doubled(store, Scope.of(store, copy.run_id)) for copy in (same, other, kind)] == [0, 1, 1]


def test_incidents_count_where_they_are_errors_and_orders_are_told_apart(store):
    written = begin(store)
    written.append(decisions(100))
    written.ledger.note(Severity.WARN, Incident.BROKER_AWAY)
    written.ledger.note(Severity.ERROR, Incident.INTEGRITY)
    assert unlike(store, written) == {"error_incidents": FAIL}
    written.ledger.note(Severity.ERROR, Incident.WRITE_REFUSED)
    found = clauses(store, written)
    assert (found["orders"].figure, found["error_incidents"].figure) == (1, 2)
    yesterday = Scope(written.run_id, {0: 99}, on=(now() - timedelta(1)).date())
    assert clauses(store, written, scope=yesterday)["error_incidents"].figure == 0


BAD_SCAN, BAD_PLANE, NO_RECORD = encode(scan(vel_div="x")), encode(plane("acb", {"scale": 1.0})), b"{"


def test_coverage_leaves_out_what_is_known_to_be_a_plane_and_rejects_do_not(store):
    written = begin(store)
    written.append([*decisions(6), BAD_SCAN, NO_RECORD, BAD_PLANE, BAD_PLANE])
    f = figures(store, written.run, Scope.of(store, written.run_id))
    assert (f["coverage"], f["reject_share"]) == (6 / 8, 4 / 10)


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [(1.0, PASS), (0.95, PASS), (0.9499999999999999, HOLD), (0.8, HOLD), (0.7999999999999999, FAIL), (None, HOLD)],
)
def test_a_share_has_two_edges(figure, verdict):
    assert gate._share("coverage", "", figure, 0.95, 0.80).verdict == verdict


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [(0.01, PASS), (0.010000000000000002, HOLD), (0.5, HOLD), (0.5000000000000001, FAIL), (1.0, FAIL), (None, HOLD)],
)
def test_what_may_be_at_most_has_two_edges_too(figure, verdict):
    assert gate._at_most("rejects", "", figure, 0.01, 0.5).verdict == verdict


def test_a_run_of_which_more_than_half_is_rejected_fails(store):
    half = begin(store)
    half.append([*decisions(100), *[b"{"] * 100])
    assert clauses(store, half)["rejects"].verdict == HOLD
    half.append([b"{"])
    assert clauses(store, half)["rejects"].verdict == FAIL


# -- planes --------------------------------------------------------------------------------------------------------

VALUES = {
    "acb": {"boost": 1.2},
    "meta": {"boost": 1.1},
    "mc": {"scale": 0.9},
    "ob": {"mult": 1.1},
    "esof": {"mult": 0.8},
}


def seen(store, *lines, profile=BLUE, absent=()):
    """Verdict and figure of each clause about a plane."""
    written = begin(store, profile, asked={"absent": list(absent)})
    written.append(lines)
    found = clauses(store, written).items()
    return {name: (c.verdict, c.figure) for name, c in found if name.startswith("plane_")}


def records(*names):
    return [encode(plane(name, VALUES[name], ts_ms=START_MS)) for name in names]


def test_a_plane_that_a_lane_reads_must_have_been_seen_on_nearly_all_scans(store):
    found = seen(store, *records("acb", "ob"), *decisions(5), *records("mc"), *decisions(95, first=5), *records("meta"))
    assert found == {
        "plane_acb": (PASS, 1.0), "plane_ob": (PASS, 1.0), "plane_mc": (PASS, 0.95), "plane_meta": (HOLD, 0.0),
        "plane_esof": (HOLD, 0.0),
    }  # fmt: skip
    assert seen(store, *decisions(6), *records("mc"), *decisions(94, first=6))["plane_mc"] == (HOLD, 0.94)


def test_a_plane_counts_for_its_own_stream_alone(store):
    found = seen(store, *records("mc"), *decisions(10), *decisions(10, stream="other"))
    assert found["plane_mc"] == (HOLD, 0.5)


def test_a_plane_that_blue_has_none_of_is_not_asked_for_and_the_verdict_says_so(store):
    written = begin(store, asked={"absent": ["mc", "esof"]})
    written.append([*records("acb", "meta", "ob"), *decisions(120)])
    whole = summary(store, written.set(state="ENDED"))
    assert whole["verdict"] == PASS
    assert whole["verdict_basis"] == "broker, 0 stand-in lanes, BLUE has no plane mc, esof"
    held = summary(store, written.set(asked={"absent": ["esof"]}))
    assert (held["verdict"], [c["name"] for c in held["segments"][0]["clauses"]]) == (HOLD, ["plane_mc"])


def test_a_lane_that_is_off_asks_for_no_plane_and_acb_s_signals_stand_for_meta(store):
    off = override(BLUE, {"acb": {"enabled": False}})
    assert set(seen(store, *decisions(3), profile=off)) == {"plane_ob", "plane_esof"}
    assert seen(store, *decisions(3), profile=PROFILES["v3_base9"]) == {}
    signals = encode(plane("acb", {"signals": 2.0}, ts_ms=START_MS))
    assert seen(store, signals, *decisions(3))["plane_meta"] == (PASS, 1.0)


# -- time ----------------------------------------------------------------------------------------------------------


def timed(minutes, **fields):
    return [encode(scan(scan_id=n, ts_ms=START_MS + at * MINUTE_MS, **fields)) for n, at in enumerate(minutes)]


def time_of(store, *groups, **scope):
    written = begin(store)
    for group in groups:
        written.append(group)
    f = count.time(store, Scope(written.run_id, {0: 999}))
    return f["time_coverage"], f["scan_gaps"], f["longest_silence_ms"] // MINUTE_MS


def test_a_gap_is_more_than_two_steps_and_its_length_is_missing(store):
    assert time_of(store, timed([0, 1])) == (None, 0, 1)
    assert time_of(store, timed([0, 1, 2])) == (1.0, 0, 1)
    assert time_of(store, timed([0, 1, 2, 4, 5])) == (1.0, 0, 2)  # two steps are no gap
    assert time_of(store, timed([0, 1, 2, 3, 4, 7, 8, 9, 10])) == (1.0 - 2 / 10, 1, 3)
    assert time_of(store, timed([0, 1, 2, 3, 4, 7, 7, 8, 9, 10])) == (1.0 - 2 / 10, 1, 3)  # a repeated time is one
    assert time_of(store, timed([3, 2, 1, 0, 4])) == (1.0, 0, 1)  # in order of time, not of offset


def test_the_worst_stream_counts(store):
    holed = timed([0, 1, 2, 3, 10], stream="alt")
    assert time_of(store, timed(range(20)) + holed) == (1.0 - 6 / 10, 1, 7)
    assert time_of(store, timed(range(20)) + timed([0, 1], stream="alt")) == (None, 0, 1)


def test_of_a_part_the_silence_before_it_counts_where_it_ended(store):
    written = begin(store)
    written.append(timed(range(4)))
    written.append(timed([9, 10, 11]))
    part = Scope(written.run_id, {0: 6}, starts={0: 4})
    f = figures(store, written.run, part)
    assert (f["scan_gaps"], f["longest_silence_ms"] // MINUTE_MS, f["records"], f["lost"]) == (1, 6, 3, 0)
    assert figures(store, written.run, Scope(written.run_id, {0: 6}))["scan_gaps"] == 1


# -- a run's end, its segments, its words --------------------------------------------------------------------------


def test_an_archive_that_ended_before_its_end_lost_the_rest(store, calm):
    ended = {"state": "ENDED", "source": {"kind": "archive"}, "until": {"ends": {"0": 132}}}
    for changes, lost in (
        ({}, 4), ({"state": "RUNNING"}, 0), ({"state": "STOPPED"}, 0), ({"reason": gate.ENDED_EARLY}, 0),
        ({"source": {"kind": "broker"}}, 0), ({"until": {"ends": {"0": 128}}}, 0), ({"until": {"ends": {"0": 9}}}, 0),
        ({"until": {"ends": {"0": 132}, "ts_ms": 1}}, 0), ({"until": {}}, 0), ({"until": {"ends": {"1": 132}}}, 0),
    ):  # fmt: skip
        run = replace(calm.run, **(ended | changes))
        assert gate._unread(store, run, Scope(run.run_id, {})) == lost, changes
    run = replace(begin(store, first=2).run, **ended)
    assert gate._unread(store, run, Scope(run.run_id, {})) == 130  # not one record was read


def test_each_segment_is_judged_by_its_own_params_and_what_was_not_read_is_the_last_one_s(store):
    written = begin(store, source={"kind": "archive"}, until={"ends": {"0": 150}}, standins=("acb", "ob", "scanner"))
    written.append(decisions(120))
    open_segments(store, [Segment(
        written.run_id, 2, "t", 0, 120, "code", "blue_8b", written.rules.profile.model_dump_json(), "p", "c2", {"acb": "feed"},
    )])  # fmt: skip
    written.segment = 2
    written.append(decisions(20, first=120))
    run = written.set(state="ENDED")
    assert [j.segment for j in judge(store, run, scope=Scope(run.run_id, {0: 139}, starts={0: 120}))] == [2]
    whole = summary(store, run)
    assert (whole["verdict"], whole["decisions"], whole["lost"]) == (FAIL, 140, 10)
    assert whole["kernels"] == {"acb": "feed"}
    assert whole["standin_lanes"] == ["acb", "ob"]
    assert (
        whole["verdict_basis"]
        == f"archive, 2 stand-in lanes, stand-in scanner, BLUE has no plane {', '.join(ABSENT)}; lost FAIL; decisions HOLD"
    )
    assert [(s["segment"], s["verdict"]) for s in whole["segments"]] == [(1, PASS), (2, FAIL)]
    assert [c["name"] for c in whole["segments"][1]["clauses"]] == ["lost", "decisions"]


def test_since_leaves_earlier_scans_out_and_planes_too(store, calm):
    at = START_MS + 60 * MINUTE_MS
    f = figures(store, calm.run, Scope.of(store, calm.run_id, since_ms=at))
    assert (f["decisions"], f["evaluations"], f["planes"]) == (60, 1, 0)
    assert summary(store, calm.run, since_ms=at)["decisions"] == 60


def test_what_retention_took_is_counted_from_its_batches_and_not_lost(store, calm):
    copy = calm.copied("planes", without="true")
    assert figures(store, copy.run, Scope.of(store, copy.run_id))["lost"] == 7
    _record(store, copy.run_id, Pruned("t", 0, 107, now(), 7, 0))
    f = figures(store, copy.run, Scope.of(store, copy.run_id))
    assert (f["planes"], f["lost"], f["corrupt"], f["records"]) == (7, 0, 0, 128)
    assert [each["last_offset"] for each in f["pruned"]] == [107]
    behind = Scope(copy.run_id, {0: 127})  # a judgment that began before the retention did
    assert figures(store, copy.run, behind)["lost"] == 0


def test_what_a_verdict_rests_on_is_said(store):
    run = begin(store, asked={}).run
    for changes, words in (
        ({"source": {}}, "log, 0 stand-in lanes"),
        ({"source": {"kind": "archive", "seeded": True}}, "synthetic market, 0 stand-in lanes"),
        ({"source": {"kind": "broker"}, "warm": "COLD"}, "broker, 0 stand-in lanes, cold start"),
        (
            {"source": {"kind": "archive", "replay_of": "r1", "read_from": "the journal"}},
            "replay of r1 from the journal, 0 stand-in lanes",
        ),
        (
            {"standins": ("enrichment", "scanner", "ob")},
            "broker, 1 stand-in lanes, stand-in scanner, stand-in enrichment",
        ),
    ):
        fields = {name: getattr(run, name) for name in run.__slots__} | changes
        assert basis(type(run)(**fields)) == words


def test_the_worst_of_verdicts_and_of_none_is_hold():
    assert [worst(v) for v in ([PASS, HOLD, FAIL], [HOLD, PASS], [PASS, PASS], [])] == [FAIL, HOLD, PASS, HOLD]
