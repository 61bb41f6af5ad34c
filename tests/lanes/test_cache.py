"""Machine code on disk: spoilt in any way it is compiled anew, and without a folder it is compiled in each process."""

import importlib
import importlib.util
import sys
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


@pytest.mark.parametrize("change", [("value * 2.0", "value * 3.0"), ("FACTOR = 2.0", "FACTOR = 3.0")])
def test_a_kernel_of_another_file_that_changes_is_compiled_into_its_callers(tmp_path, monkeypatch, change):
    other = (
        "from lanes.kernel import kernel\nFACTOR = 2.0\n@kernel\ndef times(value):\n    return value * 2.0 * FACTOR\n"
    )
    caller = (
        "from lanes.kernel import kernel\nfrom other_file import times\n@kernel\ndef mine(x):\n    return times(x)\n"
    )
    (tmp_path / "caller_file.py").write_text(caller)
    monkeypatch.syspath_prepend(tmp_path)
    for text, expected in ((other, 4.0), (other, 4.0), (other.replace(*change), 6.0)):
        (tmp_path / "other_file.py").write_text(text)
        for name in ("other_file", "caller_file"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        for stale in tmp_path.rglob("*.pyc"):
            stale.unlink()
        mine = importlib.import_module("caller_file").mine
        assert mine(1.0) == expected
    for name in ("other_file", "caller_file"):
        del sys.modules[name]


def test_where_no_folder_can_be_written_it_is_compiled_all_the_same():
    names = {}
    exec(compile("def double(x):\n    return 2.0 * x\n", "<nowhere>", "exec"), names)
    assert isinstance(names["double"], FunctionType)
    assert kernel(names["double"])(21.0) == 42.0
