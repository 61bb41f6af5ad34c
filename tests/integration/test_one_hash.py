"""Equal records give equal rows: whatever the batch size, the broker, the partitions, the hash seed."""

import json

import pytest

from lanes.code import Bound, Outcome, Reason, Reject
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import Rules, step
from tests.integration import records
from tests.integration.soaking import Soaked, ended, fresh, violet

# A row that ClickHouse refuses and a kernel that raises need a fault; tests/fault has them.
CODES = {code.name for code in Reject} - {"BLOCK_REFUSED", "LANE_ERROR"}


@pytest.fixture(scope="module")
def calm(journal, mixed):
    """The mixed archive, soaked embedded in one batch."""
    return journal.soak(scans=mixed)


@pytest.fixture(scope="module")
def topics(session_tansu, session_kafka, mixed):
    """The mixed archive on both brokers: name -> (bootstrap, topic)."""
    found = {"tansu": (session_tansu.bootstrap, "mixed"), "kafka": (session_kafka.bootstrap, "mixed")}
    for bootstrap, topic in found.values():
        said = violet("publish", "--scans", mixed, "--bootstrap-servers", bootstrap, "--topic", topic, "--json")
        assert said.code == 0, said.err
        assert said.json["published"] == 600
    return found


def follow(topics, broker, until=600):
    bootstrap, topic = topics[broker]
    return {"bootstrap_servers": bootstrap, "topic": topic, "until": str(until)}


def test_the_mixed_archive_holds_every_kind_of_outcome(journal, calm):
    run = {"run": calm.run_id}
    assert calm.counts | {"records": 600, "lost": 0, "doubled": 0, "corrupt": 0, "skipped": 0} == calm.counts
    assert all(calm.summary[f"{kind.name.lower()}s"] for kind in Outcome)
    scans = "(SELECT reasons FROM decisions WHERE run_id = {run:String} UNION ALL SELECT reasons FROM evaluations WHERE run_id = {run:String})"
    assert set(journal.value(f"SELECT groupUniqArrayArray(reasons) FROM {scans}", **run)) == {r.name for r in Reason}
    assert set(journal.value("SELECT groupUniqArray(bound) FROM decisions WHERE run_id = {run:String}", **run)) == set(
        Bound.__members__
    )
    assert set(journal.value("SELECT groupUniqArray(code) FROM rejects WHERE run_id = {run:String}", **run)) == CODES


