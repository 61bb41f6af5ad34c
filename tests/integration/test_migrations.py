"""Migrations as commands: nothing is applied twice, edited, or taken for what it is not."""

import shutil

import pytest

from journal.keep.migrate import scripts, views
from journal.refusal import Refusal
from tests.integration import records
from tests.integration.soaking import ROOT, Journal, ended, fresh


@pytest.fixture
def empty(tmp_path):
    """A directory with an engine and no table."""
    opened = Journal(tmp_path / "data")
    yield opened
    opened.close()


def tables(journal):
    return {row["name"] for row in journal.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")}


def test_dry_run_shows_all_and_applies_nothing_then_once_and_never_again(empty):
    names = [script.name for script in (*scripts(), *views())]
    dry = empty.violet("migrate", "--dry-run", "--json").json
    assert (dry["dry_run"], [each["name"] for each in dry["scripts"]]) == (True, names)
    assert tables(empty) <= {"violet_migrations"}
    assert "CREATE TABLE IF NOT EXISTS violet_decisions" in empty.violet("migrate", "--dry-run").out
    assert [each["name"] for each in empty.violet("migrate", "--json").json["scripts"]] == names
    assert {"violet_decisions", "decisions", "lane_readings"} <= tables(empty)
    assert empty.violet("migrate", "--json").json["scripts"] == []
    assert "nothing to do" in empty.violet("migrate", "--dry-run").out


def test_an_edited_file_and_a_newer_journal_are_refused(empty, tmp_path):
    empty.violet("migrate")
    before = empty.rows("SELECT * FROM violet_migrations ORDER BY version, name")
    for folder in ("journal", "sql"):  # the journal reads the sql/ that lies beside it
        shutil.copytree(ROOT / folder, tmp_path / "mine" / folder)
    script = tmp_path / "mine/sql" / scripts()[3].name
    script.write_text(script.read_text("utf-8").replace("UInt64", "UInt32", 1), "utf-8")
    said = ended(fresh("migrate", "--data", empty.data, env={"PYTHONPATH": f"{tmp_path / 'mine'}:{ROOT}"}))
    assert said.code == 3
    assert f"migration {script.name} was edited after it was applied; fix: restore the file" in " ".join(
        said.err.split()
    )
    assert empty.rows("SELECT * FROM violet_migrations ORDER BY version, name") == before

    empty.store.command(
        "INSERT INTO violet_migrations (version, name, checksum) VALUES (99, '0099__runs__grow.sql', 'x')"
    )
    said = empty.violet("migrate")
    assert (said.code, "0099__runs__grow.sql" in said.err, "newer version" in said.err) == (3, True, True)
    with pytest.raises(Refusal, match="newer version"):
        empty.soak(scans=records.write(tmp_path / "a.jsonl", records.plain(5)))
