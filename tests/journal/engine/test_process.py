"""The engine's process: one engine, sessions that share nothing, and errors with ClickHouse's own codes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from journal.engine.address import read

# In a process of its own: the embedded engine is one for each process.
HEAD = """
import sys
from pathlib import Path
from journal.engine.process import Embedded
from journal.engine.reader import QueryError
engine = Embedded(Path(sys.argv[1]) / "engine")
"""


@pytest.fixture
def says(python, tmp_path):
    """says(code) -> the lines that it prints with an engine at hand."""

    def run(code):
        out, err = python(HEAD + code, tmp_path).communicate(timeout=60)
        assert out, err
        return out.splitlines()

    return run


def test_a_config_in_the_folder_that_it_is_started_in_is_nobody_s(tmp_path):
    """chdb takes users, rights and settings from it; or ends where it is another program's."""
    for number, text in enumerate(
        ["<foo><bar></foo>", "<clickhouse><users_config>/nowhere.xml</users_config></clickhouse>"]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "config.xml").write_text(text)
        code = f"{HEAD}\nwith engine.session({{}}) as session:\n    print(session.run('SELECT 1', 'TSV', {{}}).body.decode())"
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "data"], cwd=folder, check=False, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stdout.split()) == (0, ["1"]), done.stderr


def test_what_a_session_sets_ends_with_it(says):
    code = """
with engine.session({"max_threads": "1", "readonly": "1"}) as session:
    print(session.run("SELECT getSetting('max_threads')", "TSV", {}).body.decode().strip())
    try:
        session.run("CREATE TABLE t (n Int8) ENGINE = Memory", "TSV", {})
    except QueryError as error:
        print(error.code)
with engine.session({}, "system") as session:
    print(session.run("SELECT currentDatabase(), getSetting('readonly')", "TSV", {}).body.decode())
"""
    assert says(code)[:3] == ["1", "164", "system\t0"]


def test_an_error_bears_its_code_and_a_parameter_is_bound(says):
    code = """
with engine.session({}) as session:
    for sql in ("SELEC 1", "SELECT * FROM nowhere", "SELECT throwIf(1)"):
        try:
            session.run(sql, "TSV", {})
        except QueryError as error:
            print(error.code, error.text.startswith(f"Code: {error.code}. DB::Exception"))
    answer = session.run("SELECT {x:String}, number FROM numbers(3)", "TSV", {"x": "a b"})
    print(answer.body.decode().count("a b"), answer.rows_read)
"""
    assert says(code) == ["62 True", "60 True", "395 True", "3 3"]


def test_blocks_come_one_by_one_and_an_error_in_their_midst(says):
    code = """
with engine.session({}) as session:
    print(sum(len(block) > 0 for block in session.stream("SELECT number FROM numbers(200000)", {})) > 1)
    blocks = session.stream("SELECT throwIf(number = 5000000) FROM numbers(9000000)", {})
    try:
        for _ in blocks:
            pass
    except QueryError as error:
        print(error.code)
"""
    assert says(code) == ["True", "395"]


def test_times_are_utc_wherever_the_machine_stands(says, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    code = """
with engine.session({}) as session:
    print(session.run("SELECT timezone(), toDateTime(0)", "TSV", {}).body.decode())
"""
    assert says(code)[0] == "UTC\t1970-01-01 00:00:00"


def test_a_signal_ends_it_in_good_order(python, tmp_path):
    code = "import sys; from journal.engine.process import main; sys.exit(main())"
    engine = python(code, "--data", tmp_path)
    assert engine.stderr.readline().startswith(f"serving {tmp_path} at http://127.0.0.1:")
    assert read(tmp_path, "writer") is not None
    os.kill(engine.pid, signal.SIGTERM)
    engine.communicate(timeout=20)
    assert engine.returncode == 0
