"""Directory: which folder may be a data directory, so that nothing is ever written into a folder of somebody else's.

A data directory is absent, empty, or bears the marker that its first soak puts there before anything else. Directories
of versions without a marker are known by their locks. See docs/design/running.md.
"""

import os
from pathlib import Path
from typing import Final

from journal.refusal import Refusal

MARKER: Final = "VIOLET"
_WORDS: Final = "This folder is a data directory of VIOLET: its journal, locks and logs. See docs/soak.md.\n"
_OF_THE_DISK: Final = frozenset({"lost+found"})  # an empty file system of its own has it
_OLD_LOCKS: Final = ("engine.lock", "soak-*.lock")  # older versions took one of them before they wrote anything else
_FIX: Final = "name a folder that is absent or empty, or the data directory of a soak"


def claim(data: Path) -> None:
    """Make a folder a data directory, with all folders above it, or leave it as it is where it is one.

    Raises:
        Refusal: the folder is somebody else's, or cannot be one.
    """
    check(data)
    data.mkdir(parents=True, exist_ok=True)
    if not (marker := data / MARKER).exists():
        marker.write_text(_WORDS, "utf-8")


def check(data: Path) -> bool:
    """Whether a folder is a data directory already; False where it is absent or empty. Writes nothing.

    Raises:
        Refusal: it is somebody else's, or can be none.
    """
    if "?" in os.path.realpath(data):
        raise Refusal(f"--data {data}: the engine takes no path with a question mark; fix: {_FIX}")
    if not data.is_dir():
        if data.exists() or data.is_symlink():
            raise Refusal(f"--data {data}: is {_kind(data)} and no folder; fix: {_FIX}")
        return False
    others = sorted({path.name for path in data.iterdir()} - _OF_THE_DISK)
    if not others:
        return False
    # Asked after the listing: of two soaks that begin in one empty folder, the other puts the marker first.
    if (data / MARKER).exists() or any(any((data / "locks").glob(name)) for name in _OLD_LOCKS):
        return True
    raise Refusal(f"--data {data}: holds other things ({others[0]!r} for one) and no journal; fix: {_FIX}")


def has_journal(data: Path) -> bool:
    """Whether a data directory holds an engine's files. Raises Refusal where the folder is somebody else's."""
    return check(data) and (data / "engine").is_dir()


def require_journal(data: Path) -> None:
    """Refuse where there is no journal to ask. Writes nothing."""
    if not has_journal(data):
        raise Refusal(
            f"--data {data}: holds no journal; fix: name the directory of a soak, or run `violet soak --data {data}` "
            "first"
        )


def _kind(path: Path) -> str:
    if not path.exists():
        return "a link to nothing"
    return "a file" if path.is_file() else "a device, a pipe or a socket"
