"""Equality that the contract asks for: the same bits, or both NaN."""

import struct

import numpy as np


def same(a, b):
    """Where two float columns are equal bit for bit, or both NaN."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))


def identical(a, b):
    """Whether two floats are."""
    return struct.pack("<d", a) == struct.pack("<d", b) or (a != a and b != b)
