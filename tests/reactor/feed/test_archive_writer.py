"""Archive writer: whole or not at all."""

import pytest

from journal.refusal import Refusal
from reactor.feed.archive_writer import check_target, encode, writing
from reactor.log.archive import zstd


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_lines_come_back_as_they_were(tmp_path, name):
    lines = [b"", b"{", b"\xff\xfe", encode({"a": [1, 0.1, -605.0, 1e-300]})]
    path = tmp_path / name
    with writing(path) as put:
        for line in lines:
            put(line)
        assert not path.exists()
    raw = path.read_bytes()
    if name.endswith(".zst"):
        raw = zstd.decompress(raw)
    assert raw == b"".join(line + b"\n" for line in lines)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_fault_leaves_what_was_there(tmp_path, name, fault):
    path = tmp_path / name
    path.write_bytes(b"before")

    def interrupted():
        with writing(path) as put:
            put(b"{}")
            raise fault

    with pytest.raises(fault):
        interrupted()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_floats_read_back_to_the_same_bits():
    for value in (0.1, -0.0, 5e-324, 1.7976931348623157e308, 1e16, 2.0**-40 / 3.0):
        assert float(encode(value)).hex() == value.hex()


def test_targets_that_would_be_lost_or_misread_are_refused(tmp_path):
    check_target(tmp_path / "new.jsonl")
    (tmp_path / "old.jsonl").write_text("")
    (tmp_path / "dir.jsonl").mkdir()
    check_target(tmp_path / "old.jsonl", force=True)
    for path, rule in (
        (tmp_path / "old.jsonl", "must not exist"),
        (tmp_path / "dir.jsonl", "must not exist"),
        (tmp_path / "a.json", "must end in"),
        (tmp_path / "none" / "a.jsonl", "must be a directory"),
    ):
        with pytest.raises(Refusal, match=rule):
            check_target(path)
    with pytest.raises(Refusal, match="must not exist"):
        check_target(tmp_path / "dir.jsonl", force=True)
