"""The life of a run: stopped, resumed, ended, begun anew, gone on with otherwise."""

import json
import signal

import pytest

from journal.lock import Lock, soak_lock
from journal.refusal import Refusal
from tests.integration import records
from tests.integration.soaking import Soaked, ended, interrupted, until, violet


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The records of the topic as an archive."""
    return records.write(tmp_path_factory.mktemp("archive") / "a.jsonl", records.mixed(600, long=False))


@pytest.fixture(scope="module")
def undisturbed(journal, topic):
    return journal.soak(**topic.source)


def stopped(journal, name, **flags):
    left = interrupted(journal.data, 2, name=name, batch_size=60, **flags)
    assert 0 < left.summary["records"] < 600
    return left


@pytest.mark.slow
def test_signals_drain_and_the_same_command_goes_on(journal, archive, undisturbed, spawn):
    command = [
        "soak",
        "--scans",
        archive,
        "--data",
        journal.data,
        "--name",
        "signals",
        "--json",
        "--flush-ms",
        "50",
    ]
    paced = [*command, "--speed", "2400x"]  # its 400 minutes would take 10 s
    seen = "SELECT count() FROM evaluations WHERE run_id IN (SELECT run_id FROM runs WHERE name = 'signals')"

    first = spawn(*paced)
    until(lambda: journal.value(seen))
    first.send_signal(signal.SIGTERM)
    said = ended(first, 10)
    left = Soaked(said.code, json.loads(said.out), said.err)
    assert (left.code, left.summary["state"], left.summary["lost"]) == (2, "STOPPED", 0)
    assert 0 < left.summary["records"] < 600
    assert "stopping" in left.err

    second, before = spawn(*paced), journal.value(seen)
    until(lambda: journal.value(seen) > before)
    second.send_signal(signal.SIGINT)
    second.send_signal(signal.SIGINT)  # the second one does not wait for the drain
    assert ended(second, 5).code == 2

    again = journal.soak(scans=archive, name="signals", batch_size=100)  # pace and batch size are no difference
    assert (again.run_id, again.summary["state"]) == (left.run_id, "ENDED")
    assert (again.hash, again.counts) == (undisturbed.hash, undisturbed.counts)
    codes = journal.rows("SELECT code FROM incidents WHERE run_id = {run:String} ORDER BY at", run=again.run_id)
    assert [row["code"] for row in codes][:3] == ["STARTED", "STOPPED", "RESUMED"]
    assert [row["code"] for row in codes][-2:] == ["RESUMED", "ENDED"]


def test_end_reads_the_run_under_its_lock(journal):
    with Lock.acquire(soak_lock(journal.data, "nobody")):
        said = journal.violet("end", "--name", "nobody")
    assert (said.code, "is locked by pid" in said.err) == (3, True)  # before it looks for the run
    assert "no run of that name" in journal.violet("end", "--name", "nobody").err


def test_a_pace_with_a_topic_is_said_to_do_nothing(journal, topic, undisturbed):
    soaked = journal.soak(**topic.source, speed="60x")
    assert soaked.hash == undisturbed.hash
    assert f"--speed 60x paces an archive; topic {topic.name} comes as fast as it is written" in soaked.err
    assert "paces an archive" not in undisturbed.err


@pytest.mark.slow
def test_end_and_new(journal, topic, undisturbed):
    first = stopped(journal, "lives", **topic.source)
    assert journal.violet("end", "--name", "lives").code == 0
    assert journal.run("lives").state == "ENDED"
    again = journal.violet("end", "--name", "lives")
    assert (again.code, "Ended already" in again.err) == (3, True)
    second = stopped(journal, "lives", **topic.source)  # an Ended run is never gone on with
    assert second.run_id != first.run_id
    third = journal.soak(**topic.source, name="lives", new=True)
    assert third.run_id not in (first.run_id, second.run_id)
    assert (third.hash, third.counts) == (undisturbed.hash, undisturbed.counts)
    assert journal.soak(**topic.source, name="lives").run_id != third.run_id
    states = "SELECT run_id, state FROM runs WHERE name = 'lives' ORDER BY started_at"
    assert [row["state"] for row in journal.rows(states)] == ["ENDED", "STOPPED", "ENDED", "ENDED"]
    assert journal.figures(first.run_id)["lost"] == 0  # what an early end did not read is not lost
    assert journal.figures(second.run_id) | second.counts == journal.figures(second.run_id)


@pytest.mark.slow
def test_another_profile_is_refused_by_name_and_accepted_as_a_segment(journal, topic, undisturbed):
    left = stopped(journal, "segments", **topic.source)
    before = journal.figures(left.run_id)
    with pytest.raises(Refusal, match=r"profile or params \(v3_base9 .*, was blue_8b .*--new-segment"):
        journal.soak(**topic.source, name="segments", profile="v3_base9")
    assert journal.figures(left.run_id) == before
    assert journal.run("segments").state == "STOPPED"
    again = journal.soak(**topic.source, name="segments", profile="v3_base9", new_segment=True)
    at = left.summary["records"]
    assert again.run_id == left.run_id
    assert journal.rows("SELECT segment, first_offset, profile FROM segments WHERE run_id = {run:String} ORDER BY segment", run=again.run_id) == [
        {"segment": 1, "first_offset": 0, "profile": "blue_8b"}, {"segment": 2, "first_offset": at, "profile": "v3_base9"}]  # fmt: skip
    assert [each["segment"] for each in again.summary["segments"]] == [1, 2]
    spans = "SELECT segment, min(log_offset) AS first, max(log_offset) AS last, uniqExact(params_hash) AS params FROM ("
    spans += " UNION ALL ".join(
        f"SELECT segment, log_offset, params_hash FROM {t} WHERE run_id = {{run:String}}"
        for t in ("decisions", "evaluations")
    )
    first, second = journal.rows(spans + ") GROUP BY segment ORDER BY segment", run=again.run_id)
    assert first["last"] < at <= second["first"]
    assert (first["params"], second["params"]) == (1, 1)
    rows = "SELECT log_offset, vel_div, asset, posture, reasons FROM decisions WHERE run_id = {run:String} AND log_offset >= {at:Int64} ORDER BY log_offset"
    same = [journal.rows(rows.replace(", reasons", ""), run=r, at=at) for r in (again.run_id, undisturbed.run_id)]
    assert same[0] == same[1]  # the state went over the border: cadence, identities, posture
    assert (again.summary["lost"], again.summary["doubled"], again.summary["corrupt"]) == (0, 0, 0)
    assert journal.violet("verify", again.run_id, "--json").json["verdict"] == "PASS"
    verdicts = journal.violet("gate", again.run_id, "--json").json
    worst = max((each["verdict"] for each in verdicts["segments"]), key=("PASS", "HOLD", "FAIL").index)
    assert verdicts["verdict"] == worst == again.summary["verdict"]


@pytest.mark.slow
def test_other_params_of_a_lane_are_another_segment_too(journal, topic, tmp_path):
    left = stopped(journal, "params", **topic.source)
    config = tmp_path / "violet.toml"
    config.write_text("".join(
        [f'{key} = "{value}"\n' for key, value in {"[reactor]\ndata": journal.data, "name": "params", **topic.source}.items()]
        + ["[dc]\nboost = 1.15\n"]
    ), "utf-8")  # fmt: skip
    refused = violet("soak", "--config", config)
    assert (refused.code, "profile or params" in refused.err) == (3, True)
    assert violet("soak", "--config", config, "--new-segment").code in (0, 2)
    sql = "SELECT max(dc) AS dc FROM decisions WHERE run_id = {run:String} GROUP BY segment ORDER BY segment"
    assert [row["dc"] for row in journal.rows(sql, run=left.run_id)] == [1.10, 1.15]


@pytest.mark.slow
def test_another_archive_is_refused(journal, archive, tmp_path):
    left = stopped(journal, "archives", scans=archive)
    lines = archive.read_bytes().split(b"\n")[:600]
    with pytest.raises(Refusal, match="reads another log.*sha256"):
        journal.soak(scans=records.write(tmp_path / "other.jsonl", lines[:599]), name="archives")
    moved = records.write(tmp_path / "same.jsonl", lines)
    assert journal.soak(scans=moved, name="archives").run_id == left.run_id  # the same lines elsewhere are the same log
