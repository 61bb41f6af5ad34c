"""Records of a partition: a split and an extension lose none, and what was cut stays with its record."""

import hashlib

import pytest

from reactor.evaluate.chunk import Chunk, cut_of
from reactor.evaluate.record import CUT_BYTES, DIGEST_HEADER, LENGTH_HEADER


def chunk(offsets, cut=()):
    return Chunk(3, list(offsets), [b"%d" % at for at in offsets], {at: (at * 10, f"d{at}") for at in cut})


@pytest.mark.parametrize("at", range(6))
def test_a_split_at_any_place_joins_to_the_whole(at):
    whole = chunk((2, 3, 7, 9), cut=(3, 9))
    head, tail = whole.split(at)
    assert len(head) == min(at, 4)
    assert head.offsets + tail.offsets == whole.offsets
    for part in (head, tail):
        assert part.partition == 3
        assert part.cut.keys() == {3, 9} & set(part.offsets)
    joined = Chunk(3, [], [])
    joined.extend(head)
    joined.extend(tail)
    assert joined == chunk((2, 3, 7, 9), cut=(3, 9))


CUT = b"x" * CUT_BYTES
DIGEST = hashlib.sha256(b"whole").hexdigest()
SAID = DIGEST.encode()


def headers(length, digest=SAID):
    return [("other", b"1"), (LENGTH_HEADER, length), (DIGEST_HEADER, digest)]


def test_the_headers_of_a_cut_line_say_its_length_and_digest():
    assert cut_of(CUT, headers(b"900001")) == (900_001, DIGEST)
    assert cut_of(CUT, None) is None
    assert cut_of(CUT, [(LENGTH_HEADER, b"900001")]) is None
    assert cut_of(CUT[1:], headers(b"900001")) is None
    assert cut_of(None, headers(b"900001")) is None


BAD = [
    b"abc", b"NaN", b"-1", b"", None, b"1e9", b"1_000_000", b" 900001", "٩٠٠٠٠١".encode(), b"\xff", b"0", b"900000",
    b"9" * 30, b"9" * 5_000,
]  # fmt: skip


@pytest.mark.parametrize("length", BAD)
def test_headers_that_no_publisher_writes_make_a_cut_record_of_unknown_length(length):
    assert cut_of(CUT, headers(length)) == (CUT_BYTES, hashlib.sha256(CUT).hexdigest())


@pytest.mark.parametrize("digest", [b"\xff" * 64, b"", None, b"00", b"g" * 64, DIGEST.upper().encode()])
def test_a_digest_that_is_none_makes_it_too(digest):
    assert cut_of(CUT, headers(b"900001", digest)) == (CUT_BYTES, hashlib.sha256(CUT).hexdigest())
