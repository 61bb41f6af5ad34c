"""Taps: a lane's topic, its history and lane_readings say the same; a tap that falls short costs readings alone."""

import json
import signal
import struct
import uuid
from datetime import UTC, timedelta

import pytest

import reactor.tap.writer
from journal.judge.health import health
from journal.judge.page import whole
from journal.keep.retention import prune
from journal.ledger.run import now
from journal.refusal import Refusal
from journal.store import JournalAway
from lanes.registry import LANES
from reactor.log.connection import plain
from reactor.log.kafka import KafkaLog
from reactor.log.outlet import TapWriter
from reactor.log.tansu import Tansu
from reactor.tap.history import History
from reactor.tap.reading import decode, encode, tap_topic
from tests.integration import records
from tests.integration.soaking import Topic, ended, free_of, fresh, interrupted, produce, until, violet

NAMES = tuple(lane.name for lane in LANES)

pytestmark = pytest.mark.slow


def bits(value):
    return struct.pack(">d", value)


def recorded(bootstrap, topic):
    """Records of a tap topic by partition and offset of their scans, as bytes; one a scan."""
    log = KafkaLog(plain(bootstrap), topic, "tests")
    found = {}
    try:
        partitions = range(log.describe().partitions)
        lows, ends = log.lows(partitions), log.ends(partitions)
        for p in partitions:
            for chunk in log.range(p, lows[p], ends[p]):
                for value in chunk.values:
                    said = decode(value)
                    assert said.partition == p
                    assert found.setdefault((p, said.offset), value) == value
    finally:
        log.close()
    return found


@pytest.fixture(scope="module")
def calm(journal, topic):
    """A soak of the topic with all taps off."""
    return journal.soak(**topic.source)


@pytest.fixture(scope="module")
def tapped(journal, topic):
    """A soak of the topic with all taps on: its name and what it left. Batches are small, so that states matter."""
    name = f"tapped-{uuid.uuid4().hex[:6]}"
    return name, journal.soak(**topic.source, name=name, taps="all", batch_size=97)


def scans(soaked):
    return soaked.summary["decisions"] + soaked.summary["evaluations"]


# -- one truth ---------------------------------------------------------------------------------------------------------


def test_taps_change_no_outcome_and_no_order_was_tried(tapped, calm):
    _, soaked = tapped
    assert (soaked.hash, soaked.counts, soaked.summary["orders"]) == (calm.hash, calm.counts, 0)
    assert soaked.summary["taps"] == {lane: {"sent": scans(soaked), "dropped": 0} for lane in NAMES}
    assert "taps" not in calm.summary


@pytest.mark.parametrize("lane", NAMES)
def test_the_topic_the_history_and_the_view_say_the_same_of_every_scan(journal, topic, tapped, lane):
    name, soaked = tapped
    told = recorded(topic.broker.bootstrap, tap_topic(name, lane))
    lines = journal.violet("tap", lane, "--run", soaked.run_id, "--from", "@0", "--json").out.encode().splitlines()
    assert lines == [told[key] for key in sorted(told)]
    rows = journal.rows(
        "SELECT partition, log_offset, stream, scan_id, value, components, actuated FROM lane_readings "
        "WHERE run_id = {run:String} AND lane = {lane:String} ORDER BY log_offset",
        run=soaked.run_id, lane=lane,
    )  # fmt: skip
    assert len(rows) == len(lines) == scans(soaked)
    assert {row["actuated"] for row in rows} == {True, False}
    for row, line in zip(rows, lines, strict=True):
        said = decode(line)
        assert encode(said) == line
        assert (said.partition, said.offset, said.stream, said.scan_id) == tuple(
            row[each] for each in ("partition", "log_offset", "stream", "scan_id")
        )
        assert bits(said.value) == bits(row["value"])
        assert {n: bits(v) for n, v in said.components.items()} == {n: bits(v) for n, v in row["components"].items()}


