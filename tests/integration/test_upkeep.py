"""What a soak of weeks says of itself: a line a day, a bounded log of incidents, a status that a watchdog can trust."""

import json
import signal
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest

from journal.judge.day import close, due
from journal.judge.page import whole
from journal.ledger.incident import FULL
from journal.ledger.ledger import Ledger
from journal.ledger.run import find, now, save
from journal.lock import Lock, soak_lock
from lanes.code import Incident, Severity
from reactor.run.upkeep import Upkeep
from reactor.watch.measure import ask
from reactor.watch.metrics import Metrics
from tests.integration import records
from tests.integration.fixtures import own_journal
from tests.integration.soaking import Topic, ended, fresh, interrupted, produce, until

pytestmark = pytest.mark.slow
journal = own_journal

DAY = timedelta(days=1)
SHARES = ("coverage", "time_coverage")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """These scans come without planes, and the gate is told that there are none."""
    path = tmp_path_factory.mktemp("config") / "bare.toml"
    path.write_text('[planes]\nabsent = ["acb", "meta", "mc", "ob", "esof"]\n')
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return records.write(tmp_path_factory.mktemp("archive") / "plain.jsonl", records.plain(400))


@pytest.fixture(scope="module")
def calm(journal, archive, config):
    return journal.soak(config=config, scans=archive, batch_size=110, name="calm")


def aged(journal, soaked, base, days, since):
    """The run once more, under another name and id: begun so many days ago, each batch as many as the SQL says."""
    changed = {
        "runs": f", '{base}' AS name, started_at - INTERVAL {since} DAY AS started_at",
        "batches": f", written_at - INTERVAL {days} DAY AS written_at",
    }
    for table in ("runs", "segments", "batches", "decisions", "evaluations", "planes", "rejects"):
        journal.store.command(
            f"INSERT INTO violet_{table} SELECT * REPLACE ('{base}' AS run_id{changed.get(table, '')}) "
            f"FROM violet_{table} WHERE violet_{table}.run_id = {{run:String}}",
            {"run": soaked.run_id},
        )
    return find(journal.store, run_id=base)


@contextmanager
def going_on(journal, run):
    """The run as its soak would have it that still goes on."""
    with Lock.acquire(soak_lock(journal.data, run.name)):
        left = save(journal.store, replace(find(journal.store, run_id=run.run_id), state="RUNNING"))
        yield
        save(journal.store, replace(left, state="ENDED"))


def test_each_day_has_one_line_and_they_add_up_to_the_run(journal, calm):
    """Batches of three days, as if the soak had been on for so long, and away on the third."""
    run, today = aged(journal, calm, "three-days", "if(last_offset < 200, 3, 2)", 3), now().date()
    at = now()
    assert due(journal.store, run, at) == [today - 3 * DAY, today - 2 * DAY, today - DAY]
    lines = close(journal.store, run, at)
    assert close(journal.store, run, at) == []
    rows = journal.rows(
        "SELECT day, verdict, held, records, decisions, lost, doubled, corrupt, first_offsets, last_offsets, disk_bytes FROM days WHERE run_id = 'three-days' ORDER BY day"
    )
    assert [row["day"] for row in rows] == [today - 3 * DAY, today - 2 * DAY, today - DAY]
    assert [(row["first_offsets"], row["last_offsets"]) for row in rows] == [
        ({0: 0}, {0: 109}),
        ({0: 110}, {0: 439}),
        ({}, {}),
    ]
    assert sum(row["records"] for row in rows) == calm.summary["records"]
    assert sum(row["decisions"] for row in rows) == calm.summary["decisions"]
    assert [(row["lost"], row["doubled"], row["corrupt"]) for row in rows] == [(0, 0, 0)] * 3
    assert [row["verdict"] for row in rows] == ["HOLD", "PASS", "HOLD"]  # of 100 scans too few decide; none came
    assert rows[2]["held"] == "nothing was journaled"
    assert rows[0]["disk_bytes"] > 0
    assert "PASS: 300 scans" in str(lines[1])
    (seen,) = journal.violet("status", "three-days", "--json").json
    assert (seen["days"], seen["lost"], seen["verdict"]) == (3, 0, "PASS")  # it ended, and as a whole it passes
    with going_on(journal, run):
        (seen,) = journal.violet("status", "three-days", "--json").json
    assert (seen["verdict"], seen["held"]) == ("HOLD", f"nothing was journaled on {today - DAY}")


