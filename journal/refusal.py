"""Refusal: a rule that was broken, and the fix. Integrity: a contradiction that no fix of the caller's mends."""

import errno
from typing import Final

_FIXES: Final = {  # what the machine may refuse: a place's state, never a fault of this code
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "name a place that can be written",
    errno.EACCES: "give this user the right to it, or name another",
    errno.EPERM: "give this user the right to it, or name another",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: a folder is wanted where a file is",
    errno.EISDIR: "check the path: a file is wanted where a folder is",
    errno.EEXIST: "check the path: something else has that name",
    errno.ELOOP: "check the path: its links lead in a circle",
    errno.ENAMETOOLONG: "name a shorter path",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "raise the limit on open files of this machine",
    errno.ENOMEM: "give this process more memory",
    errno.EIO: "look at the disk",
    errno.ENXIO: "name a file",
    errno.EADDRINUSE: "name a port that is free",
}


class Refusal(Exception):
    """Nothing was changed. Carries one sentence for people; the command exits 3."""


class Integrity(Exception):
    """The journal and the log, or the lanes' topics, contradict each other: the run is HALTED."""


def of_machine(error: BaseException) -> Refusal | None:
    """What the machine refused, as a sentence with its fix; None where it may be a fault of this code.

    >>> str(of_machine(OSError(errno.ENOSPC, "No space left on device", "out.csv")))
    'out.csv: No space left on device; fix: make room there'
    """
    # An extension module that drops the error says SystemError, which the interpreter chains to it.
    if isinstance(error, MemoryError) or (isinstance(error, SystemError) and isinstance(error.__cause__, MemoryError)):
        return Refusal("memory is short; fix: give this process more; a soak goes on with the same command")
    if not isinstance(error, OSError) or error.errno not in _FIXES:
        return None
    place = error.filename2 or error.filename
    where = "the output" if place is None else place if isinstance(place, str) else str(place)
    return Refusal(f"{where}: {error.strerror}; fix: {_FIXES[error.errno]}")