def test_at_a_bar_a_decision_and_a_quiet_one_are_the_topics_record(journal, topic, tapped):
    name, soaked = tapped
    told = recorded(topic.broker.bootstrap, tap_topic(name, "acb"))
    for table in ("decisions", "evaluations"):
        row = journal.rows(
            f"SELECT scan_id, partition, log_offset FROM {table} WHERE run_id = {{run:String}} AND scan_id IN "
            "(SELECT scan_id FROM lane_readings WHERE run_id = {run:String} GROUP BY scan_id HAVING count() = 5) "
            "ORDER BY log_offset LIMIT 1 OFFSET 20",
            run=soaked.run_id,
        )[0]
        record = told[row["partition"], row["log_offset"]]
        for at in (row["scan_id"], f"@{row['log_offset']}"):
            said = journal.violet("tap", "acb", "--run", soaked.run_id, "--at", at, "--json")
            assert (said.code, said.out.encode()) == (0, record + b"\n")
            of_topic = violet("tap", "acb", "--topic", tap_topic(name, "acb"), "--bootstrap-servers",
                              topic.broker.bootstrap, "--at", at, "--json")  # fmt: skip
            assert of_topic.out == said.out


def test_a_run_that_starts_late_shows_planes_that_came_before_it(journal, topic, tapped):
    _, whole = tapped
    late = journal.soak(**topic.source, from_="300")
    ask = ("tap", "acb", "--json", "--from", "@300", "--run")
    mine, theirs = (journal.violet(*ask, each.run_id).out.splitlines() for each in (late, whole))
    assert mine == [line.replace(whole.run_id, late.run_id) for line in theirs]
    assert json.loads(mine[0])["inputs"].keys() - {"vel_div", "w750"}


def test_partitions_and_streams_on_either_broker(journal, broker):
    source = Topic(broker, broker.create_topic(partitions=2), 600)
    for stream, partition in zip(records.STREAMS, (1, 0), strict=True):
        lines = [line for line in records.mixed(600, records.STREAMS, long=False) if f'"{stream}"'.encode() in line]
        produce(source.broker.bootstrap, source.name, lines[:150], partition)
    name = f"two-{uuid.uuid4().hex[:6]}"
    soaked = journal.soak(
        bootstrap_servers=source.broker.bootstrap, topic=source.name, until="150", name=name, taps="ob,esof"
    )
    assert soaked.summary["taps"].keys() == {"ob", "esof"}
    told = recorded(source.broker.bootstrap, tap_topic(name, "esof"))
    assert {partition for partition, _ in told} == {0, 1}
    ask = ("tap", "esof", "--json", "--run", soaked.run_id)
    lines = journal.violet(*ask, "--from", "@0").out.encode().splitlines()
    assert lines == [told[key] for key in sorted(told)]
    place = ("--topic", tap_topic(name, "esof"), "--bootstrap-servers", source.broker.bootstrap)
    last = [decode(line) for line in violet("tap", "esof", *place, "--limit", "3", "--json").out.encode().splitlines()]
    keys = [[key for key in sorted(told) if key[0] == partition][-3:] for partition in (0, 1)]
    assert [(each.partition, each.offset) for each in last] == [*keys[0], *keys[1]]
    assert journal.violet(*ask, "--at", "5").err.count("fix: --stream NAME") == 1
    one = journal.violet(*ask, "--at", "5", "--stream", "ob2").json
    assert (one["stream"], one["partition"], one["scan_id"]) == ("ob2", 0, 5)
    with pytest.raises(Refusal, match="no topic|is not on"):
        recorded(source.broker.bootstrap, tap_topic(name, "acb"))


def test_a_segment_of_other_params_says_so_on_its_readings(journal, topic):
    name = f"segments-{uuid.uuid4().hex[:6]}"
    flags = {"name": name, "batch_size": 60, "taps": "acb", **topic.source}
    left = interrupted(journal.data, 2, **flags)
    again = journal.soak(**flags, profile="v3_base9", new_segment=True)
    told = recorded(topic.broker.bootstrap, tap_topic(name, "acb"))
    lines = journal.violet("tap", "acb", "--json", "--from", "@0", "--run", left.run_id).out.encode().splitlines()
    assert lines == [told[key] for key in sorted(told)]
    said = [decode(line) for line in lines]
    first = [each.params_hash for each in said if each.offset < left.summary["records"]]
    then = [each.params_hash for each in said if each.offset >= left.summary["records"]]
    assert (len(set(first)), len(set(then)), set(first) & set(then)) == (1, 1, set())
    assert again.run_id == left.run_id


