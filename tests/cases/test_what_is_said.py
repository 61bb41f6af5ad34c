"""Cases in which what was said was not so: an end that was asked for and ignored, a label that lacked, a run that was not there."""

import json
import signal

import pytest

from journal.refusal import Refusal
from tests.integration import records
from tests.integration.soaking import ended, fresh, interrupted, produce, until, violet
from tests.lanes.test_fingerprint import WITHOUT_FMA, needs_fma

# Their cubes differ in the last bit between glibc's pow with FMA and without.
TELLING = (-0.021413, -0.024117, -0.025415, -0.026348, -0.027425, -0.027629, -0.028234, -0.029204, -0.03083, -0.031491)
SCANS = [records.scan(n) for n in range(60)]
STANDIN = {"context": {"composite_hash": "9f", "scanner": "stand-in"}}


@pytest.fixture
def followed(tansu):
    """followed(lines) -> the flags of a new topic that holds them, and what puts more into it."""

    def make(lines):
        name = tansu.create_topic()
        produce(tansu.bootstrap, name, lines)
        return {"bootstrap_servers": tansu.bootstrap, "topic": name}, lambda more: produce(tansu.bootstrap, name, more)

    return make


# -- a resume that is asked for something else -----------------------------------------------------------------------


def test_a_run_that_began_without_an_end_ends_where_the_resume_says(journal, followed):
    topic, put = followed(SCANS[:20])
    left = interrupted(journal.data, name="b9", batch_size=10, flush_ms=60_000, **topic)
    put(SCANS[20:40])
    done = journal.soak(name="b9", until="end", **topic)
    assert (done.run_id, done.summary["state"], done.counts["records"]) == (left.run_id, "ENDED", 40)
    assert "resuming: 20 records are journaled already" in done.err or "resuming: 10 records" in done.err


def test_an_end_that_was_passed_and_another_beginning_are_refused(journal, followed):
    topic, _ = followed(SCANS[:20])
    left = interrupted(journal.data, name="b9-refused", batch_size=10, flush_ms=60_000, **topic)
    for flags, words in (({"until": "4"}, "--until 4: run"), ({"from": "latest"}, "began with --from earliest")):
        with pytest.raises(Refusal, match=words):
            journal.soak(name="b9-refused", **topic, **flags)
    assert journal.run("b9-refused").state == "STOPPED"
    done = journal.soak(name="b9-refused", until="20", **{"from": "earliest"}, **topic)
    assert (done.run_id, done.counts["records"]) == (left.run_id, 20)


def test_a_new_run_that_begins_late_is_not_said_to_resume(journal, followed):
    topic, _ = followed(SCANS[:20])
    done = journal.soak(name="late", until="end", **{"from": "3"}, **topic)
    assert (done.counts["records"], "resuming" in done.err) == (17, False)


