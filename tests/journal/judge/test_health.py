"""Health from fields alone: a changed sentence changes no verdict, and one doubt hides no other."""

from dataclasses import replace
from datetime import timedelta

import pytest

from journal.engine import owner
from journal.judge import day, gate
from journal.judge.day import close
from journal.judge.health import DISK_HALT, FAILING, HEALTHY, NOT_SURE, health
from journal.keep.migrate import migrate, scripts
from journal.ledger import log_end
from journal.ledger.run import now
from journal.store import connect
from lanes.code import Incident, Mode, Severity
from tests.integration import records

DAY = timedelta(days=1)


def look(store, data, run, *, alive=True, at=None, **changed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("journal.judge.health._disk", lambda _: changed.get("disk_used", 0.1))
        return health(store, run, data, writer="me" if alive else "", at=at or now())


def test_a_young_soak_is_healthy_though_its_verdict_waits(store, data, write, plain):
    seen = look(store, data, write("young", plain(40)).run)
    assert (seen["health"], seen["mode"], seen["verdict"], seen["why"]) == (HEALTHY, "RUN", "HOLD", [])


@pytest.mark.parametrize("share", [0.86, DISK_HALT])
def test_a_disk_that_fills_hides_no_other_doubt(store, data, write, share):
    """The run was interrupted, its scanner was dark for half of the time, and a tenth of its records are rejects."""
    lines = [records.scan(n) for n in range(60)] + [records.scan(n + 240) for n in range(60)]
    lines = [each for n, line in enumerate(lines) for each in ((line,) if n % 10 else (line, b"{"))]
    run = write(f"filling-{share}", lines).run
    calm, full = (look(store, data, run, alive=False, disk_used=used) for used in (0.1, share))
    assert len(calm["why"]) == 4
    assert set(full["why"]) == {*calm["why"], f"the disk is {share:.0%} full"}
    assert (calm["health"], full["health"]) == (NOT_SURE, FAILING if share >= DISK_HALT else NOT_SURE)


@pytest.mark.parametrize("words", ["DEGRADED: the disk is full", "", "RUN again", "la machine est pleine"])
def test_the_mode_is_a_field_whatever_the_words(store, data, write, plain, words):
    written = write(f"mode-{len(words)}", plain(40))
    written.ledger.note(Severity.WARN, Incident.DISK_SHORT, words, mode=Mode.DEGRADED)
    seen = look(store, data, written.run)
    assert (seen["mode"], seen["health"], seen["why"]) == ("DEGRADED", NOT_SURE, ["DEGRADED"])
    written.ledger.note(Severity.WARN, Incident.DISK_SHORT, words, mode=Mode.RUN)
    assert look(store, data, written.run)["mode"] == "RUN"


@pytest.mark.parametrize("words", ["acb: no reading for 12 s", "", "nobody: at all", "DEGRADED"])
def test_missing_lanes_are_a_field_whatever_the_words(store, data, write, plain, words):
    written = write(f"lanes-{len(words)}", plain(40))
    written.ledger.note(Severity.WARN, Incident.LANE_MISSING, words, lanes={"ob": "other params", "dc": ""})
    seen = look(store, data, written.run)
    assert seen["missing_lanes"] == {"dc": "", "ob": "other params"}
    assert seen["why"] == ["waits for the worker of lane dc, ob (other params)"]
    written.ledger.note(Severity.INFO, Incident.LANE_BACK, words)
    assert (look(store, data, written.run)["missing_lanes"], words) == ({}, words)


def test_a_broker_that_is_away_leaves_doubt_until_it_is_back(store, data, write, plain):
    written = write("broker", plain(40))
    written.ledger.note(Severity.WARN, Incident.BROKER_AWAY, "the broker at kafka:9092 does not answer")
    seen = look(store, data, written.run)
    assert seen["why"] == ["the broker at kafka:9092 does not answer; fix: start the broker, look at its log"]
    assert seen["health"] == NOT_SURE
    written.ledger.note(Severity.INFO, Incident.BROKER_BACK, "it is back")
    assert look(store, data, written.run)["why"] == []
    written.ledger.note(Severity.WARN, Incident.BROKER_AWAY, "again")
    written.ledger.note(Severity.INFO, Incident.RESUMED, "by another process, which knows nothing of it yet")
    assert look(store, data, written.run)["broker_away"] == ""


def test_a_day_that_held_is_read_from_its_clauses_whatever_the_words(store, data, write, monkeypatch):
    """One run twice, dark for hours on its first day; of the second the words are gone and no health changes."""
    lines = [records.scan(n) for n in range(200)] + [records.scan(n + 150) for n in range(200, 800)]
    lines[100:100] = [b"{"] * 2
    found = []
    for name in ("in-words", "without-words"):
        if name == "without-words":
            monkeypatch.setattr(day, "words", lambda clauses: "")
            monkeypatch.setattr(gate, "words", lambda clauses: "")
        run = write(name, lines, days=(2, 1, 0)).run
        closed = close(store, run, now())
        assert bool(closed[0].figures["held"]) is (name == "in-words")
        assert closed[0].figures["clauses"] == {"time_coverage": "HOLD"}
        seen = look(store, data, run)
        found.append({key: seen[key] for key in ("health", "verdict", "short", "coverage", "time_coverage", "why")})
    assert found[0] == found[1]
    assert (found[0]["verdict"], found[0]["coverage"]) == ("HOLD", 800 / 802)


def test_planes_that_never_came_leave_doubt_and_are_named(store, data, write, plain):
    seen = look(store, data, write("planes", plain(40), absent=("acb",)).run)
    assert (seen["health"], len(seen["why"])) == (NOT_SURE, 1)
    assert seen["why"][0].startswith("many scans came before plane meta, mc, ob was ever seen; fix: publish it")


def test_a_run_that_ended_without_a_scan_is_not_healthy(store, data, write):
    for name, lines in (("ended-empty", []), ("ended-poor", [records.plane("acb", {"boost": 1.0})])):
        seen = look(store, data, write(name, lines, state="ENDED").run)
        assert (seen["health"], seen["why"]) == (NOT_SURE, ["it ended without a scan"])


def test_the_lag_of_a_live_topic_is_to_the_end_that_the_soak_saw(store, data, write, plain):
    run = write("lag", plain(40), kind="broker").run  # 44 records
    assert look(store, data, run)["lag_records"] is None
    log_end.write(store, run.run_id, {0: 544}, now())
    seen = look(store, data, run)
    assert (seen["lag_records"], seen["health"], seen["looked_s"] < 60) == (500, HEALTHY, True)
    assert look(store, data, replace(run, until={"ends": {"0": 50}}))["lag_records"] == 6  # it ends before the log does
    log_end.write(store, run.run_id, {0: 30}, now() + DAY)  # a broker that tells less
    assert look(store, data, run)["lag_records"] == 0


def test_the_lag_of_an_archive_is_to_its_last_line(store, data, write, plain):
    run = write("lag-archive", plain(40)).run
    seen = look(store, data, replace(run, until={"ends": {"0": 100}}))
    assert (seen["lag_records"], seen["looked_s"]) == (56, None)


def test_the_lag_of_several_partitions_is_their_sum_and_unknown_where_one_is(store, data, write, plain):
    run = replace(write("lag-two", plain(40), kind="broker").run, start={"0": 0, "1": 5})
    log_end.write(store, run.run_id, {0: 50}, now())
    assert look(store, data, run)["lag_records"] is None
    log_end.write(store, run.run_id, {1: 9}, now())
    assert look(store, data, run)["lag_records"] == 6 + 4


def test_a_soak_that_looks_no_more_leaves_doubt(store, data, write, plain):
    run = write("hangs", plain(40), kind="broker").run
    log_end.write(store, run.run_id, {0: 44}, now())
    later = now() + timedelta(seconds=90)
    seen = look(store, data, run, at=later)
    assert seen["health"] == NOT_SURE
    assert any(why.startswith("the soak gives no sign of life for 9") for why in seen["why"])
    assert not any("sign of life" in why for why in look(store, data, run, at=later, alive=False)["why"])


OLD = [
    ("DISK_SHORT", "DEGRADED: the disk is 87% full", {}, "DEGRADED"),
    ("DISK_SHORT", "RUN again: the disk is 80% full", {}, "RUN"),
    ("LANE_MISSING", "acb, ob: no reading for 12 s", {"acb": "", "ob": ""}, None),
    ("LANE_MISSING", "dc (speaks with params 0a1b, which are not the soak's), esof: no reading for 12 s",
     {"dc": "speaks with params 0a1b, which are not the soak's", "esof": ""}, None),
    ("STARTED", "EXACT start", {}, None),
]  # fmt: skip
OLD_DAYS = [
    # held, decisions, rejects, coverage -> clauses, rejects that may be scans
    ("", 700, 3, 700 / 703, {}, 3),
    ("nothing was journaled", 0, 0, None, {}, 0),
    ("coverage FAIL; rejects HOLD; decisions HOLD", 0, 9, 0.0,
     {"coverage": "FAIL", "rejects": "HOLD", "decisions": "HOLD"}, 9),
    ("time_coverage HOLD", 123_457, 40, 123_457 / 123_470, {"time_coverage": "HOLD"}, 13),
]  # fmt: skip


def test_rows_of_the_first_version_read_as_fields(tmp_path):
    """Written before the columns were there: in parts on disk that no later insert touches."""
    engine = owner.start(tmp_path / "data")
    try:
        with connect(engine.address) as store:
            for script in scripts()[:18]:
                store.command(script.text.rstrip().rstrip(";"))
            for n, (code, detail, _, _) in enumerate(OLD):
                store.command(
                    "INSERT INTO violet_incidents (run_id, at, severity, code, detail) VALUES "
                    "('old', toDateTime64({n:Int64}, 3, 'UTC'), 'WARN', {code:String}, {detail:String})",
                    {"n": n, "code": code, "detail": detail},
                )
            for n, (held, decisions, rejects, coverage, _, _) in enumerate(OLD_DAYS):
                store.command(
                    "INSERT INTO violet_days (run_id, day, held, decisions, rejects, coverage) VALUES "
                    "('old', {n:Date}, {held:String}, {d:UInt64}, {r:UInt64}, {c:Nullable(Float64)})",
                    {"n": f"2026-01-{n + 1:02}", "held": held, "d": decisions, "r": rejects, "c": coverage},
                )
            migrate(store, lambda name: None)
            rows = store.rows("SELECT lanes, mode FROM incidents ORDER BY at")
            assert [(row["lanes"], row["mode"]) for row in rows] == [(lanes, mode) for _, _, lanes, mode in OLD]
            rows = store.rows("SELECT clauses, scan_rejects FROM days ORDER BY day")
            assert [(row["clauses"], row["scan_rejects"]) for row in rows] == [each[4:] for each in OLD_DAYS]
    finally:
        engine.close()
