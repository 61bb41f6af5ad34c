"""A replay: the same rows under the same params, and under others exactly what follows from them."""

import shutil
import signal

import pytest

from journal.engine.address import WRITER, read
from lanes.profile import PROFILES
from reactor.log.connection import plain
from reactor.run.source import BrokerSource
from tests.integration import records
from tests.integration.soaking import COUNTS, ended, interrupted, soak, until, violet

pytestmark = pytest.mark.slow

BLUE = PROFILES["blue_8b"]
TABLES = ("decisions", "evaluations", "planes", "rejects")
REGIME = ("acb_boost", "meta_boost", "mc_scale", "acb")
SIZES = {"raw", "cap", "bound", "leverage_fanin", "leverage", "notional_usd", "notional_fraction", "reasons"}


@pytest.fixture(scope="module")
def original(journal, tmp_path_factory):
    """A run on an archive of its own, which may be moved away."""
    archive = records.write(tmp_path_factory.mktemp("original") / "a.jsonl", records.mixed(600))
    return journal.soak(scans=archive, batch_size=250, name="original")


@pytest.fixture
def gone(original, tmp_path):
    """The original's archive is gone, for as long as the test lasts."""
    path = original.summary["source"]["path"]
    shutil.move(path, tmp_path / "elsewhere.jsonl")
    yield
    shutil.move(tmp_path / "elsewhere.jsonl", path)


@pytest.fixture(scope="module")
def without_acb(journal, original):
    """A replay from the archive with the acb lane off."""
    return replay(journal, original.run_id, "--set", "acb.enabled=false", "--name", "no-acb")


def replay(journal, run_id, *flags, code=0):
    said = journal.violet("replay", run_id, *flags, "--json")
    assert said.code == code, said.err
    return said.json


def same_rows(journal, left, right):
    """Every stored row, but for the run and its segment."""
    for table in TABLES:
        sql = f"SELECT groupArray(tuple(*)) FROM (SELECT * EXCEPT (run_id, segment) FROM {table} WHERE run_id = {{run:String}} ORDER BY topic, partition, log_offset)"
        assert journal.value(sql, run=left) == journal.value(sql, run=right)


def side_by_side(journal, run_id):
    return journal.rows("SELECT * FROM replays WHERE run_id = {run:String} ORDER BY log_offset", run=run_id)


def test_it_is_identical_under_the_same_params(journal, original):
    made = replay(journal, original.run_id, "--assert-identical", "--batch-size", 97)
    assert (made["identical"], made["differing"], made["first_differing"]) == (True, 0, [])
    assert (made["read_from"], made["replay_of"], made["differing_columns"]) == ("archive", original.run_id, {})
    assert made["content_hash"] == made["original_hash"] == original.hash
    assert {name: made[name] for name in COUNTS} == original.counts
    same_rows(journal, made["run_id"], original.run_id)
    runs = "SELECT name, replay_of, state, standins FROM runs WHERE run_id = {run:String}"
    (row,) = journal.rows(runs, run=made["run_id"])
    (was,) = journal.rows(runs, run=original.run_id)
    assert row == was | {"name": "original-replay", "replay_of": original.run_id}
    assert (was["replay_of"], f"replay of {original.run_id} from archive" in made["verdict_basis"]) == ("", True)
    rows = side_by_side(journal, made["run_id"])
    assert len(rows) == sum(original.summary[name] for name in ("decisions", "evaluations", "rejects"))
    assert not any(row["differs"] for row in rows)
    assert journal.violet("verify", made["run_id"], "--json").json["verdict"] == "PASS"


def follows(row, profile, lanes):
    """The fan-in over the original's readings, some of them replaced."""
    read = {name: row[name] for name in ("base", "dc", "acb", "ob", "esof_fanin")} | lanes
    stalker = row["posture"] == "STALKER" and profile.fanin.stalker_cap is not None
    raw = read["base"] * read["dc"] * read["acb"] * read["ob"] * read["esof_fanin"]
    cap = min(profile.base.base_max * read["acb"] * read["ob"] * read["esof_fanin"], profile.fanin.abs_max)
    cap = min(cap, profile.fanin.stalker_cap) if stalker else cap
    leverage = max(profile.base.min_lev, min(raw, cap))
    return {"raw": raw, "cap": cap, "leverage": leverage,
            "notional_usd": row["capital_usd"] * profile.fanin.fraction * leverage}  # fmt: skip


