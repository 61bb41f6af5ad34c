"""Every code that is counted: closed integer enums, never renumbered.

The journal stores the integers, people read the names. The hundreds digit of a reject names its owner.
Source: SPEC sections 3, 4 and 6.
"""

from enum import IntEnum
from typing import Final

# Event times of records, milliseconds since 1970: from 2009-01-01 on, before 2100-01-01. Others are a unit mistaken.
FIRST_MS: Final = 1_230_768_000_000
END_MS: Final = 4_102_444_800_000


class Reject(IntEnum):
    """Why a record has no other outcome. 1xx record, 2xx plane, 3xx lane, 4xx journal."""

    MALFORMED = 101  # not one JSON object in UTF-8
    SCHEMA_VERSION = 102  # `v` is absent or not a version that this reader knows
    NON_FINITE = 103  # NaN, an infinity, or a number that float64 cannot hold
    KIND = 104  # `kind` is neither scan nor plane
    MISSING_FIELD = 105
    WRONG_TYPE = 106  # a field has another JSON type than the schema's
    OUT_OF_RANGE = 107  # a number or map outside its domain
    BAD_NAME = 108  # a stream or symbol outside its pattern
    TOO_LARGE = 109  # over 900,000 bytes
    EMPTY = 110  # a tombstone or an empty line
    PLANE_NAME = 201  # no such plane
    PLANE_VALUE = 202  # the value is in none of the plane's forms
    LANE_NON_FINITE = 301  # a lane, or the fan-in, gave NaN or an infinity
    LANE_ERROR = 302  # a foreign kernel raised or returned no float
    BLOCK_REFUSED = 401  # ClickHouse refused the row; found by bisection


class Reason(IntEnum):
    """What a reader of a row must know. The value is the bit in the row's `reasons` mask."""

    DUP_SCAN = 0
    NO_SIGNAL = 1
    CADENCE = 2
    NO_ELIGIBLE_ASSET = 3
    OUT_OF_ORDER = 4
    SYMBOL_DROPPED = 5
    DC_UNKNOWN = 6
    POSTURE_UNKNOWN = 7
    FLOOR_LIFTED = 8
    PLANE_MISSING_ACB = 9
    PLANE_MISSING_META = 10
    PLANE_MISSING_MC = 11
    PLANE_MISSING_OB = 12
    PLANE_MISSING_ESOF = 13
    PLANE_MISSING_POSTURE = 14
    PLANE_MISSING_CAPITAL = 15
    PLANE_STALE_ACB = 16
    PLANE_STALE_META = 17
    PLANE_STALE_MC = 18
    PLANE_STALE_OB = 19
    PLANE_STALE_ESOF = 20
    PLANE_STALE_POSTURE = 21
    PLANE_STALE_CAPITAL = 22
    ACB_OUT_OF_RANGE = 23
    OB_OUT_OF_RANGE = 24
    ESOF_OUT_OF_RANGE = 25


class Bound(IntEnum):
    """Which term fixed the leverage."""

    PRODUCT = 0
    CAP = 1
    ABS = 2
    STALKER = 3
    FLOOR = 4


class DcStatus(IntEnum):
    """Direction-confirm status of a scan; absent is NEUTRAL, unknown takes BLUE's else-branch."""

    NEUTRAL = 0
    CONFIRM = 1
    CONTRADICT = 2
    UNKNOWN = 3


class PlaneForm(IntEnum):
    """In which form a plane's last value came."""

    NEVER_SEEN = 0
    MULTIPLIER = 1
    INPUTS = 2


class Outcome(IntEnum):
    """The four ways in which a deliverable offset ends."""

    DECISION = 0
    EVALUATION = 1
    PLANE = 2
    REJECT = 3


class Mode(IntEnum):
    """State of the reactor. DEGRADED clears itself; HALTED latches."""

    RUN = 0
    DEGRADED = 1
    HALTED = 2


class Severity(IntEnum):
    """Level of an incident."""

    INFO = 0
    WARN = 1
    ERROR = 2


class Incident(IntEnum):
    """What happened to a run."""

    STARTED = 1
    RESUMED = 2
    STOPPED = 3
    ENDED = 4
    SEGMENT_OPENED = 5
    COLD_START = 6
    ENGINE_RESTARTED = 101
    JOURNAL_AWAY = 102
    BROKER_AWAY = 103
    DISK_SHORT = 104
    GAP_ACCEPTED = 105
    TAPS_DROPPED = 106
    LANE_MISSING = 107
    LANE_BACK = 108
    INTEGRITY = 201
    HALTED = 202
    HALT_RESUMED = 203
    WRITE_REFUSED = 204
