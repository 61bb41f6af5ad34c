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