# The lane's values when it is off, what of it enters the fan-in, and the columns that may differ.
OFF = {
    "acb": (dict.fromkeys(REGIME, 1.0), {"acb": 1.0}, SIZES | set(REGIME)),
    "ob": ({"ob": 1.0}, {"ob": 1.0}, SIZES | {"ob"}),
    "esof": ({"esof": 1.0, "esof_fanin": 1.0}, {"esof_fanin": 1.0}, SIZES | {"esof", "esof_fanin"}),
    "dc": ({"dc": 1.0}, {"dc": 1.0}, (SIZES | {"dc"}) - {"cap"}),
}
PLANES = {"acb": ("ACB", "META", "MC"), "ob": ("OB",), "esof": ("ESOF",), "dc": ()}
MARKS = {
    lane: {f"PLANE_{how}_{plane}" for how in ("MISSING", "STALE") for plane in planes}
    | {f"{lane.upper()}_{how}" for how in ("OUT_OF_RANGE", "UNKNOWN")}
    for lane, planes in PLANES.items()
}


@pytest.mark.parametrize(
    "lane", ["acb", "dc", *(pytest.param(lane, marks=pytest.mark.slow) for lane in ("ob", "esof"))]
)
def test_with_a_lane_off_its_column_and_what_follows_from_it_differ_and_nothing_else(journal, original, lane):
    columns, lanes, may = OFF[lane]
    made = replay(journal, original.run_id, "--set", f"{lane}.enabled=false", "--name", f"no-{lane}")
    infinite = ("outcome", "code") if lane == "acb" else ()  # a product that was not finite now is
    assert set(made["differing_columns"]) <= may | set(infinite)
    assert made["differing_columns"][lane] > 100
    rows = side_by_side(journal, made["run_id"])
    for row in rows:
        assert (row["outcome"] != row["outcome_replayed"]) == (bool(infinite) and row["code"] == "LANE_NON_FINITE")
        if "reject" in (row["outcome"], row["outcome_replayed"]):
            continue
        expected = columns | follows(row, BLUE, lanes)
        assert {name: row[f"{name}_replayed"] for name in expected} == expected
        lifted = {"FLOOR_LIFTED"} if min(expected["raw"], expected["cap"]) == 0.0 else set()
        assert set(row["reasons_replayed"]) == (set(row["reasons"]) - MARKS[lane] - {"FLOOR_LIFTED"}) | lifted
        differs = {name for name in may if row[name] != row[f"{name}_replayed"]}
        assert set(row["differs"]) == differs


def test_it_is_written_to_a_server_too(journal, original, tmp_path, monkeypatch):
    address = read(journal.data, WRITER)  # an engine at another address, as a server would be
    monkeypatch.setenv("VIOLET_JOURNAL_PASSWORD", address.token)
    config = tmp_path / "server.toml"
    config.write_text(
        f'[reactor]\ndata = "{tmp_path / "here"}"\n[journal]\nurl = "{address.url}"\nuser = "{WRITER}"\n', "utf-8"
    )
    said = violet("replay", original.run_id, "--config", config, "--name", "served", "--assert-identical", "--json")
    assert (said.code, said.json["identical"], journal.run("served").run_id) == (0, True, said.json["run_id"])
    assert not (tmp_path / "here/engine").exists()


def test_another_cap_is_a_query(journal, original):
    made = replay(
        journal, original.run_id, "--set", "fanin.abs_max=4.5", "--set", "fanin.stalker_cap=none", "--name", "cap"
    )
    sql = "SELECT max(leverage_replayed) AS top, countIf(leverage > 4.5) AS over, countIf(leverage != leverage_replayed AND leverage <= 4.5 AND bound != 'STALKER') AS others FROM replays WHERE run_id = {run:String}"
    (row,) = journal.rows(sql, run=made["run_id"])
    assert (row["top"], row["over"] > 10, row["others"]) == (4.5, True, 0)
    said = journal.violet(
        "sql", "SELECT bound_replayed AS b, count() AS n FROM replays WHERE run_id = {run:String} GROUP BY b", "--json"
    )
    assert "STALKER" not in {row["b"] for row in said.json}  # a reader may ask too, of the latest run
    beside = journal.violet("compare-runs", original.run_id, "cap", "--json")
    assert beside.json["params"] == {"fanin.abs_max": [9.0, 4.5], "fanin.stalker_cap": [2.0, None]}
    sql = "SELECT countIf(outcome = 'decision' AND has(differs, 'leverage')) AS n FROM replays WHERE run_id = {run:String}"
    assert beside.json["pairs"]["other_leverage"] == journal.rows(sql, run=made["run_id"])[0]["n"] > 10
    text = journal.violet("compare-runs", original.run_id, "cap").out
    assert f"the leverage differs in {beside.json['pairs']['other_leverage']} of " in text
    assert f"first differing decision: scan {beside.json['first']['scan_id']} of " in text


