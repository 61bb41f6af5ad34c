"""Where a run begins and ends in a log, and what a log may do to it: gaps, transactions, restarts, another life."""

import json
import signal
import time
from collections import Counter
from datetime import UTC, datetime

import pytest
from confluent_kafka import TopicPartition

from journal.refusal import Refusal
from reactor.log.connection import plain
from reactor.log.kafka import KafkaLog
from tests.broker import NotOurs
from tests.integration import records
from tests.integration.records import MINUTE_MS, START_MS
from tests.integration.soaking import Topic, ended, interrupted, produce, producer, soak, until


@pytest.fixture(scope="module")
def lines():
    return records.mixed(600, long=False)


@pytest.fixture(scope="module")
def whole(journal, topic):
    return journal.soak(**topic.source)


def fill(broker, lines):
    made = Topic(broker, broker.create_topic(), len(lines))
    produce(broker.bootstrap, made.name, lines)
    return made


def span(journal, soaked):
    (row,) = journal.rows("SELECT min(log_offset) AS first, max(log_offset) AS last FROM ("
        + " UNION ALL ".join(f"SELECT log_offset FROM {t} WHERE run_id = {{run:String}}" for t in ("decisions", "evaluations", "planes", "rejects"))
        + ")", run=soaked.run_id)  # fmt: skip
    return row["first"], row["last"]


def at(minute):
    return datetime.fromtimestamp((START_MS + MINUTE_MS * minute) / 1e3, UTC).isoformat()


ROWS = "SELECT groupArray(tuple(*)) FROM (SELECT * EXCEPT (run_id) FROM {} WHERE run_id = {{run:String}} AND log_offset BETWEEN {{a:Int64}} AND {{b:Int64}} ORDER BY log_offset)"
JOURNALED = "SELECT sum(decisions + evaluations + planes + rejects) FROM batches WHERE run_id IN (SELECT run_id FROM runs WHERE name = {name:String})"


def same_rows(journal, one, other, first, last):
    for table in ("decisions", "evaluations", "planes", "rejects"):
        found = [journal.value(ROWS.format(table), run=each.run_id, a=first, b=last) for each in (one, other)]
        assert found[0] == found[1]


# -- from, until, for --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_from_an_offset_sees_the_planes_and_scans_before_it(journal, topic, whole):
    soaked = journal.soak(**topic.source | {"until": "450"}, from_="300")
    assert span(journal, soaked) == (300, 449)
    assert (soaked.summary["records"], soaked.summary["lost"]) == (150, 0)
    assert journal.value("SELECT warm FROM runs WHERE run_id = {run:String}", run=soaked.run_id) == "EXACT"
    same_rows(journal, soaked, whole, 300, 449)


@pytest.mark.slow
def test_a_resume_of_a_late_start_still_knows_the_scans_before_it(journal, topic, whole):
    flags = topic.source | {"from": "300", "name": "late", "batch_size": 20}
    interrupted(journal.data, **flags)
    resumed = soak(journal.data, **flags)
    assert span(journal, resumed) == (300, 599)
    same_rows(journal, resumed, whole, 300, 599)


@pytest.mark.slow
def test_from_and_until_a_time(journal, topic, whole):
    soaked = journal.soak(**topic.source | {"until": at(200)}, from_=at(100))
    first, last = span(journal, soaked)
    times = "SELECT min(ts_ms) AS first, argMin(ts_ms, log_offset) AS opens, argMax(ts_ms, log_offset) AS closes FROM ("
    times += " UNION ALL ".join(
        f"SELECT ts_ms, log_offset FROM {t} WHERE run_id = {{run:String}}" for t in ("decisions", "evaluations")
    )
    (row,) = journal.rows(times + ")", run=soaked.run_id)
    assert row["opens"] >= START_MS + MINUTE_MS * 100
    assert row["closes"] < START_MS + MINUTE_MS * 200
    assert (soaked.summary["state"], soaked.summary["lost"], last - first + 1) == (
        "ENDED",
        0,
        soaked.summary["records"],
    )
    same_rows(journal, soaked, whole, first, last)


def test_from_beyond_the_log_is_refused(journal, topic):
    with pytest.raises(Refusal, match=r"partition 0 holds offsets 0 to 600"):
        journal.soak(**topic.source, from_="601")


@pytest.mark.slow
def test_a_start_is_warm_where_every_plane_was_near_and_cold_where_not(journal, kafka):
    far = 262_144 + 100  # more than a run reads back
    made = fill(
        kafka,
        [
            *records.every_plane(),
            *[b"x"] * far,
            records.scan(1),
            *records.every_plane(),
            *[b"x"] * 5_000,
            records.scan(2),
        ],
    )
    cold = journal.soak(**made.source | {"until": str(far + 8)}, from_=str(far + 7))
    warm = journal.soak(**made.source, from_=str(made.count - 1))
    sql = "SELECT warm, (SELECT groupUniqArrayArray(reasons) FROM decisions WHERE run_id = {run:String}) AS reasons FROM runs WHERE run_id = {run:String}"
    (row,) = journal.rows(sql, run=cold.run_id)
    assert row["warm"] == "COLD"
    assert {f"PLANE_MISSING_{p}" for p in ("ACB", "OB", "ESOF", "POSTURE", "CAPITAL")} <= set(row["reasons"])
    assert "cold start" in cold.summary["verdict_basis"]
    assert (
        journal.value(
            "SELECT count() FROM incidents WHERE run_id = {run:String} AND code = 'COLD_START'",
            run=cold.run_id,
        )
        == 1
    )
    (row,) = journal.rows(sql, run=warm.run_id)
    assert row["warm"] == "WARM"
    assert not any("MISSING" in reason for reason in row["reasons"])


