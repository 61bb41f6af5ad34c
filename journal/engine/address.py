"""Where the engine of a data directory listens, and the keys to it: DIR/sql.json (reader), DIR/writer.json.

Both files are 0600 and stay between runs, so that port and tokens stay the same for a directory; whether an
engine runs is what its lock and /ping say. See docs/design/records.md.
"""

import ipaddress
import json
import os
import secrets
import ssl
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from journal.lock import engine_lock, held
from journal.refusal import Refusal

READER: Final = "reader"
WRITER: Final = "writer"
PORTS: Final = {"http": 8123, "https": 8443}  # ClickHouse's own, where the address names none
FILES: Final = {READER: "sql.json", WRITER: "writer.json"}


@dataclass(frozen=True, slots=True)
class Address:
    """A ClickHouse over HTTP and a login to it."""

    url: str
    user: str
    token: str = field(repr=False)
    ca: str | None = None  # PEM file of the CA that signed the server's certificate; else the system's CAs
    certificate: str | None = None  # PEM files of the client's own, and of its key
    key: str | None = None

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or PORTS[self.scheme]

    @property
    def path(self) -> str:
        """Where a proxy has the server, without the last slash; mostly empty."""
        return urlsplit(self.url).path.rstrip("/")

    def http(self, timeout_s: float) -> HTTPConnection:
        """A connection that is not open yet, over TLS where the address says so. Never through a proxy."""
        self.require_files()
        if self.scheme != "https":
            return HTTPConnection(self.host, self.port, timeout=timeout_s)
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return HTTPSConnection(self.host, self.port, timeout=timeout_s, context=context)

    def require_files(self) -> None:
        """Refuse a file that cannot be read: else it would look as if the server were away."""
        for path in filter(None, (self.ca, self.certificate, self.key)):
            if not os.access(path, os.R_OK):
                raise Refusal(f"journal: {path} cannot be read; fix: name a readable PEM file")

    def in_clear(self) -> bool:
        """Whether the token would go to another machine without TLS."""
        return bool(self.token) and self.scheme != "https" and not is_loopback(self.host)


def checked(url: str) -> str:
    """The HTTP address of a server, if it is one. Raises ValueError, which repeats nothing secret."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no login; fix: give user and password apart")
    if parts.scheme not in PORTS or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be http://HOST:PORT or https://HOST:PORT; fix: such as https://clickhouse:8443")
    if parts.port == 0:
        raise ValueError("must have a port from 1 to 65535")
    return url


def tls_fault(address: Address, said: str) -> str | None:
    """What is wrong with TLS to a server, by name; None where it is something else."""
    if "CERTIFICATE_VERIFY_FAILED" in said:
        what = said.partition("certificate verify failed:")[2].partition("(_ssl")[0].strip(" )\"'") or "not trusted"
        return f"the certificate of {address.url} does not hold ({what}); fix: journal.ca, or the server's certificate"
    if "SSL" in said and ("WRONG_VERSION_NUMBER" in said or "RECORD_LAYER" in said):
        return f"{address.url} does not speak TLS; fix: the port of its https interface, or http in journal.url"
    if "SSL" in said and "ALERT" in said.upper():
        return f"{address.url} refuses this client's certificate; fix: journal.certificate and journal.key"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone; no name is looked up.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("kafka")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


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
    try:
        with os.fdopen(fd, "w") as file:
            json.dump({"url": url, "user": user, "token": address.token, "pid": os.getpid()}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)  # it is there still where the disk is full
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
    connection = address.http(timeout_s)
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