def test_it_is_the_same_from_what_is_stored(journal, original, without_acb, gone):
    made = replay(journal, original.run_id, "--assert-identical", "--name", "from-stored")
    assert made["read_from"].startswith("stored inputs")
    same_rows(journal, made["run_id"], original.run_id)
    off = replay(journal, original.run_id, "--set", "acb.enabled=false", "--name", "stored-no-acb")
    assert (without_acb["read_from"], off["read_from"]) == ("archive", made["read_from"])
    assert off["content_hash"] == without_acb["content_hash"] != original.hash
    same_rows(journal, off["run_id"], without_acb["run_id"])


def test_what_is_not_stored_is_refused(journal, original, gone):
    before = journal.value("SELECT count() FROM violet_runs")
    for assignment, words in (
        ("base.thr=-0.01", "base.thr is -0.01, was -0.02"),
        ("select.min_alignment=-0.5", "select.min_alignment is -0.5, was 0.0"),
        ('acb.kernel="tests.reactor.run.test_foreign:no"', "fix:"),
    ):
        said = journal.violet("replay", original.run_id, "--set", assignment, "--name", "refused")
        assert (said.code, said.out) == (3, "")
        assert words in " ".join(said.err.split())
    assert journal.value("SELECT count() FROM violet_runs") == before
    stricter = replay(journal, original.run_id, "--set", "base.thr=-0.03", "--name", "stricter")
    assert 0 < stricter["decisions"] < original.summary["decisions"]


