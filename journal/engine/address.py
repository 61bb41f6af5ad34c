"""Where the engine of a data directory listens, and the keys to it: DIR/sql.json (reader), DIR/writer.json.

Both files are 0600 and stay between runs, so that port and tokens stay the same for a directory; whether an
engine runs is what its lock and /ping say. See docs/design/records.md.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from journal.lock import engine_lock, held

READER: Final = "reader"
WRITER: Final = "writer"
FILES: Final = {READER: "sql.json", WRITER: "writer.json"}


@dataclass(frozen=True, slots=True)
class Address:
    """A ClickHouse over HTTP and a login to it."""

    url: str
    user: str
    token: str = field(repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 8123


def read(data: Path, user: str) -> Address | None:
    """The address in a directory's file; None where there is none that can be read."""
    found = _load(data, user)
    return found[0] if found else None


def write(data: Path, user: str, url: str) -> Address:
    """Store an address for this process, with the directory's token or a new one. Atomic, 0600."""
    known = read(data, user)
    address = Address(url, user, known.token if known else secrets.token_urlsafe(24))
    path = data / FILES[user]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(asdict(address) | {"pid": os.getpid()}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return address


def attach(data: Path, user: str = WRITER) -> Address | None:
    """The address of the directory's running engine, or None.

    A token goes only to the process that holds the engine's lock: a stranger on the port would keep it.
    """
    found, holder = _load(data, user), held(engine_lock(data))
    if found is None or holder is None or found[1] != holder.pid or not answers(found[0]):
        return None
    return found[0]


def answers(address: Address, timeout_s: float = 2.0) -> bool:
    """Whether /ping answers. Never through a proxy."""
    connection = HTTPConnection(address.host, address.port, timeout=timeout_s)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().read(8) == b"Ok.\n"
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _load(data: Path, user: str) -> tuple[Address, int] | None:
    try:
        stored = json.loads((data / FILES[user]).read_text("utf-8"))
        return Address(str(stored["url"]), user, str(stored["token"])), int(stored["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