SIZES = [("embedded", 97), ("tansu", 4096), ("kafka", 4096), pytest.param("kafka", 7, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("broker", "size"), SIZES)
def test_batch_size_and_broker_do_not_show_in_a_row(journal, mixed, topics, calm, broker, size):
    source = {"scans": mixed} if broker == "embedded" else follow(topics, broker)
    again = journal.soak(**source, batch_size=size)
    assert (again.hash, again.counts) == (calm.hash, calm.counts)
    assert (
        journal.value(
            "SELECT max(last_offset - first_offset) + 1 FROM batches WHERE run_id = {run:String}",
            run=again.run_id,
        )
        <= size
    )
    for table in ("planes", "rejects"):  # content_hash is over the others
        sql = f"SELECT groupArray(tuple(*)) FROM (SELECT * EXCEPT (run_id, topic) FROM {table} WHERE run_id = {{run:String}} ORDER BY log_offset)"
        assert journal.value(sql, run=again.run_id) == journal.value(sql, run=calm.run_id)


@pytest.mark.slow
def test_batches_of_one_record(journal, topics):
    calm = journal.soak(**follow(topics, "kafka", 30))
    again = journal.soak(**follow(topics, "kafka", 30), batch_size=1)
    assert journal.value("SELECT count() FROM batches WHERE run_id = {run:String}", run=again.run_id) == 30
    assert (again.hash, again.counts) == (calm.hash, calm.counts)


def processes(journal, sources, seeds, sizes):
    """Soaks as processes of their own, two at a time."""
    todo = [(source, seed, size) for source in sources for size in sizes for seed in seeds]
    found = {}
    for at in range(0, len(todo), 2):
        started = []
        for number, (source, seed, size) in enumerate(todo[at : at + 2], at):
            flags = [each for name, value in source.items() for each in (f"--{name.replace('_', '-')}", value)]
            name = f"seed-{number}-{len(sizes)}"
            flags += ["--batch-size", size, "--name", name, "--data", journal.data, "--json"]
            started.append((todo[number], fresh("soak", *flags, env={"PYTHONHASHSEED": seed})))
        for (_, seed, size), process in started:
            said = ended(process, 110)
            found[seed, size, process.pid] = Soaked(said.code, json.loads(said.out), said.err)
    return found


@pytest.mark.slow
def test_the_hash_seed_does_not_show_in_a_row(journal, mixed, calm):
    """This process has a seed of its own."""
    for soaked in processes(journal, [{"scans": mixed}], ("1",), (4096,)).values():
        assert (soaked.hash, soaked.counts) == (calm.hash, calm.counts)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("broker", ["tansu", "kafka"])
def test_batch_sizes_and_hash_seeds_as_processes_of_their_own(journal, topics, calm, broker):
    for soaked in processes(journal, [follow(topics, broker)], ("0", "1"), (1, 7, 4096)).values():
        assert (soaked.hash, soaked.counts) == (calm.hash, calm.counts)


@pytest.fixture(scope="module")
def one_partition(journal, two_streams):
    return journal.soak(scans=two_streams, batch_size=150)


@pytest.mark.parametrize("broker", [pytest.param("tansu", marks=pytest.mark.slow), "kafka"])
def test_two_streams_give_the_same_rows_on_one_partition_and_on_two(
    request, journal, two_streams, one_partition, broker
):
    bootstrap = request.getfixturevalue(broker).bootstrap
    flags = ("--scans", two_streams, "--bootstrap-servers", bootstrap, "--topic", "two", "--partitions", 2)
    assert violet("publish", *flags, "--json").json["partitions"] == 2
    two = journal.soak(bootstrap_servers=bootstrap, topic="two", until="end", batch_size=64)
    assert (two.hash, two.counts) == (one_partition.hash, one_partition.counts)
    places = "SELECT partition, groupUniqArray(stream) AS streams FROM decisions WHERE run_id = {run:String} GROUP BY partition"
    assert sorted(row["streams"] for row in journal.rows(places, run=two.run_id)) == [["ng7"], ["ob2"]]


def changed(name):
    """The archive of which one record differs from the plain one, by as little as can be."""
    lines = [*records.every_plane(), *records.plain(12)]
    at = len(records.every_plane()) + 3
    ulp = -0.02 - 2 / 1_000
    changes = {
        "nothing": {},
        "vel_div": {at: records.scan(2, vel_div=ulp + 2**-58)},
        "a plane's multiplier": {0: records.plane("acb", {"boost": 1.35 + 2**-52})},
        "capital": {6: records.plane("capital", {"capital_usd": 31_000.0 + 2**-38})},
        "posture": {5: records.plane("posture", {"posture": "TURTLE"})},
        "dc_status": {at: records.scan(2, vel_div=ulp, dc_status="CONTRADICT")},
        "a reason": {at: records.scan(2, vel_div=ulp, prices={"BTCUSDT": 94_210.5, "ETHUSDT": 0.0})},
    }
    for number, line in changes[name].items():
        assert json.loads(lines[number]) != json.loads(line)
        lines[number] = line
    return lines


def computed(lines):
    """The hash of these records, as the reactor computes it before anything is stored."""
    chunk = Chunk(0, list(range(len(lines))), list(lines))
    return step(State(), chunk, Rules(PROFILES["blue_8b"]), Decoder(), topic="t", segment=1, expected=0).content_hash


def test_the_smallest_difference_gives_another_hash(journal, tmp_path):
    names = ("nothing", "vel_div", "a plane's multiplier", "capital", "posture", "dc_status", "a reason")
    hashes = {name: computed(changed(name)) for name in names}
    assert len(set(hashes.values())) == len(names)
    stored = journal.soak(scans=records.write(tmp_path / "a.jsonl", changed("capital")))
    assert int(stored.hash, 16) == hashes["capital"]


def test_the_recorded_soak_of_v3_base9(journal, tmp_path):
    steps = [n / 10_000 for n in range(-60, 61)]
    lines = [records.scan(n, vel_div=-0.0337 + step) for n, step in enumerate(steps)]
    lines += [records.scan(len(lines), vel_div=-0.06), records.scan(len(lines) + 1, vel_div=-0.0201)]
    lines[30] = records.plane("posture", {"posture": "STALKER"})  # caps nothing here
    lines[90] = records.plane("acb", {"boost": 3.0})
    soaked = journal.soak(scans=records.write(tmp_path / "v3.jsonl", lines), profile="v3_base9")
    (row,) = journal.rows(
        "SELECT quantileExact(0.5)(vel_div) AS signal, quantileExact(0.5)(leverage_fanin) AS conviction, "
        "max(notional_fraction) AS top, max(leverage_fanin) AS high FROM decisions WHERE run_id = {run:String}",
        run=soaked.run_id,
    )
    assert row == {"signal": -0.0337, "conviction": 1.3095000185185186, "top": 1.8, "high": 9.0}
    assert (soaked.code, soaked.summary["verdict"], soaked.summary["decisions"]) == (0, "PASS", 121)
