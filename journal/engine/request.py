"""What a request of ClickHouse's HTTP protocol asks for besides its query: login, database, format, ids, compression.

Most of it may come as a header or as a parameter; the header counts, as in a ClickHouse server.
"""

import base64
import binascii
import hmac
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from journal.engine import compression
from journal.engine.reader import BAD_ARGUMENTS, QueryError

_WORD: Final = re.compile(r"\w{1,64}", re.ASCII)
_QUERY_ID: Final = re.compile(r"[!-~]{1,200}", re.ASCII)  # it goes back in a header
_HEADERS: Final = {"database": "database", "format": "default_format"}
_TYPES: Final = (  # of an answer, by the begin of its format's name, as ClickHouse names them
    (re.compile(r"TabSeparatedRaw|TSVRaw"), "text/plain; charset=UTF-8"),
    (re.compile(r"TabSeparated|TSV"), "text/tab-separated-values; charset=UTF-8"),
    (re.compile(r"CSV"), "text/csv; charset=UTF-8"),
    (re.compile(r"JSON\w*EachRow\w*"), "application/x-ndjson; charset=UTF-8"),
    (re.compile(r"JSON"), "application/json; charset=UTF-8"),
    (re.compile(r"XML"), "application/xml; charset=UTF-8"),
    (re.compile(r"Pretty|Vertical|Values|Markdown|SQLInsert|\Z"), "text/plain; charset=UTF-8"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its parameters, with what its headers say among them."""

    params: dict[str, str]
    query_id: str
    accepted: str  # Accept-Encoding

    @property
    def bound(self) -> dict[str, str]:
        """The values of {name:Type} in the query."""
        return {name.removeprefix("param_"): value for name, value in self.params.items() if name.startswith("param_")}

    @property
    def database(self) -> str:
        """The database that names without one mean; empty for the default."""
        name = self.params.get("database", "")
        if name and not _WORD.fullmatch(name):
            raise QueryError.of(81, "UNKNOWN_DATABASE", f"no such database: {name[:80]!r}")
        return name

    @property
    def default_format(self) -> str:
        """The format of an answer whose query names none."""
        name = self.params.get("default_format") or "TabSeparated"
        # The last four are the engine's ways into Python objects and its debug log.
        if not _WORD.fullmatch(name) or name.lower() in ("dataframe", "datastore", "arrowtable", "debug"):
            raise QueryError.of(73, "UNKNOWN_FORMAT", f"unknown format {name[:80]!r}")
        return name

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A parameter that is yes or no."""
        value = self.params.get(name, "")
        if value not in ("", "0", "1", "false", "true"):
            raise QueryError.of(BAD_ARGUMENTS, "BAD_ARGUMENTS", f"{name} must be 0 or 1, was {value[:40]!r}")
        return value in ("1", "true") if value else default

    def compressed(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """A body of an answer as the client wants it, and the header that says so."""
        if self.flag("compress"):
            body = b"".join(compression.frames(body))
        coding = compression.chosen(self.accepted) if self.flag("enable_http_compression", default=True) else ""
        return (compression.encoded(body, coding), {"Content-Encoding": coding}) if coding else (body, {})

    def headers(self, form: str) -> dict[str, str]:
        """What stands at the head of an answer in a format; without one nothing is answered."""
        kind = next((kind for begin, kind in _TYPES if begin.match(form)), "application/octet-stream")
        common = {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Query-Id": self.query_id, "Content-Type": kind}
        return common | ({"X-ClickHouse-Format": form} if form else {})


def asked(query_string: str, headers: Mapping[str, str]) -> Asked:
    """The request of a target's query string and its headers, by their names in lower case."""
    params = dict(parse_qsl(query_string, keep_blank_values=True, max_num_fields=1_000))
    for header, name in _HEADERS.items():
        if value := headers.get(f"x-clickhouse-{header}"):
            params[name] = value
    query_id = params.get("query_id") or headers.get("x-clickhouse-query-id") or str(uuid.uuid4())
    if not _QUERY_ID.fullmatch(query_id):
        raise QueryError.of(
            BAD_ARGUMENTS, "BAD_ARGUMENTS", f"query_id must be 1 to 200 visible ASCII characters, was {query_id[:80]!r}"
        )
    if role := params.get("role"):
        raise QueryError.of(511, "UNKNOWN_ROLE", f"There is no role {role[:80]!r}; fix: leave it out")
    return Asked(params, query_id, headers.get("accept-encoding", ""))


def login(params: Mapping[str, str], headers: Mapping[str, str], tokens: Mapping[str, str]) -> str:
    """The user that a request proves to be.

    Raises:
        QueryError: it proves none.
    """
    user, token = params.get("user", ""), params.get("password", "")
    if "x-clickhouse-user" in headers:
        user, token = headers["x-clickhouse-user"], headers.get("x-clickhouse-key", "")
    kind, _, basic = headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            user, _, token = base64.b64decode(basic, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = ""
    expected = tokens.get(user, "")
    same = hmac.compare_digest(token.encode(errors="replace"), (expected or secrets.token_hex(16)).encode())
    if not (same and expected):
        raise QueryError.of(
            516, "AUTHENTICATION_FAILED", "no such user, or another token: DIR/sql.json holds the reader's"
        )
    return user
