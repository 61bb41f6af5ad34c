"""The lanes as workers of their own on real brokers: the fused path's hash, whoever dies and whoever takes over."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from journal.judge.scope import completed
from lanes.registry import LANES
from reactor.log.connection import plain
from reactor.tap.reading import decode, tap_topic
from reactor.topology.canary import orders_topic
from reactor.topology.lane_topic import LaneTopic
from tests.fault.crash import whole
from tests.integration import records, soaking
from tests.integration.soaking import (
    ROOT,
    Topic,
    another_version,
    ended,
    fresh,
    interrupted,
    processes,
    produce,
    until,
    violet,
)

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

    def start(name, *lanes, env=None, topic=scans):
        where = ["--bootstrap-servers", topic.broker.bootstrap, "--topic", topic.name, "--name", name]
        started.append(fresh("lane", "run", *lanes, *where, env=env))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
        worker.communicate()


def modular(scans, name, workers, data, *more):
    flags = ["--topology", "faust", "--lane-workers", workers, "--flush-ms", 50, "--batch-size", 200]
    return fresh("soak", *scans.flags, *flags, "--name", name, "--data", data, "--json", *more)


def journaled(journal, name, partition=0):
    """Records of a partition that a soak has journaled so far."""
    run = journal.run(name)
    return completed(journal.store, run.run_id).get(partition, 0) if run else 0


def same(journal, said, calm, count=COUNT):
    """It came out as the fused soak did, each offset once."""
    assert said.code == calm.code, said.err
    assert said.json["content_hash"] == calm.hash
    assert {name: said.json[name] for name in calm.counts} == calm.counts
    whole(journal.rows, said.json["run_id"], count)


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
        assert first.stderr.readline() == f"reads {scans.name} and writes violet.{name}.lanes.acb, until Ctrl-C\n"
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
    tape = LaneTopic(plain(scans.broker.bootstrap), tap_topic(name, "acb"), "test")
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
            return "base_max, base.convexity are not the soak's, so it would not be taken" in said.err

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
def test_all_five_killed_in_turn_give_the_fused_hash(journal, scans, lines, kills, tmp_path, monkeypatch):
    """The soak starts each again; the scans come while they die. No folder of theirs stays behind."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    here = set(Path.cwd().glob("*-data"))
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
    assert (list(tmp_path.iterdir()), set(Path.cwd().glob("*-data"))) == ([], here)


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


def test_a_fused_soak_resumes_in_its_topology_with_what_it_knew_of_before_the_log_begins(journal, kafka):
    """The planes came once, at the head of the log, and the broker's retention has dropped them."""
    lines = [*records.every_plane(), *(records.scan(n) for n in range(600))]
    topic = Topic(kafka, kafka.create_topic(), len(lines))
    produce(kafka.bootstrap, topic.name, lines)
    calm, name = journal.soak(**topic.source), f"kept-{time.monotonic_ns()}"
    stopped = interrupted(journal.data, 4, name=name, batch_size=100, **topic.source)
    assert stopped.summary["records"] > 200
    admin, place = kafka.admin(), TopicPartition(topic.name, 0, 200)
    admin.delete_records([place])[place].result(WAIT_S)
    lanes = fresh("lane", "run", "all", *topic.flags[:4], "--name", name)  # they know of nothing before 200
    apart = modular(topic, name, 0, journal.data)
    try:
        words = "knows nothing of what was before offset 200; stop it, and resume once with --lane-workers 1"
        until(lambda: words in violet("status", "--name", name, "--data", journal.data, "--json").out, WAIT_S, 0.5)
        apart.send_signal(signal.SIGINT)
        assert ended(apart).json["records"] == stopped.summary["records"]
    finally:
        for each in (apart, lanes):
            each.kill()
            each.communicate()
    same(journal, ended(modular(topic, name, 1, journal.data), WAIT_S), calm, len(lines))


def test_a_worker_that_is_started_again_repeats_what_is_not_journaled_and_no_more(journal, scans):
    count, name = 20_000, f"again-{time.monotonic_ns()}"
    topic = Topic(scans.broker, scans.broker.create_topic(), count + 10)
    produce(scans.broker.bootstrap, topic.name, (records.scan(n) for n in range(count)))
    soak = modular(topic, name, 1, journal.data)

    def said():
        tape = LaneTopic(plain(scans.broker.bootstrap), tap_topic(name, "base"), "test")
        try:
            return tape.ends([0])[0]
        finally:
            tape.close()

    try:
        until(lambda: journaled(journal, name) == count, WAIT_S)
        assert said() == count
        for pid in processes(f"lanes-{name}.json"):
            os.kill(pid, signal.SIGKILL)
        produce(scans.broker.bootstrap, topic.name, [records.scan(n) for n in range(count, count + 10)])
        assert ended(soak, WAIT_S).json["records"] == count + 10
    finally:
        soak.kill()
    assert said() == count + 10


