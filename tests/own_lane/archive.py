"""A mixed archive with records of the lane's own plane: in both forms, refused ones, old ones."""

import json

from tests.strategies import encode, mixed_archive, plane

VALUES = ({"rate": 2e-4}, {"rate": 5e-5}, {"mult": 0.8}, {"rate": -1e-3}, {"rate": 0.01}, {"mult": -1.0}, {})


def lines(count=900):
    """Lines without their ends."""
    found = mixed_archive(11, count)
    for at, value in enumerate(VALUES * 6):
        near = next(line for line in found[at * 20 :] if b'"ts_ms"' in line and line.endswith(b"}"))
        record = plane("funding", value, stream=("ng7", "ng8")[at % 2], ts_ms=json.loads(near)["ts_ms"])
        found.insert(60 + at * 20, encode(record))
    return found