def test_planes_that_retention_dropped_are_left_out_and_it_is_said(journal, topic, every, ask):
    soaked = journal.soak(**topic.source, batch_size=60)
    fifth = journal.rows(
        "SELECT written_at, last_offset FROM batches WHERE run_id = {run:String} ORDER BY first_offset",
        run=soaked.run_id,
    )[4]
    prune(journal.store, soaked.run_id, fifth["written_at"].replace(tzinfo=UTC) + timedelta(milliseconds=1))
    said = journal.violet("tap", "acb", "--json", "--from", "@0", "--run", soaked.run_id)
    assert said.err.count("planes were dropped by age") == 1
    found = [json.loads(line) for line in said.out.splitlines()]
    for mine, was in zip(found, every, strict=True):
        if mine["offset"] > fifth["last_offset"]:
            assert mine == was | {"run": soaked.run_id}
        else:
            assert (mine["value"], mine["components"], mine["age_ms"]) == (was["value"], was["components"], None)
            assert mine["inputs"].keys() <= {"vel_div", "w750"}
    assert journal.violet("tap", "base", "--from", "@0", "--run", soaked.run_id).err == ""


def test_a_resume_may_tap_otherwise(journal, topic, calm):
    name = f"turn-{uuid.uuid4().hex[:6]}"
    left = interrupted(journal.data, 2, name=name, batch_size=60, taps="acb", **topic.source)
    again = journal.soak(**topic.source, name=name)
    assert (again.run_id, again.hash, again.counts) == (left.run_id, calm.hash, calm.counts)
    assert len(again.summary["segments"]) == 1


def test_the_embedded_broker_has_taps_too(journal, mixed):
    soaked = journal.soak(scans=mixed, taps="dc")
    assert soaked.summary["taps"] == {"dc": {"sent": scans(soaked), "dropped": 0}}
    assert soaked.hash == journal.soak(scans=mixed).hash


# -- what falls short --------------------------------------------------------------------------------------------------


def writing_to(monkeypatch, make):
    """Soaks of this process make their producer so."""
    monkeypatch.setattr("reactor.run.session.TapWriter", make)
    monkeypatch.setattr(reactor.tap.writer, "DRAIN_S", 1.0)


def short(journal, soaked, calm, reason):
    """Outcomes are the calm run's; every reading was sent or dropped, and an incident says why."""
    assert (soaked.hash, soaked.counts, soaked.summary["orders"]) == (calm.hash, calm.counts, 0)
    assert (soaked.summary["lost"], soaked.summary["doubled"], soaked.summary["corrupt"]) == (0, 0, 0)
    for lane, counts in soaked.summary["taps"].items():
        assert counts["sent"] + counts["dropped"] == scans(soaked), lane
        assert counts["dropped"] > 0
    noted = journal.rows(
        "SELECT severity, detail FROM incidents WHERE run_id = {run:String} AND code = 'TAPS_DROPPED'",
        run=soaked.run_id,
    )
    assert {row["severity"] for row in noted} == {"WARN"}
    assert any(reason in row["detail"] for row in noted)
    return soaked.summary["taps"]


def test_a_broker_that_is_killed_costs_readings_alone(journal, topic, calm, monkeypatch, tmp_path):
    with Tansu(tmp_path / "broker.log") as other:
        writing_to(monkeypatch, lambda _, topics, client: TapWriter(plain(other.bootstrap), topics, client))
        batches = 0

        def seam(step):
            nonlocal batches
            batches += step == "after_completion"
            if batches == 4 and step == "after_commit":
                until(lambda: recorded(other.bootstrap, tap_topic("killed", "acb")))
                other.close()

        counts = short(
            journal,
            journal.soak(**topic.source, seam=seam, name="killed", taps="all", batch_size=50),
            calm,
            reactor.tap.writer.AWAY,
        )
    assert counts["acb"]["sent"] > 0


def test_a_broker_that_is_not_there_costs_readings_alone(journal, topic, calm, monkeypatch):
    monkeypatch.setattr("reactor.log.admin.PATIENCE_S", 0.2)
    writing_to(monkeypatch, lambda _, topics, client: TapWriter(plain("127.0.0.1:1"), topics, client))
    counts = short(journal, journal.soak(**topic.source, taps="base,acb"), calm, reactor.tap.writer.AWAY)
    assert [each["sent"] for each in counts.values()] == [0, 0]


