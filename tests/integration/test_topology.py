"""The lanes as workers of their own on real brokers: the fused path's hash, whoever dies and whoever takes over."""

import json
import os
import random
import signal
import time

import pytest

from lanes.lane import LANES
from reactor.reading import decode, tap_topic
from reactor.topology.canary import orders_topic
from reactor.topology.mark import HEADER
from reactor.topology.tape import KafkaTape
from tests.fault.crash import whole
from tests.integration import records
from tests.integration.soaking import Topic, another_version, ended, fresh, processes, produce, until, violet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
WAIT_S = 150  # workers start in seconds where nothing else runs
COUNT = 1_500
NAMES = [lane.name for lane in LANES]
KILLS = [2, pytest.param(20, marks=[pytest.mark.storm, pytest.mark.timeout(900)])]


@pytest.fixture(scope="module")
def lines():
    return records.mixed(COUNT, records.STREAMS, long=False)


@pytest.fixture
def scans(broker, lines):
    """The records as a topic of each broker in turn."""
    made = Topic(broker, broker.create_topic(), COUNT)
    produce(broker.bootstrap, made.name, lines)
    return made


@pytest.fixture
def lane(scans):
    """lane(NAME, "acb", "dc", ...) starts a worker; those that are left are killed."""
    started = []

    def start(name, *lanes, env=None):
        where = ["--bootstrap-servers", scans.broker.bootstrap, "--topic", scans.name, "--name", name]
        started.append(fresh("lane", "run", *lanes, *where, env=env))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
        worker.communicate()


def modular(scans, name, workers, data, *more):
    flags = ["--topology", "faust", "--lane-workers", workers, "--flush-ms", 50, "--batch-size", 200]
    return fresh("soak", *scans.flags, *flags, "--name", name, "--data", data, "--json", *more)


def journaled(journal, name):
    """Records that a soak has journaled so far."""
    run = journal.run(name)
    sql = "SELECT max(last_offset) + 1 FROM violet_batches WHERE run_id = {run:String} AND phase = 'COMPLETE'"
    return journal.value(sql, run=run.run_id) if run else 0


def same(journal, said, calm):
    """It came out as the fused soak did, each offset once."""
    assert said.code == calm.code, said.err
    assert said.json["content_hash"] == calm.hash
    assert {name: said.json[name] for name in calm.counts} == calm.counts
    whole(journal.rows, said.json["run_id"], COUNT)


@pytest.mark.parametrize("workers", [1, 5])
def test_one_worker_and_five_give_the_fused_hash(journal, scans, workers):
    calm = journal.soak(**scans.source)
    name = f"faust-{workers}-{time.monotonic_ns()}"
    said = ended(modular(scans, name, workers, journal.data), WAIT_S)
    same(journal, said, calm)
    until(lambda: not processes(f"lanes-{name}.json"))
    verified = violet("verify", said.json["run_id"], "--bootstrap-servers", scans.broker.bootstrap, "--data", journal.data, "--json")  # fmt: skip
    assert (verified.code, verified.json["recomputed_hash"]) == (0, calm.hash)


