"""A run that is carried to another journal as a document: its outcomes are those of a run that nobody carried."""

import json

import pytest

from lanes.profile import PROFILES
from reactor.run.carry import load
from reactor.standin.seeded import write_market
from tests.integration import records
from tests.integration.soaking import Journal, interrupted, soak, violet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]
SCANS = "SELECT * EXCEPT (run_id, segment, topic) FROM {} WHERE run_id = {{run:String}} AND log_offset >= {{at:Int64}} ORDER BY log_offset"


def rest(journal, run_id, at):
    """All rows of a run from an offset on."""
    views = ("decisions", "evaluations", "planes", "rejects")
    return {view: journal.rows(SCANS.format(view), run=run_id, at=at) for view in views}


def carried(data, to, folder):
    """Export the latest run of a directory and import it into another one; where it goes on."""
    file = folder / f"{to.name}.json"
    said = violet("state", "export", "--data", data, "--out", file)
    assert said.code == 0, said.err
    said = violet("state", "import", file, "--data", to, "--json")
    assert said.code == 0, said.err
    return file, said.json


def test_the_seeded_market_goes_on_elsewhere_twice_with_the_hash_of_one_run(tmp_path, journal):
    """Behind cadence, repeats, late planes and rejects of the market, and behind a second journey."""
    scans = tmp_path / "market.jsonl.zst"
    write_market(scans, 7, 2_000)
    calm = journal.soak(scans=scans)
    left = interrupted(tmp_path / "a", batch_size=900, scans=scans)
    _, there = carried(tmp_path / "a", tmp_path / "b", tmp_path)
    at = there["positions"]["0"]
    assert (there["run_id"], at) == (left.run_id, left.summary["records"])
    between = interrupted(tmp_path / "b", batch_size=900, scans=scans)
    assert (between.run_id, between.summary["carried"]["records"]) == (left.run_id, at)
    _, last = carried(tmp_path / "b", tmp_path / "c", tmp_path)
    assert last["positions"]["0"] > at
    ended = soak(tmp_path / "c", scans=scans)
    assert (ended.summary["whole_content_hash"], ended.summary["state"]) == (calm.hash, "ENDED")
    for name in ("decisions", "evaluations", "planes", "rejects", "records"):
        assert ended.summary[name] + ended.summary["carried"][name] == calm.summary[name]
    assert [ended.summary[name] for name in ("lost", "doubled", "corrupt")] == [0, 0, 0]
    elsewhere = Journal(tmp_path / "c")
    try:
        offset = last["positions"]["0"]
        assert rest(elsewhere, left.run_id, offset) == rest(journal, calm.run_id, offset)
        codes = {row["code"] for row in elsewhere.rows("SELECT code FROM incidents")}
        assert "COPY_RESUMED" in codes
    finally:
        elsewhere.close()
    said = violet("verify", "--data", tmp_path / "c", "--json")
    assert (said.code, said.json["identical"], said.json["whole_content_hash"]) == (0, True, calm.hash), said.err
    scans.unlink()  # from the stored inputs alone, behind the state that was brought
    said = violet("verify", "--data", tmp_path / "c", "--json")
    assert (said.code, said.json["identical"]) == (0, True), said.json


def test_a_topic_goes_on_elsewhere(tmp_path, journal, topic):
    calm = journal.soak(**topic.source)
    left = interrupted(tmp_path / "a", 2, batch_size=90, **topic.source)
    file, _ = carried(tmp_path / "a", tmp_path / "b", tmp_path)
    wrong = ["soak", *topic.flags, "--data", tmp_path / "b", "--profile", "v3_base9"]
    said = violet(*wrong)
    assert (said.code, f"another profile or params (v3_base9 {PROFILES['v3_base9'].hash}" in said.err) == (3, True)
    ended = soak(tmp_path / "b", **topic.source)
    assert (ended.run_id, ended.summary["whole_content_hash"]) == (left.run_id, calm.hash)
    said = violet("state", "import", file, "--data", tmp_path / "b")
    assert (said.code, f"has run {left.run_id} already" in said.err) == (3, True)


def test_a_document_that_is_not_what_was_exported_is_refused_by_name(tmp_path):
    scans = records.write(tmp_path / "scans.jsonl", records.every_plane() + records.plain(60))
    interrupted(tmp_path / "a", batch_size=20, scans=scans)
    said = violet("state", "export", "--data", tmp_path / "a")
    raw = said.out.encode()
    assert load(raw).run.name == "violet"

    def refused(changed):
        (tmp_path / "wrong.json").write_bytes(changed)
        said = violet("state", "import", tmp_path / "wrong.json", "--data", tmp_path / "b")
        assert (said.code, (tmp_path / "b").exists()) == (3, False)
        return said.err

    for at in range(0, len(raw), max(1, len(raw) // 40)):
        flipped = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        assert "state" in refused(flipped)
    assert "changed since it was exported" in refused(raw + b" ")
    assert "is of version 2, and this code knows 1" in refused(raw.replace(b'"version":1', b'"version":2'))
    assert "no state of a run" in refused(b"{}")
    assert "no state of a run" in refused(b"")


def test_what_does_not_fit_together_is_refused_whatever_its_checksum(tmp_path):
    from msgspec import json as coder

    from reactor.run.carry import Document, _sealed

    scans = records.write(tmp_path / "scans.jsonl", records.every_plane() + records.plain(60))
    interrupted(tmp_path / "a", batch_size=20, scans=scans)
    known = json.loads(violet("state", "export", "--data", tmp_path / "a").out)
    other = json.loads(PROFILES["v3_base9"].model_dump_json())
    for table, key, value, words in (
        ("segment", "params", json.dumps(other), f"params have the hash {PROFILES['v3_base9'].hash}"),
        ("segment", "params_hash", "0" * 16, "and it says 0000000000000000"),
        ("run", "run_id", "another", "is of run another, but its segment is of"),
    ):
        changed = {**known, table: {**known[table], key: value}}
        (tmp_path / "wrong.json").write_bytes(_sealed(coder.decode(coder.encode(changed), type=Document)))
        said = violet("state", "import", tmp_path / "wrong.json", "--data", tmp_path / "b")
        assert (said.code, words in said.err) == (3, True), said.err
