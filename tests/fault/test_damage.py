"""Files of the engine that are cut, gone, set aside or flipped while nothing runs: every command says so, none goes on."""

import shutil

import pytest

from journal.engine.inventory import FILE
from journal.refusal import Refusal
from tests.integration import records
from tests.integration.soaking import interrupted, soak, violet

pytestmark = pytest.mark.slow  # each starts an engine for each of its commands
TABLES = ["runs", "segments", "batches", "incidents", "decisions", "evaluations", "planes", "rejects", "blue_imports", "blue_trades"]  # fmt: skip
WAYS = ["cut", "gone", "aside"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A soak that was stopped in its midst, with an import of BLUE's trades."""
    folder = tmp_path_factory.mktemp("base")
    archive = records.write(folder / "a.jsonl", records.mixed(600, long=False))
    data = folder / "data"
    interrupted(data, name="violet", batch_size=100, scans=archive)
    trades = folder / "t.csv"
    trades.write_text(
        "trade_id,asset,side,entry_ts_ms,exit_ts_ms,leverage\nt1,BTCUSDT,SHORT,1746372780000,1746373380000,2.0\n"
    )
    said = violet("blue", "import", "--trades", trades, "--data", data)
    assert said.code == 0, said.err
    return data


@pytest.fixture
def damaged(base, tmp_path):
    """damaged(TABLE, WAY) -> a copy of the directory in which that was done to the table's parts."""

    def damage(table, way):
        data = tmp_path / "data"
        shutil.copytree(base, data, symlinks=True)
        parts = parts_of(data, table)
        assert parts
        for part in parts:
            if way == "cut":
                (part / "data.bin").write_bytes((part / "data.bin").read_bytes()[:-10])
            elif way == "gone":
                shutil.rmtree(part)
            else:
                part.rename(part.parent / "detached" / part.name)
        return data

    return damage


def parts_of(data, table):
    (folder,) = (each.resolve() for each in (data / "engine/data/default").iterdir() if each.name == f"violet_{table}")
    return [path.parent for path in folder.glob("*/checksums.txt")]


@pytest.mark.parametrize(
    ("table", "way"), [(table, way) for n, table in enumerate(TABLES) for way in (WAYS if n < 1 else [WAYS[n % 3]])]
)
def test_damage_to_any_table_is_told_by_every_command_and_refuses_a_soak(damaged, base, table, way):
    data = damaged(table, way)
    said = violet("sql", "SELECT count() AS n FROM violet_migrations", "--data", data, "--json")
    assert said.code == 0
    assert f"journal is damaged, so answers may lack rows: violet_{table}/" in said.err
    for command in (["status"], ["gate"], ["verify"], ["rejects"]):
        said = violet(*command, "--data", data)
        assert f"damaged: violet_{table}/" in said.err, (command, said)
        assert "Traceback" not in said.err
        if command != ["rejects"]:
            assert said.code in (1, 3), (command, said)
        if command in (["verify"], ["gate"]):
            assert "PASS" not in said.out.splitlines()[-1:], said.out
    for more in ({}, {"new": True}):
        with pytest.raises(Refusal, match=f"damaged.*violet_{table}/"):
            soak(data, scans=base.parent / "a.jsonl", **more)
    assert violet("doctor", "--data", data).code == 1


def test_links_that_a_copy_dropped_are_refused_before_the_engine_begins_anew(base, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(base, data, symlinks=True)
    (data / "engine/metadata/default").unlink()
    for command in (["status"], ["sql", "SELECT 1"], ["soak", "--scans", base.parent / "a.jsonl"]):
        said = violet(*command, "--data", data)
        assert said.code == 3
        assert "without its links" in said.err
    assert not (data / "engine/metadata/default").exists()


def test_a_count_that_says_more_rows_than_there_are_is_told(base, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(base, data, symlinks=True)
    file = parts_of(data, "decisions")[0] / "count.txt"
    file.write_text(str(int(file.read_text()) + 1))
    assert "violet_decisions/" in violet("sql", "SELECT 1", "--data", data).err


def test_a_journal_that_was_killed_or_written_by_an_older_version_misses_nothing(base, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(base, data, symlinks=True)
    (data / "engine" / FILE).unlink()
    said = violet("sql", "SELECT count() AS n FROM damage", "--data", data, "--json")
    assert (said.json, said.err) == ([{"n": 0}], "")


# -- healed ----------------------------------------------------------------------------------------------------------------


def flip(part):
    data = bytearray((part / "data.bin").read_bytes())
    data[len(data) // 2] ^= 0x40
    (part / "data.bin").write_bytes(data)


HEALED = {
    "an outcome's parts are cut": (["decisions"], lambda p: (p / "data.bin").write_bytes((p / "data.bin").read_bytes()[:-9])),
    "a bit of every evaluation's part": (["evaluations"], flip),
    "batches are gone": (["batches"], shutil.rmtree),
    "all is gone": (["decisions", "evaluations", "planes", "rejects", "batches"], shutil.rmtree),
    "what was proved is gone": (["proofs", "planes"], shutil.rmtree),
}  # fmt: skip


@pytest.mark.parametrize("what", HEALED)
def test_what_is_gone_is_put_back_at_its_offsets_with_the_hash_of_the_calm_run(base, tmp_path, what):
    archive, data, calm = base.parent / "a.jsonl", tmp_path / "data", base.parent / "calm"
    if not calm.exists():
        shutil.copytree(base, calm, symlinks=True)
        soak(calm, scans=archive)
    shutil.copytree(calm if "bit" in what else base, data, symlinks=True)
    tables, damage = HEALED[what]
    for table in tables:
        for part in parts_of(data, table):
            damage(part)
    said = violet("heal", "--data", data, "--json")
    assert (said.code, said.json["whole"], said.json["left"]) == (0, True, []), said
    assert sum(run["batches"] for run in said.json["runs"]) > 0 or "batches" not in tables or what == "all is gone"
    assert violet("sql", "SELECT 1", "--data", data).err == ""
    if "bit" not in what:
        soak(data, scans=archive)
    report, calmly = (violet("verify", "--data", each, "--json").json for each in (data, calm))
    assert (report["verdict"], report["identical"]) == ("PASS", True)
    for name in ("content_hash", "decisions", "evaluations", "planes", "rejects", "lost", "doubled", "corrupt"):
        assert report[name] == calmly[name], name


def test_what_cannot_be_put_back_is_named_and_may_be_accepted_once(damaged, base):
    data = damaged("incidents", "gone")
    said = violet("heal", "--data", data)
    assert said.code == 1
    assert "cannot be put back: violet_incidents/" in said.out
    assert violet("heal", "--data", data, "--accept-loss", "a test").code == 0
    assert soak(data, scans=base.parent / "a.jsonl").summary["verdict"] == "FAIL"  # the incident stays
    assert "damaged" not in violet("gate", "--data", data).err


def test_without_its_archive_a_run_is_not_healed_and_says_why(base, tmp_path):
    data, archive = tmp_path / "data", base.parent / "a.jsonl"
    shutil.copytree(base, data, symlinks=True)
    for part in parts_of(data, "decisions"):
        shutil.rmtree(part)
    away = archive.rename(archive.with_suffix(".away"))
    try:
        said = violet("heal", "--data", data)
    finally:
        away.rename(archive)
    assert said.code == 1
    assert "NOT healed: the records of run" in said.out