@pytest.mark.slow
def test_latest_and_for(journal, kafka, spawn):
    made = fill(kafka, [*records.every_plane(), *records.plain(30)])
    flags = [
        "--bootstrap-servers",
        kafka.bootstrap,
        "--topic",
        made.name,
        "--data",
        journal.data,
        "--name",
        "latest",
    ]
    process = spawn("soak", *flags, "--from", "latest", "--for", "3s", "--json")
    until(lambda: journal.run("latest"))
    produce(kafka.bootstrap, made.name, [records.scan(n) for n in range(30, 40)])
    summary = json.loads(ended(process, 20).out)
    assert (summary["state"], summary["decisions"], summary["records"], summary["lost"]) == (
        "ENDED",
        10,
        10,
        0,
    )
    assert (
        journal.value("SELECT min(log_offset) FROM decisions WHERE run_id = {run:String}", run=summary["run_id"])
        == made.count
    )
    assert not journal.value(
        "SELECT countIf(has(reasons, 'PLANE_MISSING_ACB')) FROM decisions WHERE run_id = {run:String}",
        run=summary["run_id"],
    )


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["tansu", "kafka"])
def test_until_end_is_the_end_when_the_run_began(request, journal, broker):
    """Tansu tells too low an end, and it is read on from there."""
    broker = request.getfixturevalue(broker)
    made = fill(broker, records.plain(500))

    def more(step):
        if step == "before_intent":
            produce(broker.bootstrap, made.name, [records.scan(900)])

    flags = made.source | {"until": "end", "name": f"end-{made.name}", "batch_size": 120}
    soaked = soak(journal.data, more, **flags)
    assert (soaked.summary["records"], soaked.summary["lost"], soaked.summary["state"]) == (made.count, 0, "ENDED")


# -- gaps ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_transactions_leave_skipped_ranges_and_lose_nothing(journal, kafka):
    made = Topic(kafka, kafka.create_topic(), 0)
    writer = producer(kafka.bootstrap, **{"transactional.id": made.name, "linger.ms": 5})
    writer.init_transactions(20)
    committed, number = [], 0
    for turn in range(12):
        writer.begin_transaction()
        batch = [records.scan(number + n) for n in range(3)]
        number += 3
        for each in batch:
            writer.produce(made.name, each)
        assert writer.flush(10) == 0
        if turn % 3 == 1:
            writer.abort_transaction(10)
        else:
            writer.commit_transaction(10)
            committed += batch
    end = 12 * 4  # three records and a marker each
    soaked = journal.soak(bootstrap_servers=kafka.bootstrap, topic=made.name, until="end", batch_size=4)
    calm = fill(kafka, committed)
    assert soaked.summary["records"] == len(committed) == 24
    assert (soaked.summary["lost"], soaked.summary["doubled"], soaked.summary["state"]) == (0, 0, "ENDED")
    assert soaked.hash == journal.soak(**calm.source).hash
    stored = [
        json.loads(row["skipped"])
        for row in journal.rows(
            "SELECT skipped FROM batches WHERE run_id = {run:String} ORDER BY first_offset", run=soaked.run_id
        )
    ]
    skipped = {offset for ranges in stored for a, b in ranges for offset in range(a, b + 1)}
    there = {
        row["log_offset"]
        for row in journal.rows("SELECT log_offset FROM decisions WHERE run_id = {run:String}", run=soaked.run_id)
    }
    assert skipped | there == set(range(end - 1))  # after the last marker nothing comes
    assert not skipped & there
    assert soaked.summary["skipped"] == len(skipped)


def trimmed(kafka, made, before):
    """The topic, its records before an offset deleted, as retention does it."""
    admin = kafka.admin()  # held until the answer is there
    admin.delete_records([TopicPartition(made.name, 0, before)])[TopicPartition(made.name, 0)].result(10)


def begun(journal, made, name):
    return interrupted(journal.data, name=name, batch_size=50, **made.source)