@pytest.mark.parametrize(
    ("away_s", "count"), [(0, COUNT), pytest.param(60, 30_000, marks=[pytest.mark.storm, pytest.mark.timeout(900)])]
)
def test_a_lane_that_dies_is_named_and_its_other_version_opens_a_segment_at_the_offset_it_speaks_from(
    journal, scans, lane, away_s, count
):
    name = f"swap-{time.monotonic_ns()}"
    end = COUNT + count
    others = lane(name, *(n for n in NAMES if n != "acb"))
    first = lane(name, "acb")
    soak = modular(Topic(scans.broker, scans.name, end), name, 0, journal.data)
    try:
        until(lambda: journaled(journal, name) == COUNT, WAIT_S)
        first.kill()  # SIGKILL, and the scans go on
        later = records.mixed(end, records.STREAMS, long=False)[COUNT:]
        for _ in range(away_s):
            produce(scans.broker.bootstrap, scans.name, later[: count // (away_s + 1)])
            del later[: count // (away_s + 1)]
            time.sleep(1.0)
        produce(scans.broker.bootstrap, scans.name, later)

        def named():
            row = next(r for r in violet("status", "--name", name, "--data", journal.data, "--json").json)
            return "waits for the worker of lane acb" in row["why"]

        until(named, WAIT_S, 0.5)
        lane(name, "acb", "--set", "acb.signals_gain=0.75")
        said = ended(soak, WAIT_S)
    finally:
        soak.kill()
        others.kill()
    whole(journal.rows, said.json["run_id"], end)
    assert (said.json["lost"], said.json["doubled"], said.json["corrupt"]) == (0, 0, 0)
    tape = KafkaTape(scans.broker.bootstrap, tap_topic(name, "acb"), "test", HEADER)
    spoken = {}
    for record in (each for window in list(tape.back(0))[::-1] for each in window):
        reading = decode(record.value)
        spoken.setdefault(reading.offset, reading.params_hash)
    tape.close()
    bears = min(o for o in spoken if spoken[o] != spoken[min(spoken)])
    run = {"run": said.json["run_id"]}
    opened = journal.rows("SELECT segment, first_offset, JSONExtractFloat(params, 'acb', 'signals_gain') AS gain FROM segments WHERE run_id = {run:String} ORDER BY segment", **run)  # fmt: skip
    assert opened == [
        {"segment": 1, "first_offset": 0, "gain": 0.5},
        {"segment": 2, "first_offset": bears, "gain": 0.75},
    ]
    for table in ("decisions", "evaluations"):
        (row,) = journal.rows(f"SELECT maxIf(log_offset, segment = 1) AS last, minIf(log_offset, segment = 2) AS first FROM {table} WHERE run_id = {{run:String}}", **run)  # fmt: skip
        assert row["last"] < bears <= row["first"]
    verified = violet("verify", run["run"], "--bootstrap-servers", scans.broker.bootstrap, "--data", journal.data, "--json")  # fmt: skip
    assert verified.code == 0, verified.out


def of_candidate(journal, run_id, where="true"):
    """Leverage of scans as a candidate of acb would have had it, by offset."""
    sql = f"SELECT log_offset, candidate_leverage FROM canaries WHERE run_id = {{run:String}} AND lane = 'acb' AND {where}"
    return {row["log_offset"]: row["candidate_leverage"] for row in journal.rows(sql, run=run_id)}


def leverages(journal, run_id):
    sql = "SELECT log_offset, leverage FROM {} WHERE run_id = {{run:String}}"
    rows = [row for t in ("decisions", "evaluations") for row in journal.rows(sql.format(t), run=run_id)]
    return {row["log_offset"]: row["leverage"] for row in rows}


def test_a_candidate_is_compared_live_and_promoted_while_the_other_lanes_go_on(journal, scans, lane, tmp_path):
    config = tmp_path / "other.toml"
    config.write_text("[acb]\nsignals_gain = 0.75\n")
    other = leverages(journal, journal.soak(**scans.source, config=config).run_id)
    name = f"canary-{time.monotonic_ns()}"
    where = ["--bootstrap-servers", scans.broker.bootstrap, "--topic", scans.name, "--name", name]
    others, current = lane(name, *(n for n in NAMES if n != "acb")), lane(name, "acb")
    soak = modular(Topic(scans.broker, scans.name, 2 * COUNT), name, 0, journal.data, "--log-format", "json")
    later = records.mixed(2 * COUNT, records.STREAMS, long=False)[COUNT:]
    try:
        until(lambda: journaled(journal, name) == COUNT, WAIT_S)
        candidate = fresh("lane", "canary", "acb", "--set", "acb.signals_gain=0.75", *where)
        run_id = journal.run(name).run_id
        produce(scans.broker.bootstrap, scans.name, later[: COUNT // 2])
        last = max(offset for offset in other if offset < COUNT)
        until(lambda: max(of_candidate(journal, run_id), default=0) > last, WAIT_S, 0.5)
        assert violet("lane", "promote", "acb", *where).code == 0
        assert ended(current, WAIT_S).code == 0  # handed over
        produce(scans.broker.bootstrap, scans.name, later[COUNT // 2 :])
        said = ended(soak, WAIT_S)
        assert others.poll() is None
    finally:
        soak.kill()
        candidate.kill()
        candidate.communicate()
    whole(journal.rows, run_id, 2 * COUNT)
    assert (said.json["lost"], said.json["doubled"], said.json["corrupt"]) == (0, 0, 0)
    opened = journal.rows("SELECT first_offset, JSONExtractFloat(params, 'acb', 'signals_gain') AS gain FROM segments WHERE run_id = {run:String} ORDER BY segment", run=run_id)  # fmt: skip
    assert [row["gain"] for row in opened] == [0.5, 0.75]
    events = [json.loads(line) for line in said.err.splitlines()]
    assert [next(e["segment"] for e in events if e["event"] == what) for what in ("started", "summary")] == [1, 2]
    bears = opened[1]["first_offset"]
    assert COUNT <= bears < 2 * COUNT
    calm = leverages(journal, journal.soak(**Topic(scans.broker, scans.name, 2 * COUNT).source).run_id)
    other = leverages(journal, journal.soak(**Topic(scans.broker, scans.name, 2 * COUNT).source, config=config).run_id)
    assert leverages(journal, run_id) == {o: (calm if o < bears else other)[o] for o in calm}
    compared = of_candidate(journal, run_id)
    assert min(compared) < bears
    assert compared == {o: other[o] for o in other if min(compared) <= o <= max(compared)}  # bit for bit, none left out
    assert any(calm[o] != other[o] for o in compared)


def test_a_candidate_beside_a_soak_that_runs_its_own_lanes_changes_nothing_and_cannot_take_their_place(
    journal, scans, monkeypatch
):
    calm = journal.soak(**scans.source)
    name = f"beside-{time.monotonic_ns()}"
    where = ["--bootstrap-servers", scans.broker.bootstrap, "--topic", scans.name, "--name", name]
    candidate = fresh("lane", "canary", "acb", "--set", "acb.signals_gain=0.75", *where)
    soak = modular(Topic(scans.broker, scans.name, COUNT + 1), name, 1, journal.data)
    try:
        run_id = until(lambda: (run := journal.run(name)) and run.run_id, WAIT_S)
        until(lambda: max(of_candidate(journal, run_id), default=0) > COUNT - 50, WAIT_S, 0.5)
        monkeypatch.setattr("reactor.cli.lane.HAND_OVER_S", 5.0)
        refused = violet("lane", "promote", "acb", *where)
        assert (refused.code, candidate.poll()) == (3, None)
        assert "no worker of acb handed over within 5 s" in refused.err
        produce(scans.broker.bootstrap, scans.name, [records.scan(9_999, ts_ms=records.START_MS + 99 * records.MINUTE_MS * COUNT)])  # fmt: skip
        said = ended(soak, WAIT_S)
    finally:
        for process in (soak, candidate):
            process.kill()
            process.communicate()
    whole(journal.rows, run_id, COUNT + 1)
    mine, right = leverages(journal, run_id), leverages(journal, calm.run_id)
    assert {o: mine[o] for o in right} == right
    assert said.json["lost"] == said.json["doubled"] == 0
    assert len(journal.rows("SELECT segment FROM segments WHERE run_id = {run:String}", run=run_id)) == 1


def test_nobody_hands_over_to_a_candidate_that_the_soak_would_not_hear(scans, lane, monkeypatch):
    name = f"unheard-{time.monotonic_ns()}"
    where = ["--bootstrap-servers", scans.broker.bootstrap, "--topic", scans.name, "--name", name]
    monkeypatch.setattr("reactor.cli.lane.HAND_OVER_S", 1.0)
    nobody = violet("lane", "promote", "base", *where)
    assert (nobody.code, "fix: start it with `violet lane canary base`" in nobody.err) == (3, True)
    current = lane(name, "base")
    candidate = fresh("lane", "canary", "base", "--profile", "v3_base9", *where)
    try:
        monkeypatch.setattr("reactor.cli.lane.HAND_OVER_S", 5.0)
        orders = orders_topic(name)  # where somebody else writes too
        produce(scans.broker.bootstrap, orders, [b"", b"{}", b'{"v":1,"act":"sing","lane":"base"}'])

        def refused():
            said = violet("lane", "promote", "base", *where)
            assert said.code == 3
            return "base_max, base.convexity are not the soak's, so it would not be heard" in said.err

        until(refused, WAIT_S)
        assert (current.poll(), candidate.poll()) == (None, None)
    finally:
        candidate.kill()
        candidate.communicate()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "base", "--set", "base.thr=-0.03"], "leave base.thr, base.extreme"),
        (["canary", "acb", "--set", "base.extreme=-0.06"], "leave base.thr, base.extreme, base.convexity as the soak"),
    ],
)
def test_what_cannot_be_is_refused_at_once(scans, arguments, words):
    named = f"none-{time.monotonic_ns()}"
    where = ["--bootstrap-servers", scans.broker.bootstrap, "--topic", scans.name, "--name", named]
    said = violet("lane", *arguments, *where)
    assert (said.code, said.out) == (3, "")
    assert words in said.err


@pytest.mark.parametrize("kills", KILLS)
def test_all_five_killed_in_turn_give_the_fused_hash(journal, scans, lines, kills):
    """The soak starts each again; the scans come while they die."""
    calm = journal.soak(**scans.source)
    dice, name = random.Random(kills), f"kills-{time.monotonic_ns()}"
    topic = scans.broker.create_topic()
    soak = modular(Topic(scans.broker, topic, COUNT), name, 5, journal.data)
    try:
        killed, share = 0, COUNT // (kills + 1)
        for at in range(kills + 1):
            produce(scans.broker.bootstrap, topic, lines[at * share : COUNT if at == kills else (at + 1) * share])
            if at < kills:
                time.sleep(dice.uniform(0.0, 1.0))
                workers = until(lambda: processes(f"lanes-{name}.json"), WAIT_S)
                victim = next((p for p, c in workers.items() if f" {NAMES[at % 5]} " in c), dice.choice(list(workers)))
                os.kill(victim, signal.SIGKILL)
                killed += 1
        said = ended(soak, WAIT_S + 15 * kills)
    finally:
        soak.kill()
    assert killed == kills
    same(journal, said, calm)
    until(lambda: not processes(f"lanes-{name}.json"))
    assert json.loads(said.out)["orders"] == 0


def test_of_several_partitions_each_is_as_the_fused_soak_has_it_though_all_five_die(journal, scans, lines):
    """A stream to each partition, and to one of them after the others have all of theirs."""
    topic = scans.broker.create_topic(partitions=3)
    streams = [[line for line in lines if f'"{stream}"'.encode() in line] for stream in records.STREAMS]
    end = min(map(len, streams)) // 2 * 2
    name = f"parts-{time.monotonic_ns()}"
    soak = modular(Topic(scans.broker, topic, end), name, 5, journal.data)
    try:
        for half in range(2):
            for partition, stream in ((2, streams[0]), (0, streams[1])):
                produce(scans.broker.bootstrap, topic, stream[half * end // 2 : (half + 1) * end // 2], partition)
                for pid in until(lambda: processes(f"lanes-{name}.json"), WAIT_S):
                    os.kill(pid, signal.SIGKILL)
                time.sleep(1.0)
        produce(scans.broker.bootstrap, topic, [records.scan(n, stream="late") for n in range(end)], 1)
        said = ended(soak, WAIT_S)
    finally:
        soak.kill()
    calm = journal.soak(**{**scans.source, "topic": topic, "until": str(end)})
    assert said.code == calm.code, said.err
    assert said.json["content_hash"] == calm.hash
    assert {each: said.json[each] for each in calm.counts} == calm.counts
    assert said.json["records"] == 3 * end


def test_a_soak_killed_in_its_topology_resumes_to_the_fused_hash(journal, scans, spawn):
    calm = journal.soak(**scans.source)
    name = f"crash-{time.monotonic_ns()}"
    command = ["soak", *scans.flags, "--topology", "faust", "--batch-size", 100, "--name", name, "--data", journal.data]
    for seam in ("after_decisions", "after_completion"):
        died = spawn(*command, "--json", seam=seam, at=3)
        assert ended(died, WAIT_S).code == -signal.SIGKILL
        until(lambda: not processes(f"lanes-{name}.json"))  # its workers die with it
    said = ended(spawn(*command, "--json"), WAIT_S)
    same(journal, said, calm)


def test_a_batch_in_doubt_that_another_release_decided_comes_from_its_readings(journal, scans, lane, spawn, tmp_path):
    calm = journal.soak(**scans.source)
    name = f"release-{time.monotonic_ns()}"
    lane(name, *(n for n in NAMES if n != "acb"))
    lane(name, "acb", env=another_version(tmp_path / "next"))
    command = ["soak", *scans.flags, "--topology", "faust", "--lane-workers", 0, "--batch-size", 100, "--name", name]
    died = spawn(*command, "--data", journal.data, "--json", seam="after_decisions", at=3)
    assert ended(died, WAIT_S).code == -signal.SIGKILL
    said = ended(spawn(*command, "--data", journal.data, "--json"), WAIT_S)
    same(journal, said, calm)
    (segment,) = journal.rows("SELECT kernels FROM segments WHERE run_id = {run:String}", run=said.json["run_id"])
    assert list(json.loads(segment["kernels"])) == ["acb"]
    verified = violet("verify", said.json["run_id"], "--bootstrap-servers", scans.broker.bootstrap, "--data", journal.data)  # fmt: skip
    assert verified.code == 3
    assert "fix: install the packages that it ran with" in verified.err
