"""Other people's tools on the journal, as docs/sql.md shows them: its very snippets are run."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration import records
from tests.integration.soaking import ROOT, free_of, soak

PAGE = (ROOT / "docs/sql.md").read_text("utf-8")


def snippet(language, mention):
    """The page's one code block of a language that mentions a text."""
    (found,) = [block for block in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if mention in block]
    return found


@pytest.mark.slow
def test_a_notebook_gets_a_frame(journal, tmp_path):
    run = journal.soak(scans=records.write(tmp_path / "scans.jsonl", records.plain(40)))
    (tmp_path / "my-soak").symlink_to(journal.data)
    shown = "print(list(frame.columns), frame['ts'].dtype, *(at.value // 1_000_000 for at in frame['ts']), sep=chr(10))"
    asked = [
        sys.executable,
        "-c",
        snippet("python", "query_df") + shown,
    ]  # a process: ours has the driver without pandas
    columns, kind, *found = subprocess.run(
        asked, check=True, cwd=tmp_path, capture_output=True, text=True, timeout=60
    ).stdout.splitlines()
    assert columns == "['ts', 'asset', 'leverage']"
    assert kind.startswith("datetime64")
    lines = [json.loads(line) for line in records.plain(40)]
    times = [line["ts_ms"] for line in lines if line["kind"] == "scan" and line["vel_div"] < -0.02]
    assert [int(at) for at in found] == times
    assert len(times) == run.summary["decisions"] > 20


@pytest.fixture(scope="module")
def harlequin(tmp_path_factory):
    """A folder with the copy of a soak that has ended and harlequin in an environment of its own, made by the page's lines."""
    home = tmp_path_factory.mktemp("harlequin")
    soak(home / "my-soak", scans=records.write(home / "scans.jsonl", records.mixed(300, long=False)), name="copied")
    free_of(home / "my-soak")
    install, copy, _, _ = snippet("bash", "harlequin-chdb").strip().splitlines()
    shell(home, install, 240)
    shell(home, copy.partition("#")[0], 60)
    return home


def shell(home, line, timeout_s):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    env["PATH"] = f"{Path(sys.base_prefix, 'bin')}{os.pathsep}{env['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line], check=False, cwd=home, env=env, capture_output=True, text=True, timeout=timeout_s
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_harlequin_reads_a_copy(harlequin):
    query = snippet("bash", "harlequin-chdb").strip().splitlines()[3]
    rows = json.loads(shell(harlequin, f"{query} --json", 60))
    said = subprocess.run(
        [sys.executable, "-c", "from reactor.cli.main import main; main()", "sql", query.split('"')[1], "--data", "my-soak", "--json"],
        check=True, cwd=harlequin, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert sum(int(row["n"]) for row in rows) > 50
    assert {row["bound"]: int(row["n"]) for row in rows} == {row["bound"]: row["n"] for row in json.loads(said.stdout)}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_harlequin_shows_the_views_in_its_catalog(harlequin):
    line = snippet("bash", "harlequin-chdb").strip().splitlines()[2]
    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(harlequin)
        os.environ.update(TERM="xterm-256color", LINES="50", COLUMNS="160", HOME=str(harlequin))
        os.execvp("bash", ["bash", "-c", f"exec {line}"])
    shown, deadline = b"", time.monotonic() + 60
    try:
        while (
            not all(word in shown for word in (b"Data Catalog", b"Connected to chDB")) and time.monotonic() < deadline
        ):
            if select.select([screen], [], [], 0.2)[0]:
                shown += os.read(screen, 65_536)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(screen)
    assert all(word in shown for word in (b"Data Catalog", b"Connected to chDB")), shown[-2_000:]
    shutil.rmtree(harlequin / "my-copy")
