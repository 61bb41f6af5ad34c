"""Archive writer: one record a line into `.jsonl` or `.jsonl.zst`, whole or not at all.

Lines go to a temporary file beside the target, which takes its name once everything is on disk.
See docs/design/feeds.md.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from journal.refusal import Refusal
from reactor.log import archive

SUFFIXES: Final = (".jsonl", ".jsonl.zst")

encode: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode
"""Compact JSON; floats in their shortest form that reads back to the same bits."""


def check_target(path: Path, *, force: bool = False, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Check the place of an output before any work.

    Args:
        path: of the file.
        force: whether a file that exists may be replaced.
        suffixes: of which its name must have one.

    Raises:
        Refusal: it cannot be written there, or exists.
    """
    if not path.name.endswith(suffixes):
        raise Refusal(f"the output must end in {' or '.join(suffixes)}, was {path}; fix: rename the output")
    if not path.parent.is_dir():
        raise Refusal(f"{path.parent} must be a directory, was not found; fix: create it first")
    if path.is_dir() or (os.path.lexists(path) and not force):
        raise Refusal(f"{path} must not exist yet; fix: name another output, or --force to replace a file")


@contextmanager
def writing(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Yields what takes one line, without its end. The file gets its name only when the block ends well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with ExitStack() as stack:
            file = stack.enter_context(part.open("wb"))
            sink = stack.enter_context(archive.packed(file)) if path.suffix == ".zst" else file

            def put(line: bytes) -> None:
                sink.write(line + b"\n")

            yield put
            if sink is not file:
                sink.close()
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a write that fails does not say where
        raise
    finally:
        part.unlink(missing_ok=True)
