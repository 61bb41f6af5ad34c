"""Codes are stored as numbers and never renumbered: a new one gets a new number, an old one keeps its own."""

import inspect
from enum import IntEnum

from lanes import code

# As journals out there hold them. To add a line is fine; to change one makes old rows say something else.
NUMBERS = {
    "Reject": {
        "MALFORMED": 101, "SCHEMA_VERSION": 102, "NON_FINITE": 103, "KIND": 104, "MISSING_FIELD": 105,
        "WRONG_TYPE": 106, "OUT_OF_RANGE": 107, "BAD_NAME": 108, "TOO_LARGE": 109, "EMPTY": 110, "PLANE_NAME": 201,
        "PLANE_VALUE": 202, "LANE_NON_FINITE": 301, "LANE_ERROR": 302, "BLOCK_REFUSED": 401,
    },
    "Reason": {
        "DUP_SCAN": 0, "NO_SIGNAL": 1, "CADENCE": 2, "NO_ELIGIBLE_ASSET": 3, "OUT_OF_ORDER": 4, "SYMBOL_DROPPED": 5,
        "DC_UNKNOWN": 6, "POSTURE_UNKNOWN": 7, "FLOOR_LIFTED": 8, "PLANE_MISSING_ACB": 9, "PLANE_MISSING_META": 10,
        "PLANE_MISSING_MC": 11, "PLANE_MISSING_OB": 12, "PLANE_MISSING_ESOF": 13, "PLANE_MISSING_POSTURE": 14,
        "PLANE_MISSING_CAPITAL": 15, "PLANE_STALE_ACB": 16, "PLANE_STALE_META": 17, "PLANE_STALE_MC": 18,
        "PLANE_STALE_OB": 19, "PLANE_STALE_ESOF": 20, "PLANE_STALE_POSTURE": 21, "PLANE_STALE_CAPITAL": 22,
        "ACB_OUT_OF_RANGE": 23, "OB_OUT_OF_RANGE": 24, "ESOF_OUT_OF_RANGE": 25,
    },
    "Bound": {
        "PRODUCT": 0, "CAP": 1, "ABS": 2, "STALKER": 3, "FLOOR": 4,
    },
    "DcStatus": {
        "NEUTRAL": 0, "CONFIRM": 1, "CONTRADICT": 2, "UNKNOWN": 3,
    },
    "PlaneForm": {
        "NEVER_SEEN": 0, "MULTIPLIER": 1, "INPUTS": 2,
    },
    "Outcome": {
        "DECISION": 0, "EVALUATION": 1, "PLANE": 2, "REJECT": 3,
    },
    "Mode": {
        "RUN": 0, "DEGRADED": 1, "HALTED": 2,
    },
    "Severity": {
        "INFO": 0, "WARN": 1, "ERROR": 2,
    },
    "Incident": {
        "STARTED": 1, "RESUMED": 2, "STOPPED": 3, "ENDED": 4, "SEGMENT_OPENED": 5, "COLD_START": 6,
        "ENGINE_RESTARTED": 101, "JOURNAL_AWAY": 102, "BROKER_AWAY": 103, "DISK_SHORT": 104, "GAP_ACCEPTED": 105,
        "TAPS_DROPPED": 106, "LANE_MISSING": 107, "LANE_BACK": 108, "PARTITION_ADDED": 109, "FENCED": 110,
        "TAP_SHARED": 111, "CLOCK_JUMPED": 113, "BROKER_BACK": 114, "COPY_RESUMED": 115, "INTEGRITY": 201, "HALTED": 202, "HALT_RESUMED": 203,
        "WRITE_REFUSED": 204, "LOG_CHANGED": 205,
    },
}  # fmt: skip


def test_every_code_has_the_number_that_journals_hold():
    enums = {
        name: each
        for name, each in inspect.getmembers(code, inspect.isclass)
        if issubclass(each, IntEnum) and each is not IntEnum
    }
    assert {name: {n: int(m) for n, m in each.__members__.items()} for name, each in enums.items()} == NUMBERS


def test_no_number_stands_for_two():
    for numbers in NUMBERS.values():
        assert len(set(numbers.values())) == len(numbers)
    assert max(NUMBERS["Reason"].values()) < 64  # a mask of 64 bits


def test_the_time_domain_is_from_2009_to_2100():
    assert (code.FIRST_MS, code.END_MS) == (1_230_768_000_000, 4_102_444_800_000)