def test_a_day_names_what_was_lost_on_it_and_on_no_other(journal, calm):
    run = aged(journal, calm, "lossy", "if(last_offset < 200, 3, 2)", 3)
    journal.store.command(
        "ALTER TABLE violet_decisions DELETE WHERE run_id = 'lossy' AND log_offset IN (SELECT max(log_offset) FROM violet_decisions WHERE run_id = 'lossy') SETTINGS mutations_sync = 2"
    )
    lines = {each.day: each for each in close(journal.store, run, now())}
    today = now().date()
    assert [(lines[today - n * DAY].verdict, lines[today - n * DAY].figures["lost"]) for n in (3, 2, 1)] == [
        ("HOLD", 0),
        ("FAIL", 1),
        ("HOLD", 0),
    ]
    said = journal.violet("status", "lossy", "--json")
    assert (said.code, said.json[0]["health"], said.json[0]["lost"]) == (1, "FAILING", 1)
    assert journal.violet("gate", "lossy").code == 1
    with going_on(journal, run):
        said = journal.violet("status", "lossy", "--json")
    assert (said.code, said.json[0]["verdict"], said.json[0]["lost"]) == (1, "FAIL", 1)
    assert said.json[0]["held"] == f"lost FAIL; corrupt FAIL on {today - 2 * DAY} and 1 more"


def test_a_silence_over_midnight_is_in_the_line_of_the_day_in_which_it_ended(journal, tmp_path, config):
    lines = [records.scan(n) for n in range(300)] + [records.scan(n + 1_320) for n in range(300, 600)]
    dark = journal.soak(config=config, scans=records.write(tmp_path / "dark.jsonl", lines), batch_size=100)
    run = aged(journal, dark, "midnight", "if(last_offset < 300, 2, 1)", 2)
    before, after = close(journal.store, run, now())
    assert (before.verdict, before.figures["time_coverage"]) == ("PASS", 1.0)
    silence_ms = 1_321 * records.MINUTE_MS
    assert after.figures["longest_silence_ms"] == silence_ms == dark.summary["longest_silence_ms"]
    assert (after.verdict, after.figures["held"]) == ("HOLD", "time_coverage HOLD")
    assert after.figures["time_coverage"] == pytest.approx(1 - 1_320 / (1_321 + 299))


def test_the_silence_of_one_stream_through_a_day_of_others_is_counted_when_it_returns(journal, tmp_path, config):
    lines = [
        records.scan(n, stream=stream)
        for n in range(600)
        for stream in records.STREAMS
        if stream == "ng7" or not 200 <= n < 400
    ]
    soaked = journal.soak(config=config, scans=records.write(tmp_path / "two.jsonl", lines), batch_size=100)
    run = aged(journal, soaked, "returns", "multiIf(last_offset < 400, 3, last_offset < 600, 2, 1)", 3)
    found = [
        (day.verdict, day.figures["longest_silence_ms"] / records.MINUTE_MS) for day in close(journal.store, run, now())
    ]
    assert found == [("PASS", 1), ("PASS", 1), ("HOLD", 201)]
    (share,) = journal.rows("SELECT time_coverage FROM days WHERE run_id = 'returns' ORDER BY day DESC LIMIT 1")
    assert share["time_coverage"] == pytest.approx(1 - 200 / (201 + 199))


