"""Machine code that is kept between processes: what a disk or a crash spoilt is compiled anew, never run.

Numba loads what its files hold. One bit that flipped would be another number, an empty file an error. So a digest
stands before the content of each file. Where no folder can be written nothing is kept, and each process compiles.
See docs/design/lanes.md.
"""

import pickle
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

from numba.core.caching import FunctionCache, IndexDataCacheFile

DIGEST_BYTES: Final = 32


def keep(compiled: Any, called: tuple[str, ...] = ()) -> None:
    """Let a compiled function of numba's look for its machine code on disk, and leave it there.

    called: the content of the functions that it calls; of another content the machine code is not taken.
    """
    with suppress(RuntimeError):  # there is no folder for it
        compiled._cache = _Cache(compiled.py_func, called)  # noqa: SLF001 - numba offers no other way


class _File(IndexDataCacheFile):
    """The files of one function: an index by argument types, and one of machine code for each."""

    def _dump(self, obj: Any) -> bytes:
        data: bytes = super()._dump(obj)
        return sha256(data).digest() + data

    def _save_index(self, overloads: dict[Any, str]) -> None:
        with self._open_for_write(self._index_path) as file:
            file.write(self._dump((self._version, self._source_stamp, overloads)))

    def _load_index(self) -> dict[Any, str]:
        version, stamp, overloads = _read(self._index_path) or (None, None, {})
        return overloads if (version, stamp) == (self._version, self._source_stamp) else {}

    def _load_data(self, name: str) -> Any:
        return _read(self._data_path(name))


class _Cache(FunctionCache):
    def __init__(self, function: Any, called: tuple[str, ...]) -> None:
        super().__init__(function)
        stamp = (self._impl.locator.get_source_stamp(), called)
        self._cache_file = _File(self._cache_path, self._impl.filename_base, stamp)

    def save_overload(self, *compiled: Any) -> None:
        with suppress(OSError):  # a full disk costs the next process time, and nothing else
            super().save_overload(*compiled)


def _read(path: str) -> Any:
    """What was dumped into a file; None where it is not there or not as it was."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - lanes know no paths
            raw = file.read()
    except OSError:
        return None
    digest, data = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
    return pickle.loads(data) if sha256(data).digest() == digest else None  # noqa: S301 - numba's own form
