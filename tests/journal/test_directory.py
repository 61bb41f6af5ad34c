"""A data directory is absent, empty or ours; any other folder is refused, and nothing is written there."""

import os
import subprocess
import sys

import pytest

from journal import directory
from journal.engine import owner
from journal.lock import Lock, engine_lock, soak_lock
from journal.refusal import Refusal
from tests.integration.soaking import ROOT, listing


def foreign(folder):
    """A folder of somebody else's, with names that a data directory has too."""
    for name in ("engine", "locks", "backups"):
        (folder / name).mkdir(parents=True)
    (folder / "engine" / "main.c").write_text("int main() {}")
    (folder / "locks" / "yarn.lock").write_text("")
    return folder


@pytest.mark.parametrize("name", ["new", "a b", "a/b/c", "ünï-名", "a'\"$(x)\nb", "x" * 200])
def test_an_absent_folder_becomes_a_data_directory_and_is_known_again(tmp_path, name):
    data = tmp_path / name
    assert directory.check(data) is False
    assert not data.exists()
    directory.claim(data)
    assert list(data.iterdir()) == [data / directory.MARKER]
    (data / "notes.txt").write_text("somebody's own")
    assert directory.check(data) is True
    directory.claim(data)


@pytest.mark.parametrize("there", [[], ["lost+found"]])
def test_an_empty_folder_or_file_system_becomes_one(tmp_path, there):
    for name in there:
        (tmp_path / name).mkdir()
    directory.claim(tmp_path)
    assert directory.check(tmp_path) is True


@pytest.mark.parametrize("lock", [engine_lock, lambda data: soak_lock(data, "any")])
def test_a_directory_of_an_older_version_is_known_by_its_locks_and_gets_the_marker(tmp_path, lock):
    Lock.acquire(lock(tmp_path)).release()
    assert directory.check(tmp_path) is True
    assert not (tmp_path / directory.MARKER).exists()
    directory.claim(tmp_path)
    assert (tmp_path / directory.MARKER).is_file()


def test_a_folder_of_somebody_else_is_refused_by_everything_and_stays_as_it_is(tmp_path):
    data = foreign(tmp_path / "theirs")
    before = listing(data)
    for call in (directory.check, directory.claim, directory.has_journal, directory.require_journal, owner.ensure):
        with pytest.raises(Refusal, match=r"holds other things \('backups' for one\).*; fix: name a folder"):
            call(data)
    with pytest.raises(Refusal), owner.reading(data):
        pass
    assert listing(data) == before


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.write_text("x"), "a file"),
        (lambda path: path.symlink_to("nowhere"), "a link to nothing"),
        (lambda path: path.symlink_to(path.name), "a link to nothing"),
        (os.mkfifo, "a device, a pipe or a socket"),
    ],
)
def test_what_is_no_folder_is_refused_by_what_it_is(tmp_path, make, kind):
    make(tmp_path / "data")
    with pytest.raises(Refusal, match=f"is {kind} and no folder"):
        directory.claim(tmp_path / "data")


def test_a_question_mark_is_refused_for_the_engine_would_open_another_folder(tmp_path):
    for path in (tmp_path / "run?1", tmp_path / "a?b" / "c"):
        with pytest.raises(Refusal, match="question mark"):
            directory.claim(path)
    assert list(tmp_path.iterdir()) == []


def test_two_soaks_that_begin_in_one_empty_folder_both_have_it(tmp_path):
    code = (
        "import sys; from pathlib import Path; from journal import directory; sys.stdin.read(); "
        "data = Path(sys.argv[1]); directory.claim(data); (data / str(len(sys.argv))).touch()"
    )
    start = [sys.executable, "-c", code, str(tmp_path / "data")]
    both = [subprocess.Popen([*start, *more], stdin=subprocess.PIPE, cwd=ROOT) for more in ([], ["x"])]
    for each in both:
        each.stdin.close()
    assert [each.wait(20) for each in both] == [0, 0]
