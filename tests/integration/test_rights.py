"""The rights of deploy/clickhouse/users.sql on the real engine: what each login needs goes, and all else is denied."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from journal.engine.address import WRITER, attach, read
from journal.keep.migrate import migrate, scripts, views
from journal.store import JournalRefused, connect
from tests.integration import records
from tests.integration.soaking import Journal, free_of, interrupted, soak, stand_still, until, violet

pytestmark = pytest.mark.slow  # each starts ClickHouse's engine
ROOT = Path(__file__).parents[2]
USERS = (ROOT / "deploy/clickhouse/users.sql").read_text("utf-8")
STATEMENTS = [" ".join(each.split()) for each in re.sub(r"--.*", "", USERS).split(";") if each.strip()]
DENIED = 497
SYNTAX = 62
SETTINGS = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password></password>
<networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>{grants}</default></users></clickhouse>"""
RETENTION = [
    "ALTER TABLE violet_planes DELETE IN PARTITION 'r' WHERE run_id = 'r' AND 1 SETTINGS mutations_sync = 2",
    "ALTER TABLE violet_rejects UPDATE raw_sha = lower(hex(SHA256(raw))), raw = '' IN PARTITION 'r' WHERE run_id = 'r' SETTINGS mutations_sync = 2",
]
READS = [
    *(f"SELECT * FROM {view.name.removesuffix('.sql')} LIMIT 1" for view in views()),
    "SELECT count() FROM system.parts WHERE active AND database = currentDatabase()",
    "SELECT name FROM system.tables WHERE database = currentDatabase()",
    "SELECT name FROM system.settings LIMIT 1",
]
NEVER = [  # of writer and reader
    "DROP TABLE violet_decisions", "TRUNCATE TABLE violet_batches", "DROP VIEW runs", "DROP DATABASE violet",
    "ALTER TABLE violet_decisions DELETE WHERE 1", "ALTER TABLE violet_batches UPDATE segment = 2 WHERE 1",
    "ALTER TABLE violet_runs ADD COLUMN more String", "ALTER TABLE violet_decisions DETACH PARTITION 'r'",
    "CREATE TABLE more (a Int8) ENGINE = MergeTree ORDER BY a", "CREATE OR REPLACE VIEW runs AS SELECT 1",
    "CREATE DATABASE another", "RENAME TABLE violet_runs TO violet_run",
    "SELECT * FROM file('/etc/hostname', 'LineAsString')", "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "INSERT INTO FUNCTION file('out.csv', 'CSV', 'a Int8') VALUES (1)", "SELECT * FROM elsewhere.secrets",
    "GRANT SELECT ON *.* TO default", "SYSTEM SHUTDOWN",
]  # fmt: skip


def grants_of(role):
    """The grants of a role, as one gives them to a user of a file; none for nobody's."""
    grants = [each for each in STATEMENTS if role and each.startswith("GRANT ") and each.endswith(f" TO {role}")]
    return [each.rpartition(" TO ")[0] for each in grants]


def configure(folder, grants):
    """A folder in which chdb starts with these rights, or with all where there are none."""
    folder.mkdir(exist_ok=True)
    queries = "".join(f"<query>{escape(each)}</query>" for each in grants)
    (folder / "users.xml").write_text(SETTINGS.format(grants=f"<grants>{queries}</grants>" if grants else ""))
    (folder / "config.xml").write_text(f"<clickhouse><users_config>{folder}/users.xml</users_config></clickhouse>")