@pytest.fixture(scope="module")
def holed(journal, tmp_path_factory, config):
    """A run of two days and what came since; on the first the scanner was silent for 150 minutes."""
    lines = [records.scan(n) for n in range(200)] + [records.scan(n + 150) for n in range(200, 700)]
    for at in (600, 400, 100):
        lines.insert(at, records.POISON[0])
    path = records.write(tmp_path_factory.mktemp("holed") / "holed.jsonl", lines)
    run = aged(
        journal,
        journal.soak(config=config, scans=path, batch_size=100),
        "holed",
        "multiIf(last_offset < 300, 2, last_offset < 500, 1, 0)",
        2,
    )
    lines = close(journal.store, run, now())
    assert [(day.verdict, day.figures["held"]) for day in lines] == [("HOLD", "time_coverage HOLD"), ("PASS", "")]
    return run


def test_a_run_that_ended_shows_the_judgment_of_the_gate(journal, holed):
    said, gate = journal.violet("status", "holed", "--json"), journal.violet("gate", "holed", "--json")
    (seen,), (segment,) = said.json, gate.json["segments"]
    assert (said.code, seen["verdict"], seen["held"]) == (gate.code, gate.json["verdict"], "time_coverage HOLD")
    assert {name: seen[name] for name in SHARES} == {name: segment["figures"][name] for name in SHARES}
    assert (gate.code, seen["health"], seen["short"], seen["days"]) == (2, "NOT SURE", ["time_coverage"], 2)
    page = whole(journal.store, find(journal.store, run_id="holed"), journal.data, now())
    assert {name: page[name] for name in seen if name in SHARES or name in ("verdict", "held", "health")} == {
        name: seen[name] for name in (*SHARES, "verdict", "held", "health")
    }


def test_a_day_that_held_stays_in_the_verdict_of_a_soak_that_is_healthy_again(journal, holed):
    (line,) = journal.rows("SELECT day, time_coverage FROM days WHERE run_id = 'holed' ORDER BY day LIMIT 1")
    with going_on(journal, holed):
        said, words = (journal.violet("status", "holed", *flags) for flags in (["--json"], []))
        metrics = Metrics()
        ask(metrics, journal.store, find(journal.store, run_id="holed"), journal.data)
    (seen,) = said.json
    assert (said.code, seen["health"], seen["short"]) == (0, "HEALTHY", [])
    assert (seen["verdict"], seen["held"]) == ("HOLD", f"time_coverage HOLD on {line['day']}")
    assert (seen["time_coverage"], seen["time_coverage_of"]) == (line["time_coverage"], str(line["day"]))
    assert seen["coverage"] == journal.figures("holed")["coverage"] == 700 / 703
    assert f"(worst: {line['day']})" in words.out
    assert f"HOLD so far (time_coverage HOLD on {line['day']})" in words.out
    assert "violet_time_coverage_ratio 1.0" in metrics.text()  # an alert ends with its cause


def test_days_with_few_decisions_each_pass_once_the_run_has_enough(journal, calm):
    run = aged(journal, calm, "few", "if(last_offset < 200, 2, 1)", 2)
    first, _ = close(journal.store, run, now())
    assert (first.verdict, first.figures["held"]) == ("HOLD", "decisions HOLD")
    with going_on(journal, run):
        (seen,) = journal.violet("status", "few", "--json").json
    assert (seen["verdict"], seen["held"], seen["decisions"]) == ("PASS", "", calm.summary["decisions"])


def test_a_soak_closes_the_day_once_and_says_so(journal, calm):
    clock = [now()]
    said = []
    upkeep = Upkeep(
        Ledger(journal.store, calm.run_id, lambda *_: []), journal.run("calm"), None, said.append, lambda: clock[0]
    )
    upkeep()
    assert said == []
    clock[0] += DAY
    upkeep()
    upkeep()
    assert len(said) == 1
    assert str(said[0]).startswith(f"{now().date()} PASS: 400 scans")