REFUSED = {
    "an unknown key": (["--set", "acb.enable=false"], ["unknown key acb.enable; did you mean acb.enabled?", "known are", "acb.beta_low"]),
    "an unknown table": (["--set", "cap.abs_max=8.5"], ["unknown key cap", "fanin"]),
    "no value": (["--set", "acb.enabled"], ["TABLE.KEY=VALUE"]),
    "a wrong value": (["--set", "fanin.abs_max=high"], ["fanin.abs_max must be a valid number, was 'high'"]),
    "no such profile": (["--profile", "blue_9"], ["blue_8b, v3_base9", "'blue_9'"]),
    "the name of a soak": (["--name", "original"], ["is the name of a soak"]),
    "a name with a slash": (["--name", "a/b"], ["--name", "letters, digits"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_rule_and_writes_nothing(journal, original, case):
    flags, words = REFUSED[case]
    before = journal.value("SELECT count() FROM violet_runs")
    said = journal.violet("replay", original.run_id, *flags)
    assert (said.code, said.out) == (3, "")
    for word in words:
        assert word in " ".join(said.err.split())
    assert journal.value("SELECT count() FROM violet_runs") == before


def test_no_such_run_is_refused(journal, original):
    said = journal.violet("replay", "20200101T000000-abcdef")
    assert (said.code, "no run '20200101T000000-abcdef'" in said.err) == (3, True)


def test_a_difference_is_named_and_exits_1(journal, original):
    made = replay(journal, original.run_id, "--set", "dc.boost=1.15", "--assert-identical", "--name", "dc-115", code=1)
    scans = original.summary["decisions"] + original.summary["evaluations"]
    assert (made["identical"], made["differing"]) == (False, scans)  # params_hash is in each row's hash
    assert made["content_hash"] != made["original_hash"] == original.hash
    assert len(made["first_differing"]) == 20
    assert any("replayed as" in line and "other in dc" in line for line in made["first_differing"])
    shown = journal.violet(
        "replay", original.run_id, "--set", "dc.boost=1.15", "--assert-identical", "--name", "dc-115"
    )
    assert (shown.code, f"not identical: {scans} rows differ" in shown.out) == (1, True)


# -- runs that began late, stopped, or lie on several partitions ---------------------------------------------------------


@pytest.fixture(scope="module")
def late(journal, topic):
    """A run that began in the middle of its log, where it had seen scans that come again."""
    return journal.soak(**topic.source, from_="300", name="late-original")


def test_a_late_start_is_replayed_in_the_state_that_it_had(journal, topic, late):
    log = BrokerSource(plain(topic.broker.bootstrap), topic.name, "looking")
    before = log.ends()
    for flags in ([], ["--bootstrap-servers", topic.broker.bootstrap]):
        made = replay(journal, late.run_id, "--assert-identical", *flags)
        assert made["read_from"].startswith("log" if flags else "stored inputs")
        same_rows(journal, made["run_id"], late.run_id)
    assert (log.ends(), made["orders"]) == (before, 0)
    log.close()
    report = journal.violet("verify", late.run_id, "--json").json
    assert (report["recomputed_from"][:13], report["verdict"]) == ("stored inputs", "PASS")


@pytest.mark.slow
def test_a_stopped_run_is_replayed_as_far_as_it_was_journaled(journal, topic):
    left = interrupted(journal.data, 2, name="left", batch_size=60, **topic.source)
    made = replay(journal, left.run_id, "--assert-identical")
    assert (made["records"], made["state"], made["content_hash"]) == (left.summary["records"], "ENDED", left.hash)
    whole_run = soak(journal.data, name="left", **topic.source)  # the original goes on as if nothing had been
    assert (whole_run.run_id, whole_run.summary["records"]) == (left.run_id, 600)
    again = replay(journal, left.run_id, "--assert-identical")
    assert (again["records"], again["run_id"] != made["run_id"]) == (600, True)


@pytest.mark.slow
def test_a_run_of_two_partitions_is_replayed_from_its_log_and_from_what_is_stored(journal, kafka, two_streams):
    flags = (
        "--scans",
        two_streams,
        "--bootstrap-servers",
        kafka.bootstrap,
        "--topic",
        "two-replayed",
        "--partitions",
        2,
    )
    assert violet("publish", *flags).code == 0
    soaked = journal.soak(
        bootstrap_servers=kafka.bootstrap, topic="two-replayed", until="end", batch_size=100, name="two"
    )
    for more in (("--bootstrap-servers", kafka.bootstrap), ()):
        made = replay(journal, soaked.run_id, "--assert-identical", "--batch-size", 64, *more)
        assert (made["read_from"] == "log", made["records"]) == (bool(more), soaked.summary["records"])
        same_rows(journal, made["run_id"], soaked.run_id)


@pytest.mark.slow
def test_a_run_of_two_profiles_is_replayed_under_one(journal, topic):
    left = interrupted(journal.data, 2, name="profiles", batch_size=60, **topic.source)
    both = soak(journal.data, name="profiles", profile="v3_base9", new_segment=True, **topic.source)
    assert both.run_id == left.run_id
    said = journal.violet("replay", both.run_id)
    assert (said.code, "different params" in said.err, "--profile" in said.err) == (3, True, True)
    made = replay(journal, both.run_id, "--profile", "v3_base9")
    assert made["content_hash"] == journal.soak(**topic.source, profile="v3_base9").hash != both.hash
    first = "SELECT min(log_offset) AS at, max(log_offset) AS last FROM replays WHERE run_id = {run:String} AND notEmpty(differs)"
    (row,) = journal.rows(first, run=made["run_id"])
    assert row["at"] < row["last"] < left.summary["records"]  # behind the border it was under these params already


@pytest.mark.slow
def test_rejects_that_are_stored_without_their_ends_cannot_be_given_again(journal, tmp_path):
    long = b'{"v":1,"kind":"' + b"x" * 70_000 + b'"}'
    archive = records.write(tmp_path / "a.jsonl", [*records.plain(20), long])
    soaked = journal.soak(scans=archive)
    assert journal.violet("verify", soaked.run_id, "--json").json["verdict"] == "PASS"
    archive.unlink()
    for command in ("verify", "replay"):
        said = journal.violet(command, soaked.run_id)
        assert (said.code, "1 rejects of run" in said.err, "bring its archive back" in " ".join(said.err.split())) == (
            3,
            True,
            True,
        )


@pytest.mark.parametrize("of", [pytest.param("original", marks=pytest.mark.slow), "late"])
def test_a_killed_replay_is_gone_on_with_or_refused(request, journal, spawn, of):
    """From the archive, and from what is stored of a run that began late."""
    run, name = request.getfixturevalue(of), f"killed-{of}"
    process = spawn("replay", run.run_id, "--data", journal.data, "--name", name, "--batch-size", 10, "--json")
    seen = f"SELECT count() FROM batches WHERE run_id IN (SELECT run_id FROM runs WHERE name = '{name}')"
    until(lambda: journal.value(seen) >= 3, every_s=0.01)
    process.kill()
    assert ended(process).code == -signal.SIGKILL
    left = journal.run(name)
    assert (left.state, left.replay_of) == ("RUNNING", run.run_id)
    said = journal.violet("replay", run.run_id, "--name", name, "--set", "dc.boost=1.2")
    assert (said.code, f"replay {left.run_id} of run {run.run_id}" in " ".join(said.err.split())) == (3, True)
    made = replay(journal, run.run_id, "--name", name, "--assert-identical")
    assert (made["run_id"], made["content_hash"]) == (left.run_id, run.hash)
    assert (made["lost"], made["doubled"], made["corrupt"]) == (0, 0, 0)
    codes = journal.rows("SELECT code FROM incidents WHERE run_id = {run:String} ORDER BY at", run=left.run_id)
    assert [row["code"] for row in codes] == ["STARTED", "RESUMED", "ENDED"]
