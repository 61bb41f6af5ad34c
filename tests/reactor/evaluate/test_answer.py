"""A foreign kernel is asked with copies; what it raises is a reject, unless the scan is not to blame."""

import asyncio
import errno
import math

import pytest

from lanes.code import Outcome, Reject
from lanes.profile import PROFILES
from reactor.evaluate import record as records
from reactor.evaluate.answer import KernelEnded, ask
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder, decode_clean
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules

LINE = (
    b'{"v":1,"kind":"scan","stream":"ng7","scan_id":17,"ts_ms":1746372780000,"vel_div":-0.0337,"prices":{"AUSDT":1.0},'
    b'"irp":{"AUSDT":{"score":0.4,"alignment":0.6}},"context":{"a":1}}'
)


def stepped(kernel, values=(LINE,), **kernels):
    rules = Rules(PROFILES["blue_8b"], {"acb": kernel, **kernels} if kernel else {})
    chunk = Chunk(0, list(range(len(values))), list(values))
    return step(State(), chunk, rules, Decoder(), topic="t", segment=1, expected=0)


def raising(error):
    def kernel(scan, planes):
        raise error

    return kernel


class Wordless(Exception):
    def __str__(self):
        raise SystemExit(0)


def spoil(scan, planes):
    scan.prices.clear()
    scan.prices["BUSDT"] = 0.0
    scan.irp["AUSDT"].score = math.nan
    scan.irp.clear()
    scan.context["scanner"] = "stand-in"
    scan.scan_id, scan.stream, scan.ts_ms, scan.vel_div, scan.w750, scan.dc_status = 2**70, "\ud800", "x", 9, "x", 1
    for plane in planes.values():
        if plane is not None:
            plane.clear()
    planes.clear()
    return 1.0


def test_what_a_kernel_does_to_its_scan_changes_no_row_and_no_other_lane():
    plane = b'{"v":1,"kind":"plane","stream":"ng7","name":"acb","seq":1,"ts_ms":1746372779000,"value":{"boost":1.5}}'
    seen = []

    def honest(scan, planes):
        seen.append((scan.scan_id, dict(scan.prices), scan.irp["AUSDT"].score))
        return 1.0

    values = (plane, LINE, LINE.replace(b'"scan_id":17', b'"scan_id":18'))
    found, calm = stepped(spoil, values, ob=honest), stepped(lambda scan, planes: 1.0, values, ob=honest)
    assert [found.rows[kind].hash for kind in Outcome] == [calm.rows[kind].hash for kind in Outcome]
    assert (found.state, found.standins) == (calm.state, frozenset())
    assert seen[:2] == seen[2:] == [(17, {"AUSDT": 1.0}, 0.4), (18, {"AUSDT": 1.0}, 0.4)]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("\ud800 bad"), r"ValueError: \ud800 bad"),
        (Wordless(), "Wordless, whose words cannot be had"),
        (RecursionError("deep"), "RecursionError: deep"),
    ],
)
def test_what_the_scan_may_be_to_blame_for_is_a_reject_with_words_for_every_table(error, words):
    block = stepped(raising(error)).rows[Outcome.REJECT]
    assert (block.columns["code"].tolist(), block.columns["detail"]) == ([Reject.LANE_ERROR], [words])
    assert block.columns["detail"][0].encode()


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(0), SystemExit("bye"), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), MemoryError(),
        OSError(errno.ENOSPC, "No space left on device"), TimeoutError("its service is away"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_the_scan_is_not_to_blame_for_ends_the_batch_and_no_process(error):
    with pytest.raises(KernelEnded, match=rf"kernel of lane acb ended at scan 17 .*{type(error).__name__}.*; fix: "):
        stepped(raising(error))


def test_a_call_for_its_value_gives_a_float():
    assert ask("dc", lambda scan, planes: 2, decode_clean(LINE), {}) == 2.0


@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.ENOMEM, "no"), ZeroDivisionError("a bug of ours")])
@pytest.mark.parametrize("place", ["_decode_typed", "_decode_any", "form_of"])
def test_a_fault_that_is_not_the_records_is_no_reject(monkeypatch, fault, place):
    def fails(*arguments):
        raise fault

    monkeypatch.setattr(records, place, fails)
    broken = {"_decode_any": b"{", "form_of": LINE.replace(b'"scan"', b'"plane"')}.get(place, LINE)
    broken = broken if place != "form_of" else (
        b'{"v":1,"kind":"plane","stream":"a","name":"acb","seq":1,"ts_ms":1746372779000,"value":{"boost":1.5}}'
    )  # fmt: skip
    with pytest.raises(type(fault)):
        Decoder().decode(broken)