# -- stand-in scans ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 400], ids=["an empty topic", "behind 400 scans of another scanner"])
@pytest.mark.parametrize("spaces", [False, True], ids=["compact", "with spaces"])
def test_stand_in_scans_are_labelled_whenever_they_come(journal, followed, before, spaces):
    lines = [records.scan(n) for n in range(before)] + [records.scan(before + n, **STANDIN) for n in range(3)]
    if spaces:
        lines = [json.dumps(json.loads(line)).encode() for line in lines]
    topic, put = followed(lines[: before // 2])
    name = f"labelled-{before}-{spaces}"
    if before:
        interrupted(journal.data, name=name, batch_size=100, flush_ms=60_000, **topic)
        assert "stand-in scanner" not in journal.violet("gate", name).out
    put(lines[before // 2 :])
    done = journal.soak(name=name, until=str(len(lines)), **topic)
    assert "stand-in scanner" in done.summary["verdict_basis"]
    assert "scanner" in journal.run(name).standins


def test_what_only_looks_like_the_label_is_none(journal, followed):
    other = [
        records.scan(0, context={"scanner": "stand-in of our own"}),
        records.scan(1, context={"note": "stand-in"}),
        records.scan(2, context={"scanner": ["stand-in"], "who": {"scanner": "stand-in"}}),
        records.scan(3, remark={"scanner": "stand-in"}),
    ]
    topic, _ = followed(other)
    done = journal.soak(name="unlabelled", until="4", **topic)
    assert (done.counts["evaluations"] + done.counts["decisions"], journal.run("unlabelled").standins[4:]) == (4, ())


# -- planes and rejects --------------------------------------------------------------------------------------------


def archive(tmp_path, lines):
    return records.write(tmp_path / "scans.jsonl", lines)


def test_a_soak_without_its_inputs_holds_and_names_them_and_blue_may_have_none(journal, tmp_path):
    scans = archive(tmp_path, [records.plane("acb", {"boost": 1.3}), *[records.scan(n) for n in range(120)]])
    held = journal.soak(scans=scans)
    assert (held.code, held.summary["verdict"]) == (2, "HOLD")
    assert [c["name"] for c in held.summary["segments"][0]["clauses"]] == [
        "plane_meta", "plane_mc", "plane_ob", "plane_esof",
    ]  # fmt: skip
    assert "plane_esof HOLD" in held.summary["verdict_basis"]
    config = tmp_path / "violet.toml"
    config.write_text('[planes]\nabsent = ["meta", "mc", "ob", "esof"]\n', "utf-8")
    told = journal.soak(scans=scans, config=config)
    assert (told.code, told.summary["verdict"], told.hash) == (0, "PASS", held.hash)
    assert told.summary["verdict_basis"] == "archive, 4 stand-in lanes, BLUE has no plane meta, mc, ob, esof"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[planes]\nabsent = ["mcc"]',
            "planes.absent: must be names of planes out of acb, meta, .*; no plane is 'mcc'",
        ),
        ('[planes]\nabsent = "mc"', "planes.absent: Input should be a valid tuple"),
        ('[planes]\nabsnt = ["mc"]', r"unknown key planes.absnt; did you mean 'absent'\?"),
        ("planes = 3", r"planes must be a table, was 3; fix: write \[planes\]"),
    ],
)
def test_planes_that_there_are_not_are_refused(journal, tmp_path, text, words):
    (tmp_path / "violet.toml").write_text(text, "utf-8")
    with pytest.raises(Refusal, match=words):
        journal.soak(config=tmp_path / "violet.toml")


def test_a_file_of_which_nearly_all_is_rejected_fails(journal, tmp_path):
    done = journal.soak(scans=archive(tmp_path, [records.scan(0), *[b"PAR1 no record"] * 60]))
    assert (done.code, done.summary["verdict"]) == (1, "FAIL")
    assert "rejects FAIL" in done.summary["verdict_basis"]


# -- runs by name --------------------------------------------------------------------------------------------------


def test_a_run_that_is_not_there_is_refused_by_every_command(journal, mixed):
    journal.soak(scans=mixed, name="known")
    query = "SELECT count() FROM decisions WHERE run_id = {run:String}"
    for command in (
        ("sql", query, "--run", "nosuch"), ("sql", query, "--param", "run=nosuch"), ("gate", "nosuch"), ("verify", "nosuch"),
        ("status", "nosuch"), ("rejects", "nosuch"), ("lanes", "nosuch"), ("explain", "17", "--run", "nosuch"),
        ("tap", "acb", "--at", "17", "--run", "nosuch"), ("replay", "nosuch"), ("runs", "--name", "nosuch"),
        ("web", "--run", "nosuch"), ("compare-runs", "known", "nosuch"),
    ):  # fmt: skip
        said = journal.violet(*command)
        assert (said.code, said.out) == (3, ""), command
        assert said.err.count("\n") == 1, command
        assert "nosuch" in said.err, command


def test_tables_of_lanes_and_of_clauses_are_read_at_80_columns(journal, mixed):
    journal.soak(scans=mixed, name="wide")
    for command in (("gate",), ("lanes",), ("lanes", "--drift")):
        lines = journal.violet(*command).out.splitlines()
        begin = next(n for n, line in enumerate(lines) if line.startswith("───")) - 1
        table = [line for line in lines[begin:] if "  " in line]
        assert len(table) > 10, command
        assert max(map(len, table)) <= 80, command
        assert not any(line.startswith("without ") for line in lines), command


def test_a_run_is_named_by_prefix_name_or_latest_in_every_command(journal, mixed, two_streams):
    first, last = journal.soak(scans=two_streams, name="by-name"), journal.soak(scans=mixed, name="by-name-too")
    query = "SELECT any(run_id) AS run FROM decisions WHERE run_id = {run:String}"
    for wanted, run_id in (
        ("by-name", first.run_id), (first.run_id[:-1], first.run_id), ("latest", last.run_id), (last.run_id, last.run_id),
    ):  # fmt: skip
        assert journal.violet("sql", query, "--run", wanted, "--json").json == [{"run": run_id}]
        assert journal.violet("gate", wanted, "--json").json["run_id"] == run_id
        assert journal.violet("status", wanted, "--json").json[0]["run_id"] == run_id
        assert f"run {run_id} (" in journal.violet("explain", "@40", "--run", wanted).out.splitlines()[0]
        assert journal.violet("explain", "@40", "--run", wanted, "--json").json["run_id"] == run_id
    listed = journal.violet("runs", "--json").json
    assert [row["run_id"] for row in listed][:2] == [last.run_id, first.run_id]
    assert {(row["name"], row["state"], row["records"]) for row in listed[:2]} == {
        ("by-name-too", "ENDED", 600), ("by-name", "ENDED", 600),
    }  # fmt: skip
    assert [row["verdict"] for row in listed[:2]] == [last.summary["verdict"], first.summary["verdict"]]
    (only,) = journal.violet("runs", "--limit", "1", "--json").json
    assert only == listed[0]


def test_a_query_over_several_runs_that_names_none_says_so_on_standard_error(journal, mixed):
    several = [journal.soak(scans=mixed) for _ in range(2)]
    said = journal.violet("sql", "SELECT count() AS n FROM decisions", "--json")
    assert (said.code, said.json[0]["n"] >= sum(each.summary["decisions"] for each in several)) == (0, True)
    assert "names no run and reads the rows of all" in said.err
    assert "fix: WHERE run_id = {run:String}" in said.err
    for query in ("SELECT count() FROM decisions WHERE run_id = {run:String}", "SELECT count() FROM runs", "SELECT 1"):
        assert journal.violet("sql", query).err == ""


# -- how far it is behind ----------------------------------------------------------------------------------------


def test_status_of_a_live_topic_has_its_lag_and_says_when_it_was_seen(tmp_path, followed):
    topic, put = followed(SCANS[:50])
    flags = [part for name, value in topic.items() for part in (f"--{name.replace('_', '-')}", value)]
    soak = fresh("soak", *flags, "--data", tmp_path, "--flush-ms", 200)
    status = ("status", "--data", tmp_path)

    def row(scans):
        """Health, once so many scans are journaled and the soak has looked; before, there may be no journal to ask."""
        said = violet(*status, "--json")
        found = [row for row in said.json if row["looked_at"]] if said.out else []
        return found[0] if found and found[0]["evaluations"] + found[0]["decisions"] == scans else None

    try:
        assert until(lambda: row(50), 40)["lag_records"] == 0
        put(SCANS[50:])
        seen = until(lambda: row(60), 40)
        assert (seen["lag_records"], seen["looked_s"] < 30) == (0, True)
        shown = violet(*status).out
        assert "lag  0 records as of " in shown
    finally:
        soak.send_signal(signal.SIGTERM)
        assert ended(soak).code == 2


def test_an_archive_without_a_record_ends_and_is_not_healthy(journal, tmp_path):
    done = journal.soak(scans=records.write(tmp_path / "empty.jsonl", []), name="empty")
    said = journal.violet("status", done.run_id, "--json")
    assert (said.code, said.json[0]["health"]) == (2, "NOT SURE")
    assert "it ended without a scan" in said.json[0]["why"]


# -- another arithmetic --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(240)
@needs_fma
def test_a_machine_with_another_pow_is_named_and_never_halts_a_run(tmp_path):
    lines = [records.scan(n, vel_div=TELLING[n % len(TELLING)]) for n in range(3_000)]
    data, scans = tmp_path / "data", records.write(tmp_path / "scans.jsonl", [*records.every_plane(), *lines])
    soak = ("soak", "--scans", scans, "--data", data, "--json", "--batch-size", 500)
    left = ended(fresh(*soak, "--until", 1_500, "--name", "half"))
    whole = json.loads(left.out)
    mine = whole["math_fingerprint"]
    other = json.loads(ended(fresh(*soak, "--until", 1_500, "--name", "apart", env=WITHOUT_FMA)).out)
    assert other["math_fingerprint"] not in ("", mine)
    assert (other["records"], other["content_hash"] == whole["content_hash"]) == (whole["records"], False)

    interrupted(data, batches=2, scans=scans, batch_size=500, name="moved")
    refused = ended(fresh(*soak, "--name", "moved", env=WITHOUT_FMA))
    assert (refused.code, refused.out) == (3, "")
    assert f"another arithmetic (math fingerprint {other['math_fingerprint']}, was {mine}" in refused.err
    assert "--new-segment" in refused.err
    moved = json.loads(ended(fresh(*soak, "--name", "moved", "--new-segment", env=WITHOUT_FMA)).out)
    assert [s["math_fingerprint"] for s in moved["segments"]] == [mine, other["math_fingerprint"]]
    assert (moved["state"], moved["records"], moved["lost"]) == ("ENDED", 3_007, 0)

    elsewhere = ended(fresh("verify", "half", "--data", data, "--json", env=WITHOUT_FMA))
    report = json.loads(elsewhere.out)
    assert (elsewhere.code, report["verdict"], report["by_other_arithmetic"]) == (2, "HOLD", {"1": mine})
    assert report["differing"] > 0
    here = violet("verify", "half", "--data", data, "--json")
    assert (here.code, here.json["by_other_arithmetic"], here.json["differing"]) == (0, {}, 0)