@pytest.mark.slow
def test_lost_offsets_are_refused_or_accepted_with_the_gap_on_record(journal, kafka, lines):
    made = fill(kafka, lines)
    left = begun(journal, made, "gap")
    wanted, low = left.summary["records"], 400
    assert wanted < low
    trimmed(kafka, made, low)
    with pytest.raises(Refusal, match=rf"partition 0 begins at {low}.*--accept-gap"):
        soak(journal.data, **made.source, name="gap")
    assert journal.run("gap").state == "STOPPED"

    def kill(step):
        raise KeyboardInterrupt  # dies before the first batch behind the gap

    with pytest.raises(KeyboardInterrupt):
        soak(journal.data, kill, **made.source, name="gap", accept_gap=True)
    again = soak(journal.data, **made.source, name="gap")  # what was accepted once stays accepted
    assert (again.run_id, again.summary["state"]) == (left.run_id, "ENDED")
    assert again.summary["records"] == wanted + 600 - low
    assert (again.summary["lost"], again.summary["doubled"], again.summary["corrupt"]) == (0, 0, 0)
    assert journal.rows("SELECT segment, first_offset, cause FROM segments WHERE run_id = {run:String} ORDER BY segment", run=left.run_id) == [
        {"segment": 1, "first_offset": 0, "cause": "start"}, {"segment": 2, "first_offset": low, "cause": f"gap before {low} in partition 0"}]  # fmt: skip
    assert journal.value("SELECT detail FROM incidents WHERE run_id = {run:String} AND code = 'GAP_ACCEPTED'", run=left.run_id) == (
        f"partition 0: offsets {wanted} to {low - 1}")  # fmt: skip


@pytest.mark.slow
def test_offsets_lost_while_it_reads_stop_the_run(journal, kafka, spawn, lines):
    made = fill(kafka, lines[:100])
    flags = ["--bootstrap-servers", kafka.bootstrap, "--topic", made.name, "--until", "600"]
    process = spawn("soak", *flags, "--data", journal.data, "--name", "eaten", "--flush-ms", "20")
    until(lambda: journal.value(JOURNALED, name="eaten") == 100)
    process.send_signal(signal.SIGSTOP)  # a consumer that sleeps while retention goes on
    time.sleep(0.2)
    produce(kafka.bootstrap, made.name, lines[100:])
    trimmed(kafka, made, 300)
    process.send_signal(signal.SIGCONT)
    said = ended(process, 20)
    assert said.code == 3
    said_of_it = " ".join(said.err.split())
    assert "no longer has offset 100; fix: restore what it lost; the run is Stopped" in said_of_it
    assert "--accept-gap goes on behind the gap" in said_of_it
    assert journal.run("eaten").state == "STOPPED"
    again = soak(journal.data, **made.source | {"until": "600"}, name="eaten", accept_gap=True)
    assert (again.summary["records"], again.summary["lost"], again.summary["state"]) == (400, 0, "ENDED")


def test_a_partition_that_was_left_is_fetched_no_more_and_the_others_are(session_tansu):
    topic = session_tansu.create_topic(partitions=2)
    for partition in (0, 1):
        produce(session_tansu.bootstrap, topic, records.plain(400), partition)
    log = KafkaLog(plain(session_tansu.bootstrap), topic, "leaves")
    try:
        log.assign({0: 0, 1: 0})
        until(lambda: any(chunk.partition == 0 for chunk in log.poll(10, 1.0)))
        log.leave(0)
        given, deadline = Counter(), time.monotonic() + 20.0
        while given[1] < 380 and time.monotonic() < deadline:
            for chunk in log.poll(10, 1.0):
                given[chunk.partition] += len(chunk)
        assert given[1] >= 380
        assert given[0] == 0
    finally:
        log.close()


def test_a_topic_made_anew_is_another_log(journal, kafka, lines):
    made = fill(kafka, lines)
    left = begun(journal, made, "anew")
    admin = kafka.admin()
    admin.delete_topics([made.name])[made.name].result(10)
    time.sleep(0.3)
    kafka.create_topic(made.name)
    produce(kafka.bootstrap, made.name, lines)
    with pytest.raises(Refusal, match="reads another log .*topic_id is"):
        soak(journal.data, **made.source, name="anew")
    assert journal.run("anew").run_id == left.run_id


# -- the broker goes and comes ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("end", [pytest.param("restart", marks=pytest.mark.slow), "kill"])
def test_a_broker_that_goes_and_comes_back_is_waited_for(journal, kafka, spawn, lines, whole, end):
    made = fill(kafka, lines[:200])
    name = f"away-{end}"
    flags = [
        "--bootstrap-servers",
        kafka.bootstrap,
        "--topic",
        made.name,
        "--until",
        "600",
        "--data",
        journal.data,
        "--name",
        name,
    ]
    process = spawn("soak", *flags, "--json", "--flush-ms", "20")
    until(lambda: journal.value(JOURNALED, name=name) == 200)
    try:
        getattr(kafka, end)()
    except NotOurs as reason:
        process.kill()
        pytest.skip(str(reason))
    if end == "kill":
        time.sleep(1.0)
        kafka.start()
    produce(kafka.bootstrap, made.name, lines[200:])
    summary = json.loads(ended(process, 60).out)
    assert (summary["content_hash"], summary["records"], summary["lost"], summary["doubled"]) == (
        whole.hash,
        600,
        0,
        0,
    )
    codes = "SELECT code FROM incidents WHERE run_id = {run:String} AND code LIKE 'BROKER%' ORDER BY at, code"
    assert [row["code"] for row in journal.rows(codes, run=summary["run_id"])] == ["BROKER_AWAY", "BROKER_BACK"]
