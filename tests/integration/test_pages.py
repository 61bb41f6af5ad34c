"""The pages' own commands, run as they stand there, page by page, on a soak that ended."""

import os
import re
import shlex
import signal
import subprocess
import sys

import pytest

from reactor.log.archive import zstd
from tests.integration import records
from tests.integration.soaking import ROOT, VIOLET, Journal, until, violet
from tests.test_pages import blocks

pytestmark = pytest.mark.slow
PAGES = ("start", "replay", "sweep", "watching", "sql", "feeds", "soak")
ALSO = {0, 2}  # of a soak and of status: HOLD is an answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a soaked archive in my-soak and in the default directory, whose engines run."""
    home = tmp_path_factory.mktemp("pages")
    lines = records.every_plane() + records.plain(240)
    (home / "scans.jsonl.zst").write_bytes(zstd.compress(b"\n".join(lines) + b"\n"))
    journals = [Journal(home / name) for name in ("my-soak", "violet-data")]
    for journal in journals:
        journal.soak(scans=home / "scans.jsonl.zst", name="violet")
    (home / "violet-data/market.jsonl.zst").hardlink_to(home / "scans.jsonl.zst")  # where `make soak` has its market
    yield home, journals[0], len(lines)
    for journal in journals:
        journal.close()


def statements(doc):
    """What the runner runs of a page: command lines, and SQL as command lines."""
    for above, language, body in blocks(doc):
        if above != "<!-- run -->":
            continue
        if language == "python":
            yield ["python", "-c", body]
        elif language == "sql":
            sql = re.sub(r"^--.*$", "", body, flags=re.MULTILINE)
            yield from (["violet", "sql", part.strip(), "--data", "my-soak"] for part in sql.split(";") if part.strip())
        else:
            yield from filter(
                None, (shlex.split(line, comments=True) for line in body.replace("\\\n", " ").splitlines())
            )


def followed(words, home, enough):
    """A command that goes on for ever, until it has enough and Ctrl-C ends it."""
    with (home / "out").open("wb") as out, (home / "err").open("wb") as err:
        process = subprocess.Popen(
            [*VIOLET, *words], cwd=home, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
    try:
        until(lambda: process.poll() is not None or enough(), within_s=60)
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
    finally:
        process.kill()
        process.wait()
    assert code in ALSO, (words, (home / "err").read_text())


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work_as_they_stand(folder, session_tansu, page, monkeypatch):
    home, journal, count = folder
    monkeypatch.chdir(home)
    filled = violet(
        "publish", "--scans", "scans.jsonl.zst", "--bootstrap-servers", session_tansu.bootstrap, "--topic", "scans"
    )
    assert filled.code == 0, filled.err
    journaled = "SELECT count() FROM (SELECT log_offset FROM scans WHERE run_id = {run:String} UNION ALL SELECT log_offset FROM planes WHERE run_id = {run:String})"
    (row,) = journal.rows("SELECT run_id, any(scan_id) AS scan_id FROM decisions WHERE run_id = {run:String} GROUP BY run_id",
                          run=journal.run("violet").run_id)  # fmt: skip

    def soaked():
        run = journal.run("violet")
        return run.state == "RUNNING" and journal.value(journaled, run=run.run_id) == count

    for above, _, body in blocks(ROOT / "docs" / f"{page}.md"):
        if above.startswith("<!-- file: "):
            (home / above.split()[2]).write_text(body)
    ran = 0
    for words in statements(ROOT / "docs" / f"{page}.md"):
        stands_for = {"RUN": row["run_id"], "SCAN_ID": str(row["scan_id"]), "HOST:9092": session_tansu.bootstrap}
        program, *rest = [stands_for.get(word, word) for word in words]
        ran += 1
        if program == "python":
            done = subprocess.run(
                [sys.executable, *rest],
                check=True,
                capture_output=True,
                timeout=100,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            assert done.stdout
            continue
        assert program == "violet"
        if "--follow" in rest:
            followed(rest, home, lambda: (home / "out").read_bytes().count(b"\n") > 10)
            continue
        if rest[0] == "soak" and "--topic" in rest:
            followed(rest, home, soaked)
            continue
        said = violet(*rest)
        assert said.code == 0 or (rest[0] in ("soak", "status", "gate") and said.code in ALSO), (words, said.err)
        assert said.out, words
    assert ran


def test_the_query_of_the_readme_works_as_it_stands(folder, monkeypatch):
    monkeypatch.chdir(folder[0])
    (body,) = (body for _, language, body in blocks(ROOT / "README.md") if language == "sh" and "violet sql" in body)
    said = violet(*shlex.split(body.replace("\\\n", " "))[1:])
    assert said.code == 0, said.err
    assert said.out.split()[:3] == ["bound", "n", "leverage"]


def test_every_block_that_is_to_be_run_is_on_a_page_that_is(folder):
    pages = {
        doc.stem for doc in (ROOT / "docs").rglob("*.md") if any(above == "<!-- run -->" for above, _, _ in blocks(doc))
    }
    assert pages == set(PAGES)
