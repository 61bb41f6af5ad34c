"""Scratch: a journal on a disk that is read-only or full can still be asked, through a copy that costs almost nothing.

An engine writes where it starts, also for a question. So it starts in a folder of TMPDIR, which has links to the parts,
whose files are never written again, and copies of the little beside them. It goes with the question.
See docs/design/running.md.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from journal import directory
from journal.engine.address import attach
from journal.lock import soaks
from journal.refusal import Refusal

ROOM: Final = 8 << 20  # bytes that an engine wants for its logs, locks and proofs


@contextmanager
def readable(data: Path, say: Callable[[str], None]) -> Generator[Path]:
    """The directory itself, or a copy of it for the duration where no engine can be started in it.

    Args:
        data: the directory of a journal.
        say: takes a line for people, where it is a copy.

    Raises:
        Refusal: no copy can be made either.
    """
    directory.require_journal(data)
    fault = None if attach(data) or soaks(data) else _fault(data)
    if fault is None:
        yield data
        return
    try:
        place = Path(tempfile.mkdtemp(prefix="violet-", dir=os.environ.get("TMPDIR")))  # never elsewhere
    except OSError as error:
        raise Refusal(
            f"{data}: {fault.strerror}, and no copy can be made in TMPDIR ({error.strerror}); fix: set TMPDIR to a "
            "folder that can be written"
        ) from None
    try:
        directory.claim(place)
        _copy(data / "engine", place / "engine")
        say(f"{data} takes no writes ({fault.strerror}), so a copy in {place} answers, and goes with the answer")
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _fault(data: Path) -> OSError | None:
    """Why nothing can be written into a folder, if so."""
    try:
        with tempfile.TemporaryFile(dir=data) as file:
            os.posix_fallocate(file.fileno(), 0, ROOM)
    except OSError as error:
        return error
    return None


def _copy(source: Path, target: Path) -> None:
    """An engine's folder again, the files of its parts as links."""
    for folder, folders, files in os.walk(source):
        here, there = Path(folder), target / Path(folder).relative_to(source)
        there.mkdir(mode=0o700)
        is_part = "checksums.txt" in files
        for name in [*files, *(each for each in folders if (here / each).is_symlink())]:
            if (here / name).is_symlink():
                (there / name).symlink_to((here / name).readlink())
            elif is_part:
                (there / name).symlink_to((here / name).resolve())
            else:
                shutil.copyfile(here / name, there / name)