@pytest.mark.parametrize(
    ("limit", "value", "reason"),
    [
        ("reactor.log.outlet.QUEUE_RECORDS", 16, reactor.tap.writer.AWAY),
        ("reactor.tap.writer.ROWS_MAX", 60, reactor.tap.writer.FULL),
    ],
)
def test_a_slow_broker_costs_readings_alone(journal, topic, calm, monkeypatch, limit, value, reason):
    monkeypatch.setattr(limit, value)
    monkeypatch.setattr(reactor.tap.writer, "SHARE", 0.001)
    counts = short(journal, journal.soak(**topic.source, taps="acb", batch_size=50), calm, reason)
    assert counts["acb"]["sent"] > 0


def test_a_short_disk_drops_taps_before_it_degrades(journal, topic, calm, monkeypatch):
    monkeypatch.setattr("reactor.run.attend.DISK_TAPS", 0.0)
    counts = short(journal, journal.soak(**topic.source, taps="ob,esof"), calm, reactor.tap.writer.DISK)
    assert [each["sent"] for each in counts.values()] == [0, 0]


def test_a_fault_in_a_tap_costs_readings_alone(journal, topic, calm, monkeypatch):
    def broken(batch, lane, kernel_hash, run):
        raise ZeroDivisionError("a tap's own fault")

    monkeypatch.setattr(reactor.tap.writer, "readings", broken)
    short(journal, journal.soak(**topic.source, taps="dc"), calm, "ZeroDivisionError: a tap's own fault")


def test_what_waits_when_a_soak_is_stopped_still_goes(journal, topic, monkeypatch):
    monkeypatch.setattr(reactor.tap.writer, "SHARE", 0.001)  # a rest longer than the soak
    left = interrupted(journal.data, 4, name="drained", taps="esof", batch_size=50, **topic.source)
    assert left.summary["taps"] == {"esof": {"sent": scans(left), "dropped": 0}}


def test_a_write_elsewhere_is_refused_counted_and_fails_the_gate(journal, topic, calm, monkeypatch):
    writing_to(monkeypatch, lambda broker, topics, client: TapWriter(broker, set(list(topics)[1:]), client))
    name = f"astray-{uuid.uuid4().hex[:6]}"
    soaked = journal.soak(**topic.source, name=name, taps="acb,ob")
    assert (soaked.hash, soaked.counts) == (calm.hash, calm.counts)
    assert soaked.summary["taps"] == {
        "acb": {"sent": 0, "dropped": scans(soaked)},
        "ob": {"sent": scans(soaked), "dropped": 0},
    }
    assert soaked.summary["orders"] > 0
    assert (soaked.code, soaked.summary["verdict"]) == (1, "FAIL")
    assert "orders FAIL" in soaked.summary["verdict_basis"]
    look = health(journal.store, journal.run(name), journal.data, writer="", at=now())
    assert (look["orders"], look["health"]) == (soaked.summary["orders"], "FAILING")
    assert whole(journal.store, journal.run(name), journal.data, now())["orders"] == soaked.summary["orders"]
    with pytest.raises(Refusal, match="is not on"):
        recorded(topic.broker.bootstrap, tap_topic(name, "acb"))


def test_a_soak_does_not_tap_into_the_topic_that_it_reads(journal, topic):
    source = topic.broker.create_topic("violet.loop.lanes.ob")
    with pytest.raises(
        Refusal, match=r"violet\.loop\.lanes\.ob has the name of a lane's readings; fix: name a topic of scans"
    ):
        journal.soak(bootstrap_servers=topic.broker.bootstrap, topic=source, name="loop", taps="all")
    assert journal.run("loop") is None


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ask(journal, tapped):
    """ask(...): `violet tap acb --json` of the tapped run, as decoded lines."""

    def asked(*arguments, lane="acb"):
        said = journal.violet("tap", lane, "--run", tapped[1].run_id, "--json", *arguments)
        assert said.code == 0, said.err
        return [json.loads(line) for line in said.out.splitlines()]

    return asked


@pytest.fixture(scope="module")
def every(ask):
    return ask("--from", "@0")


def test_from_takes_a_span_an_offset_a_scan_and_a_time(ask, every):
    assert ask() == every[-20:]
    assert ask("--limit", 3) == every[-3:]
    at = every[100]
    assert ask("--from", f"@{at['offset']}", "--limit", 7) == every[100:107]
    first = next(n for n, each in enumerate(every) if each["scan_id"] == at["scan_id"])
    assert ask("--from", at["scan_id"]) == every[first:]
    time = next(n for n, each in enumerate(every) if each["ts_ms"] >= records.START_MS + 60 * 60_000)
    assert ask("--from", "2025-05-04T16:33Z") == every[time:]
    latest = max(each["ts_ms"] for each in every)
    back = next(n for n, each in enumerate(every) if each["ts_ms"] >= latest - 5 * 60_000)
    assert ask("--from", "-5m") == every[back:]