def test_a_batch_in_doubt_of_a_foreign_kernel_that_is_here_comes_out_again(journal, scans, lane, tmp_path, monkeypatch):
    class Died(BaseException):
        pass

    steps = []

    def seam(step):
        steps.append(step)
        if steps.count("after_decisions") == 3:
            raise Died

    module = f"feed_{time.monotonic_ns()}"
    (tmp_path / f"{module}.py").write_text("def factory(params):\n    return lambda scan, planes: 1.25\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / "feed.toml"
    config.write_text(f'[acb]\nkernel = "{module}:factory"\n')
    calm, name = journal.soak(**scans.source, config=config), f"foreign-{time.monotonic_ns()}"
    lane(name, *NAMES, "--config", config, env={"PYTHONPATH": f"{ROOT}:{tmp_path}"})
    flags = {**scans.source, "name": name, "topology": "faust", "lane_workers": "0", "batch_size": "100"}
    with pytest.raises(Died):
        soaking.soak(journal.data, seam, config, **flags)
    said = soaking.soak(journal.data, config=config, **flags)
    assert (said.code, said.hash, said.counts) == (calm.code, calm.hash, calm.counts)


def test_a_fused_soak_goes_on_where_lanes_apart_turned_one_partition_alone(journal, scans, lane, tmp_path):
    topic = Topic(scans.broker, scans.broker.create_topic(partitions=2), 200)
    streams = [[records.scan(n, stream=stream) for n in range(200)] for stream in records.STREAMS]
    name, config = f"part-{time.monotonic_ns()}", tmp_path / "gain.toml"
    config.write_text("[acb]\nsignals_gain = 0.75\n")
    lane(name, *(n for n in NAMES if n != "acb"), topic=topic)
    first = lane(name, "acb", topic=topic)
    for partition, stream in enumerate(streams):
        produce(scans.broker.bootstrap, topic.name, stream[:150], partition)
    apart = modular(topic, name, 0, journal.data)
    until(lambda: [journaled(journal, name, p) for p in (0, 1)] == [150, 150], WAIT_S)
    first.send_signal(signal.SIGTERM)
    ended(first)
    lane(name, "acb", "--config", config, topic=topic)
    produce(scans.broker.bootstrap, topic.name, streams[0][150:160])
    until(lambda: journaled(journal, name) == 160, WAIT_S)
    apart.send_signal(signal.SIGINT)
    assert ended(apart).json["state"] == "STOPPED"
    for partition, at in ((0, 160), (1, 150)):
        produce(scans.broker.bootstrap, topic.name, streams[partition][at:], partition)
    said = ended(
        fresh("soak", *topic.flags, "--name", name, "--data", journal.data, "--config", config, "--json"), WAIT_S
    )
    assert (said.json["state"], said.json["records"]) == ("ENDED", 400), said.err
    opened = (
        "SELECT segment, partition, first_offset FROM segments WHERE run_id = {run:String} ORDER BY segment, partition"
    )
    assert [tuple(row.values()) for row in journal.rows(opened, run=said.json["run_id"])] == [
        (1, 0, 0), (1, 1, 0), (2, 0, 150), (2, 1, 150),
    ]  # fmt: skip
    assert violet("gate", said.json["run_id"], "--data", journal.data).code == said.code


FAILING = """
def factory(params):
    nan = float("nan")

    def kernel(scan, planes):
        if scan.scan_id % {raises} == 0:
            raise ValueError("{lane} at scan %d" % scan.scan_id)
        return nan if scan.scan_id % {nans} == 0 else 1.0

    return kernel
"""


def test_kernels_that_fail_on_one_scan_give_one_answer_on_every_path(journal, scans, lane, tmp_path, monkeypatch):
    fails, tables = {"dc": (7, 2), "acb": (3, 5), "ob": (2, 7), "esof": (5, 3)}, []
    for name, (raises, nans) in fails.items():
        module = f"failing_{name}_{time.monotonic_ns()}"
        (tmp_path / f"{module}.py").write_text(FAILING.format(lane=name, raises=raises, nans=nans))
        tables.append(f'[{name}]\nkernel = "{module}:factory"\n')
    config, name = tmp_path / "failing.toml", f"failing-{time.monotonic_ns()}"
    config.write_text("\n".join(tables))
    monkeypatch.syspath_prepend(tmp_path)

    def rejects(run_id):
        sql = "SELECT log_offset, code, lane, scan_id, detail, digest FROM rejects WHERE run_id = {run:String} ORDER BY log_offset"
        return journal.rows(sql, run=run_id)

    calm = journal.soak(**scans.source, config=config)
    lane(name, *NAMES, "--config", config, env={"PYTHONPATH": f"{ROOT}:{tmp_path}"})
    apart = soaking.soak(
        journal.data, config=config, **scans.source, name=name, topology="faust", lane_workers="0", batch_size="100"
    )
    assert (apart.code, apart.hash, apart.counts) == (calm.code, calm.hash, calm.counts)
    found = rejects(calm.run_id)
    assert {(row["code"], row["lane"]) for row in found} >= {("LANE_ERROR", n) for n in fails}
    assert rejects(apart.run_id) == found
    where = ["--data", journal.data, "--json", "--bootstrap-servers", scans.broker.bootstrap]
    for run_id in (calm.run_id, apart.run_id):
        proved = violet("verify", run_id, *where)
        assert (proved.code, proved.json["differing"], proved.json["recomputed_hash"]) == (0, 0, calm.hash)
        again = violet("replay", run_id, *where, "--assert-identical", "--name", f"{run_id}-again")
        assert again.code == 0, again.err
        assert rejects(again.json["run_id"]) == found