def test_an_outage_that_flaps_for_weeks_writes_few_rows_and_loses_no_count(journal, calm):
    for restart in range(3):  # a new process knows what the day already has
        ledger = Ledger(journal.store, calm.run_id, lambda *_: [])
        for n in range(FULL):
            ledger.note(Severity.WARN, Incident.BROKER_AWAY, f"{restart} {n}")
        ledger.note(Severity.INFO, Incident.STOPPED)
    sql = "SELECT count() AS rows, sum(count) AS n FROM incidents WHERE run_id = {run:String} AND code = 'BROKER_AWAY'"
    (row,) = journal.rows(sql, run=calm.run_id)
    assert (row["n"], row["rows"]) == (
        3 * FULL,
        FULL + 2,
    )  # 200, of which a row stands for 100, and what was held at the end
    assert journal.violet("status", "--name", "calm", "--json").json[0]["warnings"] == 3 * FULL


# -- status ------------------------------------------------------------------------------------------------------------


def test_status_is_a_health_check(journal, archive, calm, config):
    said = journal.violet("status", "--name", "calm")
    assert said.code == 0
    for words in (
        "HEALTHY",
        "ENDED",
        "last scan",
        "lag",
        "coverage 100.0%",
        "lost 0 doubled 0 corrupt 0",
        "parts",
        "PASS",
    ):
        assert words in said.out
    left = interrupted(journal.data, 1, config=config, scans=archive, name="left", batch_size=100)
    stopped = journal.violet("status", "--name", "left", "--json")
    assert (stopped.code, stopped.json[0]["mode"], stopped.json[0]["health"]) == (2, "STOPPED", "NOT SURE")
    assert stopped.json[0]["lag_records"] == 440 - left.summary["records"]
    Ledger(journal.store, left.run_id, lambda *_: []).note(Severity.ERROR, Incident.INTEGRITY, "made for the test")
    failing = journal.violet("status", "--name", "left", "--json")
    assert (failing.code, failing.json[0]["why"][0][:31]) == (1, "1 incidents of level error: `vi")
    assert journal.violet("status", "--json").json[0]["name"] == "left"
    assert journal.violet("status", "--name", "nobody").code == 3
    assert journal.violet("status", "no-such-run").code == 3


def test_status_watches_a_live_soak_and_sees_it_fall_silent_and_go(journal, session_tansu, spawn, monkeypatch, config):
    topic = Topic(session_tansu, session_tansu.create_topic(), 0)
    produce(topic.broker.bootstrap, topic.name, records.plain(200))
    soak = spawn("soak", "--bootstrap-servers", topic.broker.bootstrap, "--topic", topic.name, "--data", journal.data,
                 "--config", config, "--name", "live", "--flush-ms", 50, "--json")  # fmt: skip

    def look():
        return journal.violet("status", "--name", "live", "--json")

    until(
        lambda: (
            journal.run("live")
            and journal.value(
                "SELECT sum(decisions + evaluations) FROM batches WHERE run_id = {run:String}",
                run=journal.run("live").run_id,
            )
            == 200
        ),
        40,
    )
    began = time.monotonic()
    seen = look()
    assert time.monotonic() - began < 5
    assert (seen.code, seen.json[0]["mode"], seen.json[0]["usual_step_s"]) == (0, "RUN", 60.0)
    watch = spawn("status", "--name", "live", "--data", journal.data, "--watch", "--json")
    until(lambda: watch.out.exists() and len(watch.out.read_text().splitlines()) >= 2, 40)
    monkeypatch.setattr("journal.judge.health.SILENT_S", 0.0)
    monkeypatch.setattr("journal.judge.health.SILENT_STEPS", 0)
    silent = look()
    hangs, quiet = silent.json[0]["why"]  # the same bound for both, and it is 0 here
    assert (silent.code, hangs[:35], quiet) == (2, "the soak gives no sign of life for ", "no scan for more than 0 s")
    soak.kill()
    ended(soak)
    until(lambda: "INTERRUPTED" in watch.out.read_text(), 40)
    watch.send_signal(signal.SIGINT)
    said = ended(watch)
    looks = [json.loads(each)[0]["mode"] for each in said.out.splitlines()]
    assert (looks[0], looks[-1], said.code) == ("RUN", "INTERRUPTED", 2)