def test_where_is_a_condition_on_lane_readings(ask, every):
    high = [each for each in every if each["value"] > 1.2 and each["components"]["acb_boost"] == 1.35]
    assert 0 < len(high) < len(every)
    assert ask("--from", "@0", "--where", "value > 1.2 AND components['acb_boost'] = 1.35") == high
    assert ask("--where", "value > 1.2 -- and so on", "--limit", 2) == [r for r in every if r["value"] > 1.2][-2:]
    quiet = ask("--from", "@0", "--where", "NOT actuated", "--stream", "ng7")
    assert 0 < len(quiet) < len(every)
    assert ask("--from", "@0", "--where", "false") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "yesterday"), r"'yesterday': must be a span back such as -5m, an offset such as @5678, a scan id"),
        (("--from", "-5"), "must be a span back such as -5m"),
        (("--from", "999999"), "has no reading at 999999; fix: @999999 if it is an offset"),
        (("--at", "-5m"), "--at -5m: must be a scan id such as 1234, or @OFFSET such as @5678"),
        (("--at", "@999999"), "has no reading at @999999"),
        (("--at", "1", "--follow"), "--at is one scan"),
        (("--where", "valu < 1"), "Maybe you meant: ['value']"),
        (("--where", "value < 1) UNION ALL (SELECT 1"), "fix: a condition such as 'value < 1'"),
        (("--where", "file('/etc/hostname') != ''"), "read-only gate: the name 'file' is not for readers"),
        (("--where", "(SELECT count() FROM url('http://127.0.0.1:1/', 'RawBLOB')) = 1"), "fix: a condition"),
        (("--topic", "t"), "--topic and --bootstrap-servers go together"),
        (("--topic", "t", "--bootstrap-servers", "127.0.0.1:1", "--where", "true"), "--where and --run ask the journal"),
    ],
)  # fmt: skip
def test_what_was_typed_wrongly_is_refused_with_the_fix(journal, tapped, arguments, words):
    run = () if "--topic" in arguments else ("--run", tapped[1].run_id)
    said = journal.violet("tap", "acb", *run, *arguments)
    assert (said.code, said.out) == (3, "")
    assert words in said.err


def test_people_read_a_line_a_reading(journal, tapped, every):
    said = journal.violet("tap", "acb", "--run", tapped[1].run_id, "--limit", 1)
    last = every[-1]
    assert said.out.count("\n") == 1
    for words in (
        f"#{last['scan_id']} @{last['offset']}",
        f"acb {last['value']!r}",
        "mc_scale",
        f"age {last['age_ms'] / 1e3:g} s",
    ):
        assert words in said.out


def test_a_topic_is_read_from_a_point_on(topic, tapped, every):
    place = ("--topic", tap_topic(tapped[0], "acb"), "--bootstrap-servers", topic.broker.bootstrap, "--json")

    def ask(*arguments):
        said = violet("tap", "acb", *place, *arguments)
        assert said.code == 0, said.err
        return [json.loads(line) for line in said.out.splitlines()]

    assert ask() == every[-20:]
    assert ask("--from", f"@{every[50]['offset']}", "--limit", 5) == every[50:55]
    assert ask("--from", "-5m") == every[-len(ask("--from", "-5m")) :]
    assert ask("--from", "2025-05-04T16:33Z")[-1] == every[-1]
    other = violet("tap", "ob", *place)
    assert (other.code, "holds readings of acb; fix: `violet tap acb" in other.err) == (3, True)
    scans_ = violet("tap", "acb", "--topic", topic.name, "--bootstrap-servers", topic.broker.bootstrap)
    assert (scans_.code, "something else than readings" in scans_.err) == (3, True)
    none = violet("tap", "acb", "--topic", "violet.v.lanes.acb", "--bootstrap-servers", topic.broker.bootstrap)
    assert (none.code, "`violet soak --taps LANE`" in " ".join(none.err.split())) == (3, True)
    gone = violet("tap", "acb", *place, "--at", "999999")
    assert (gone.code, "has no reading at 999999" in gone.err) == (3, True)


