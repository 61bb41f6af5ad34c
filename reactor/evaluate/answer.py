"""A foreign kernel is asked for its value of one scan: it gets copies, and ends at most its own row.

What it raises is a reject of the scan, but for what is not the scan's fault: memory that is short, what the operating
system refuses, and what ends a process or a task. These stop the soak, and a resume asks again.
See docs/design/running.md.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from numbers import Real
from typing import Any, Final

from msgspec.structs import replace

from journal.refusal import Refusal
from reactor.evaluate.record import Irp, Scan

Foreign = Callable[[Scan, Mapping[str, Mapping[str, Any] | None]], float]
WORDS_MAX: Final = 200  # characters of an error that a reject keeps


class KernelEnded(Refusal):
    """A kernel did not answer, and its scan is not to blame. Nothing of the scan's batch is journaled."""


def ask(lane: str, kernel: Foreign, scan: Scan, planes: Mapping[str, Mapping[str, Any] | None]) -> float | str:
    """The kernel's value of a scan; or why it gave none, for a reject.

    Args:
        lane: in whose place it stands, for people.
        kernel: the function.
        scan: it gets a copy.
        planes: those of its lane, of which it may do what it likes.

    Raises:
        KernelEnded: it raised what is not the scan's fault.
    """
    try:
        return _real(kernel(_copy(scan), planes))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the kernel's
        words = _words(error)
        if isinstance(error, Exception) and not isinstance(error, (MemoryError, OSError)):
            return words
        raise KernelEnded(
            f"the kernel of lane {lane} ended at scan {scan.scan_id} of stream {scan.stream} "
            f"with {words.removesuffix(': ')}; fix: mend the kernel, or what it needs"
        ) from None


def _copy(scan: Scan) -> Scan:
    irp = None if scan.irp is None else {name: Irp(each.score, each.alignment) for name, each in scan.irp.items()}
    return replace(scan, prices=scan.prices.copy(), irp=irp, context=deepcopy(scan.context))


def _real(value: object) -> float:
    """A kernel's answer; float() alone would take text."""
    if not isinstance(value, Real):
        raise TypeError(f"must return a float, was {type(value).__name__}")
    return float(value)


def _words(error: BaseException) -> str:
    """An error as text that every table and terminal takes."""
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001 - its own words may fail as it did
        text = f"{type(error).__name__}, whose words cannot be had"
    return text[:WORDS_MAX].encode("utf-8", "backslashreplace").decode()