def test_an_interrupt_ends_what_a_script_put_into_the_background(journal, calm):
    ignoring = ("bash", "-c", 'trap "" INT; exec "$@"', "bash")  # as a shell starts what stands before an &
    watch = ("status", "--name", "calm", "--data", journal.data, "--watch", "--json")
    watching = fresh(*watch, by=ignoring)
    assert json.loads(watching.stdout.readline())
    watching.send_signal(signal.SIGINT)
    assert ended(watching, 20).code == 0


@pytest.mark.parametrize("state", ["RUNNING", "STOPPED", "HALTED"])
def test_a_run_that_another_replaced_does_not_go_on(journal, archive, state, config):
    """A run that was left, and `--new`: the lock of their name is held by the newer one alone."""
    name = f"twice-{state.lower()}"
    left = interrupted(journal.data, 1, config=config, scans=archive, name=name, batch_size=100)
    save(journal.store, replace(journal.run(name), state=state))  # RUNNING: as after a crash
    with Lock.acquire(soak_lock(journal.data, name)):
        (seen,) = journal.violet("status", left.run_id, "--json").json
        assert (seen["state"], seen["mode"], seen["replaced_by"]) == (state, {"RUNNING": "RUN"}.get(state, state), "")
    newer = journal.soak(config=config, scans=archive, name=name, new=True)
    for locked in (True, False):
        with Lock.acquire(soak_lock(journal.data, name)) if locked else nullcontext():
            (seen,) = journal.violet("status", left.run_id, "--json").json
            page = whole(journal.store, find(journal.store, run_id=left.run_id), journal.data, now())
        stands = "INTERRUPTED" if state == "RUNNING" else state
        assert (seen["state"], seen["mode"], page["state"]) == (stands, stands, stands)
        (why,) = [words for words in seen["why"] if stands.lower() in words.lower()]
        assert why.endswith(f" run {newer.run_id} replaced it")
    assert journal.violet("status", newer.run_id, "--json").json[0]["replaced_by"] == ""


def test_the_last_scan_is_that_of_any_partition(journal, session_tansu):
    """The later scans lie on the partition with the lower offsets."""
    topic = session_tansu.create_topic(partitions=2)
    later = [records.scan(n, stream="ob2", ts_ms=records.START_MS + records.MINUTE_MS * 3_000 + n) for n in range(50)]
    produce(session_tansu.bootstrap, topic, [records.scan(n) for n in range(1_500)], 0)
    produce(session_tansu.bootstrap, topic, later, 1)
    soaked = journal.soak(bootstrap_servers=session_tansu.bootstrap, topic=topic, until="end", name="two-partitions")
    (seen,) = journal.violet("status", soaked.run_id, "--json").json
    last = journal.value("SELECT max(ts) FROM scans WHERE run_id = {run:String}", run=soaked.run_id)
    assert seen["last_scan"] == f"{last.isoformat()}+00:00"
    assert seen["usual_step_s"] == 60.0


def test_planes_alone_have_no_drift(journal, tmp_path, config):
    soaked = journal.soak(config=config, scans=records.write(tmp_path / "planes.jsonl", records.every_plane()))
    (seen,) = journal.violet("status", soaked.run_id, "--json").json
    assert (seen["planes"], seen["drift_s"], seen["last_scan"]) == (soaked.summary["planes"], None, None)
    assert "last scan  none yet\n" in journal.violet("status", soaked.run_id).out
    (answer,) = journal.violet("sql", "--saved", "freshness", "--run", soaked.run_id, "--json").json
    assert (answer["outcomes"], answer["drift_s"]) == (soaked.summary["planes"], None)
