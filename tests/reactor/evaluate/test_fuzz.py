"""The decoder and the step under bytes that nobody meant: one outcome of each, the same on every path, and no exception."""

import math

from journal.row import Outcome
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder, Fault, Plane, Scan
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from tests.fuzz import budgets, corpus, fuzz, mutated
from tests.strategies import encode, scan

RECORDS = corpus("records.txt")
WORDS = [
    b'"v":1,', b'"kind":"scan"', b'"kind":"plane"', b'"stream":"ng7"', b'"ts_ms":1746372780000', b'"vel_div":-0.06', b"null", b"true",
    b"NaN", b"Infinity", b"-0", b"1e999", b"9223372036854775808", b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u0000", b"\\ud800",
    b"\xff", b"\x00", b"\n", b"{}" * 40, b"[" * 200,
]  # fmt: skip
RULES = Rules(PROFILES["blue_8b"])


@budgets(250, 30_000)
def test_any_bytes_are_decoded_to_one_thing(examples):
    def check(raw):
        first, second = Decoder(), Decoder()
        record = first.decode(raw)
        assert isinstance(record, Scan | Plane | Fault)
        assert repr(record) == repr(second.decode(raw)) == repr(first.decode(raw))

    fuzz(check, mutated(RECORDS, WORDS), examples)


@budgets(120, 10_000)
def test_any_bytes_have_one_sound_outcome_and_leave_the_next_scan_as_it_is(examples):
    """Whatever lies between two scans, each offset has one outcome, and no stored number is not finite."""
    last = encode(scan(scan_id=900, ts_ms=1_746_372_780_000 + 3_600_000))

    def check(raw):
        chunk = Chunk(0, [0, 1, 2], [encode(scan()), raw, last])
        batch = step(State(), chunk, RULES, Decoder(), topic="t", segment=1, expected=0)
        offsets = sorted(int(offset) for kind in Outcome for offset in batch.rows[kind].offsets)
        assert offsets == [0, 1, 2]
        for kind in (Outcome.DECISION, Outcome.EVALUATION):
            leverages = batch.rows[kind].columns.get("leverage", [])
            assert all(math.isfinite(each) for each in leverages)
        assert batch.content_hash == step(
            State(), chunk, RULES, Decoder(), topic="t", segment=1, expected=0
        ).content_hash  # fmt: skip

    fuzz(check, mutated(RECORDS, WORDS), examples)
