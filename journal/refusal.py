"""Refusal: a rule that was broken, and the fix. Integrity: a contradiction that no fix of the caller's mends."""


class Refusal(Exception):
    """Nothing was changed. Carries one sentence for people; the command exits 3."""


class Integrity(Exception):
    """The journal and the log, or the lanes' topics, contradict each other: the run is HALTED."""