def test_a_follower_hears_what_comes_and_ends_with_ctrl_c_or_the_run(tmp_path, session_tansu, spawn):
    source = Topic(session_tansu, session_tansu.create_topic(), 0)
    place = ("--bootstrap-servers", source.broker.bootstrap, "--topic", source.name)
    produce(source.broker.bootstrap, source.name, [*records.every_plane(), *(records.scan(n) for n in range(5))])
    soak = spawn(
        "soak", *place, "--data", tmp_path, "--flush-ms", "50", "--taps", "ob", "--name", "live", "--until", "40"
    )
    tap = ("tap", "ob", "--json", "--follow", "--from", "@0")
    told = ("--topic", tap_topic("live", "ob"), "--bootstrap-servers", source.broker.bootstrap)
    until(lambda: violet("tap", "ob", *told).code == 0, 30)
    journaled, heard = spawn(*tap, "--data", tmp_path), spawn(*tap, *told)
    lines = 5
    for n in range(5, 20):
        produce(source.broker.bootstrap, source.name, [records.scan(n)])
        lines += 1
    for follower in (journaled, heard):
        until(lambda follower=follower: follower.out.read_text().count("\n") == lines, 30)
        assert follower.out.read_text() == journaled.out.read_text()
    heard.send_signal(signal.SIGINT)
    assert ended(heard, 10).code == 0
    produce(source.broker.bootstrap, source.name, [records.scan(n) for n in range(20, 33)])
    assert ended(soak, 30).code == 2  # fewer than 100 decisions
    left = ended(journaled, 30)
    assert (left.code, left.out.count("\n"), left.err) == (0, 33, "")
    free_of(tmp_path)


def test_an_engine_that_goes_between_two_pages_costs_no_reading_and_repeats_none(journal, tapped, every, monkeypatch):
    went = []

    def pages(history, starts, ends):
        for page in whole_pages(history, starts, ends):
            yield page
            if page[-1].offset not in went:
                went.append(page[-1].offset)
                raise JournalAway("it went with its soak")

    whole_pages = History.pages
    monkeypatch.setattr("reactor.tap.history.PAGE", 60)
    monkeypatch.setattr("reactor.cli.tap.FOLLOW_S", 0.0)
    monkeypatch.setattr(History, "pages", pages)
    for limit in (len(every), 150):
        went.clear()
        tap = ("tap", "acb", "--run", tapped[1].run_id, "--from", "@0", "--json", "--follow", "--limit", limit)
        said = journal.violet(*tap)
        assert [json.loads(line) for line in said.out.splitlines()] == every[:limit]
        assert len(went) == -(-limit // 60) - 1


def test_whoever_reads_may_go_away(journal, tapped):
    tap = fresh("tap", "acb", "--json", "--from", "@0", "--run", tapped[1].run_id, "--follow", "--data", journal.data)
    tap.stdout.close()  # long before it writes
    assert tap.wait(30) == 3
    with tap.stderr as said:
        assert said.read() == ""


def test_lanes_say_rate_and_exact_quantiles(journal, tapped):
    _, soaked = tapped
    rows = {row["lane"]: row for row in journal.violet("lanes", soaked.run_id, "--json").json}
    values = {}
    for row in journal.rows("SELECT lane, value FROM lane_readings WHERE run_id = {run:String}", run=soaked.run_id):
        values.setdefault(row["lane"], []).append(row["value"])
    for lane, found in values.items():
        found.sort()
        row = rows[lane]
        assert (row["n"], row["low"], row["high"]) == (len(found), found[0], found[-1])
        for q in (5, 50, 95, 99):
            at = (len(found) - 1) // 2 if q == 50 else int(q / 100 * len(found))  # of two in the middle the lower
            assert row[f"q{q:02}"] == found[at], (lane, q)
        assert (
            row["kernel_hash"]
            == json.loads(journal.violet("tap", lane, "--run", soaked.run_id, "--limit", 1, "--json").out)[
                "kernel_hash"
            ]
        )
    span = "ts > (SELECT max(ts) FROM lane_readings WHERE run_id = {run:String}) - toIntervalMinute(5)"
    recent = journal.value(
        f"SELECT count() FROM lane_readings WHERE run_id = {{run:String}} AND lane = 'ob' AND {span}", run=soaked.run_id
    )
    assert {row["rate_per_s"] for row in rows.values()} == {recent / 300}
