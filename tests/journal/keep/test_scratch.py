"""A copy for a question: links to the files of parts, the rest copied, and the directory as it was."""

import pytest

from journal import directory
from journal.keep import scratch
from journal.refusal import Refusal


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data directory with one part, and a TMPDIR beside it."""
    directory.claim(tmp_path / "data")
    part = tmp_path / "data/engine/store/abc/all_1_1_0"
    part.mkdir(parents=True)
    for name in ("checksums.txt", "data.bin"):
        (part / name).write_text(name)
    (part.parent / "format_version.txt").write_text("1")
    (tmp_path / "data/engine/data").symlink_to("store")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return tmp_path / "data"


def test_a_directory_that_can_be_written_is_asked_itself(data):
    with scratch.readable(data, pytest.fail) as place:
        assert place == data
    assert not [*data.parent.joinpath("tmp").iterdir()]


def test_what_cannot_be_written_is_asked_through_links_that_go_with_the_answer(data, monkeypatch):
    monkeypatch.setattr(scratch, "ROOM", 1 << 60)  # no disk has it
    said = []
    with scratch.readable(data, said.append) as place:
        table = place / "engine/store/abc"
        assert (table / "all_1_1_0/data.bin").readlink() == data / "engine/store/abc/all_1_1_0/data.bin"
        assert (table / "format_version.txt").is_symlink() is False
        assert str((place / "engine/data").readlink()) == "store"
        assert directory.has_journal(place)
    assert not place.exists()
    assert str(place) in said[0]
    assert (data / "engine/store/abc/all_1_1_0/data.bin").read_text() == "data.bin"


def test_without_a_place_for_the_copy_it_is_refused_with_the_fix(data, monkeypatch):
    monkeypatch.setattr(scratch, "ROOM", 1 << 60)
    monkeypatch.setenv("TMPDIR", str(data / "nowhere"))
    with pytest.raises(Refusal, match="fix: set TMPDIR to a folder"), scratch.readable(data, pytest.fail):
        pytest.fail("must not come here")