def run(folder, statements, role=None):
    """[code, words] of each statement, as an administrator, or with the grants of a role."""
    configure(folder, grants_of(role))
    done = subprocess.run(
        [sys.executable, ROOT / "tests/integration/rights.py", folder / "db"], cwd=folder, check=True,
        input=json.dumps(statements), capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A folder with an empty database `violet`, and another database, that a stranger's secrets lie in."""
    folder = tmp_path_factory.mktemp("rights") / "server"
    made = [
        "CREATE DATABASE violet", "CREATE DATABASE elsewhere",
        "CREATE TABLE elsewhere.secrets (a Int8) ENGINE = MergeTree ORDER BY a",
    ]  # fmt: skip
    assert [code for code, _ in run(folder, made)] == [0, 0, 0]
    migrations = [
        "USE violet",
        *(script.text.strip().rstrip(";") for script in [*scripts(), *views(), *views()]),  # a view twice: replaced
    ]
    done = run(folder, migrations, "violet_migrator_role")
    assert [(text, *answer) for text, answer in zip(migrations, done, strict=True) if answer[0]] == []
    return folder


def test_every_statement_is_parsed_by_the_engine(tmp_path):
    asked = [f"SELECT formatQuerySingleLine($heredoc${each}$heredoc$)" for each in STATEMENTS]
    answers = run(tmp_path / "parsed", asked)
    assert [(each, *answer) for each, answer in zip(STATEMENTS, answers, strict=True) if answer[0]] == []
    assert run(tmp_path / "parsed", ["SELECT formatQuerySingleLine('GRANT SELECT ON')"])[0][0] == SYNTAX


@pytest.mark.parametrize("role", ["violet_writer_role", "violet_reader_role"])
def test_a_login_does_what_it_needs_and_nothing_else(server, role):
    inserts = [
        f"INSERT INTO {table} SELECT * FROM {table} WHERE 0"
        for table in sorted(
            {name for script in scripts() for name in re.findall(r"TABLE IF NOT EXISTS (violet_\w+)", script.text)}
        )
    ]
    assert len(inserts) > 15
    needs, denied = [*READS, *inserts, *RETENTION], NEVER
    if role == "violet_reader_role":
        needs, denied = READS, [*NEVER, *inserts, *RETENTION]
    answers = run(server, ["USE violet", *needs, *denied], role)[1:]
    assert [(each, *answer) for each, answer in zip(needs, answers, strict=False) if answer[0]] == []
    refused = answers[len(needs) :]
    assert [(each, *answer) for each, answer in zip(denied, refused, strict=True) if answer[0] != DENIED] == []


def test_a_soak_needs_no_more_than_the_writer_has(tmp_path):
    """A whole soak, its retention, its day and its status, on an engine whose login has the writer's grants alone."""
    archive = records.write(tmp_path / "scans.jsonl", records.mixed(300, long=False))
    calm = soak(tmp_path / "calm", scans=archive)
    data = tmp_path / "data"
    own = Journal(data)
    migrate(own.store, lambda name: None)
    own.close()
    free_of(data)
    # The embedded engine's own database also shows files, so it asks for a right to read them.
    grants = [each.replace(" violet.", " default.") for each in grants_of("violet_writer_role")]
    configure(tmp_path / "rights", [*grants, "GRANT READ ON FILE"])
    stays = "import os, sys; os.chdir = lambda path: None; from journal.engine.process import main; sys.exit(main())"
    engine = subprocess.Popen(
        [sys.executable, "-c", stays, "--data", data], cwd=tmp_path / "rights", env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: attach(data), 60)
        with connect(read(data, WRITER)) as store, pytest.raises(JournalRefused, match="ALTER ADD COLUMN"):
            store.command("ALTER TABLE violet_runs ADD COLUMN more String")
        stand_still(data)
        left = interrupted(data, 2, scans=archive, batch_size=50, keep_inputs="1ms")
        run = violet("status", "--data", data, "--json").json[0]
        assert (run["run_id"], run["lost"]) == (left.run_id, 0)
        again = soak(data, scans=archive, batch_size=50, keep_inputs="1ms")
        assert (again.hash, again.counts, again.summary["state"]) == (calm.hash, calm.counts, "ENDED")
        assert again.summary["pruned"]
        assert violet("verify", "--data", data, "--json").json["verdict"] == "PASS"
    finally:
        engine.terminate()
        engine.communicate(timeout=20)


def test_the_migrator_drops_no_row_and_reads_nothing_outside(server):
    denied = [
        "DROP TABLE violet_decisions", "TRUNCATE TABLE violet_batches", "DROP DATABASE violet", "SELECT * FROM elsewhere.secrets",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')", "GRANT SELECT ON *.* TO default", "SYSTEM SHUTDOWN",
    ]  # fmt: skip
    answers = run(server, ["USE violet", *denied], "violet_migrator_role")[1:]
    assert [(each, *answer) for each, answer in zip(denied, answers, strict=True) if answer[0] != DENIED] == []
