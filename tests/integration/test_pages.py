"""The pages' own commands, run as they stand there, page by page, on a soak that ended."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from reactor.log.archive import zstd
from tests.integration import records
from tests.integration.soaking import ROOT, Journal, violet
from tests.test_pages import blocks

PAGES = ("start", "sql", "replay", "watching")
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
    yield home, journals[0]
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


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work_as_they_stand(folder, page, monkeypatch):
    home, journal = folder
    monkeypatch.chdir(home)
    (row,) = journal.rows("SELECT run_id, any(scan_id) AS scan_id FROM decisions WHERE run_id = {run:String} GROUP BY run_id",
                          run=journal.run("violet").run_id)  # fmt: skip
    ran = 0
    for words in statements(ROOT / "docs" / f"{page}.md"):
        program, *rest = [{"RUN": row["run_id"], "SCAN_ID": str(row["scan_id"])}.get(word, word) for word in words]
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
