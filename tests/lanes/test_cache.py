"""Machine code on disk: spoilt in any way it is compiled anew, and without a folder it is compiled in each process."""

import importlib.util
from types import FunctionType

import pytest

from lanes.kernel import kernel

SOURCE = "from lanes.kernel import kernel\n\n\n@kernel\ndef double(x):\n    return 2.0 * x\n"


def flipped(at):
    def spoil(raw):
        raw = bytearray(raw)
        raw[int(at * len(raw))] ^= 0x10
        return bytes(raw)

    return spoil


SPOILT = {
    "empty": lambda raw: b"", "cut": lambda raw: raw[: len(raw) // 2], "short of its digest": lambda raw: raw[:20],
    "another file": lambda raw: b"\x80\x04N.", **{f"a bit at {at}": flipped(at) for at in (0.0, 0.3, 0.6, 0.99)},
}  # fmt: skip


@pytest.fixture
def doubled(tmp_path):
    """doubled() gives what a process that starts now computes, and whether it found the machine code on disk."""
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)

    def call():
        spec = importlib.util.spec_from_file_location("mine", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.double(21.0), bool(module.double.compiled.stats.cache_hits)

    assert call() == (42.0, False)
    assert call() == (42.0, True)
    return call


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_compiled_anew_and_whole_again(tmp_path, doubled, how):
    for ending in ("nbi", "nbc"):
        (path,) = tmp_path.rglob(f"*.{ending}")
        path.write_bytes(SPOILT[how](path.read_bytes()))
        assert doubled() == (42.0, False)
        assert doubled() == (42.0, True)


def test_a_file_that_is_gone_is_compiled_anew(tmp_path, doubled):
    for ending in ("nbi", "nbc"):
        (path,) = tmp_path.rglob(f"*.{ending}")
        path.unlink()
        assert doubled() == (42.0, False)
        assert doubled() == (42.0, True)


def test_where_no_folder_can_be_written_it_is_compiled_all_the_same():
    names = {}
    exec(compile("def double(x):\n    return 2.0 * x\n", "<nowhere>", "exec"), names)
    assert isinstance(names["double"], FunctionType)
    assert kernel(names["double"])(21.0) == 42.0
