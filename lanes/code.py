"""Every code that is counted: closed integer enums, never renumbered.

The journal stores the integers, people read the names. The hundreds digit of a reject names its owner.
See docs/design/lanes.md.
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
    MISSING_FIELD = 105  # a required field is absent
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

    DUP_SCAN = 0  # the same stream, scan_id and ts_ms came before; it decides nothing
    NO_SIGNAL = 1  # vel_div is not below the threshold
    CADENCE = 2  # the cadence plane lets another scan decide
    NO_ELIGIBLE_ASSET = 3  # no symbol is left to choose from
    OUT_OF_ORDER = 4  # the event time is before that of the scan before it
    SYMBOL_DROPPED = 5  # a price of 0 or less dropped its symbol
    DC_UNKNOWN = 6  # dc_status is none of the known ones, and counts as not confirmed
    POSTURE_UNKNOWN = 7  # the posture is none of the known ones, and caps nothing
    FLOOR_LIFTED = 8  # the product was 0, and the floor lifted it to the least leverage
    PLANE_MISSING_ACB = 9  # the plane acb never came
    PLANE_MISSING_META = 10  # the plane meta never came
    PLANE_MISSING_MC = 11  # the plane mc never came
    PLANE_MISSING_OB = 12  # the plane ob never came
    PLANE_MISSING_ESOF = 13  # the plane esof never came
    PLANE_MISSING_POSTURE = 14  # the plane posture never came
    PLANE_MISSING_CAPITAL = 15  # the plane capital never came
    PLANE_STALE_ACB = 16  # the plane acb is older than its alert age
    PLANE_STALE_META = 17  # the plane meta is older than its alert age
    PLANE_STALE_MC = 18  # the plane mc is older than its alert age
    PLANE_STALE_OB = 19  # the plane ob is older than its alert age
    PLANE_STALE_ESOF = 20  # the plane esof is older than its alert age
    PLANE_STALE_POSTURE = 21  # the plane posture is older than its alert age
    PLANE_STALE_CAPITAL = 22  # the plane capital is older than its alert age
    ACB_OUT_OF_RANGE = 23  # acb is above 4
    OB_OUT_OF_RANGE = 24  # ob is outside down..up
    ESOF_OUT_OF_RANGE = 25  # the multiplier or score of the plane esof is beyond 1


class Bound(IntEnum):
    """Which term fixed the leverage."""

    PRODUCT = 0  # no bound held
    CAP = 1  # base_max * acb * ob * esof
    ABS = 2  # abs_max
    STALKER = 3  # stalker_cap
    FLOOR = 4  # min_lev


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

    STARTED = 1  # a run began
    RESUMED = 2  # a run went on
    STOPPED = 3  # a run was left, to be resumed
    ENDED = 4  # a run came to its end
    SEGMENT_OPENED = 5  # other code, params or kernels decide from here on
    COLD_START = 6  # the run began before every plane was known
    ENGINE_RESTARTED = 101  # the engine ended and was started again
    JOURNAL_AWAY = 102  # ClickHouse did not answer for a while
    BROKER_AWAY = 103  # the broker does not answer
    DISK_SHORT = 104  # the disk became short of space, or has space again
    GAP_ACCEPTED = 105  # the log had lost offsets, and the run went on
    TAPS_DROPPED = 106  # a tap dropped readings
    LANE_MISSING = 107  # a lane's worker is waited for
    LANE_BACK = 108  # it is there again
    PARTITION_ADDED = 109  # the topic got partitions while its run went on; they are read from their beginning
    FENCED = 110  # another process of the name took over, and this one writes no more
    TAP_SHARED = 111  # somebody else writes to a tap topic of the soak
    CLOCK_JUMPED = 113  # the wall clock jumped; stamps go on as before until it has stood still
    BROKER_BACK = 114  # the broker answers again
    COPY_RESUMED = 115  # the journal is a snapshot, and a run of the original goes on here
    INTEGRITY = 201  # a check of the journal failed
    HALTED = 202  # the run is HALTED
    HALT_RESUMED = 203  # somebody resumed a HALTED run
    WRITE_REFUSED = 204  # a write outside the tap topics was refused: counted as `orders`
    LOG_CHANGED = 205  # the log is not the one that the run began with: gone, made anew, rolled back, written over
