"""Records of a partition: a split and an extension lose none, and what was cut stays with its record."""

import pytest

from reactor.evaluate.chunk import Chunk


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
