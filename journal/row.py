"""Rows of the journal: their columns, the row hash, and the blocks that are inserted.

Decisions and evaluations share one set of columns. A row's hash folds its words, in the order of SCORED:

    h = SEED; for each word w: h = intHash64(h xor w)

where intHash64 is ClickHouse's (a murmur finalizer), a float is its 64 bits, an integer itself, and a string the
first eight bytes, little endian, of its SHA-256. The content hash is the wrapping sum of row hashes, so it does not
depend on order, batches, partitions or restarts, and `row_hash_sql` computes it inside ClickHouse from what is stored.
See docs/design/exactly-once.md.
"""

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lanes.code import END_MS, FIRST_MS, Bound, DcStatus, Outcome, PlaneForm, Reject
from lanes.kernel import kernel
from lanes.registry import LANES, MORE
from lanes.unfit import Unfit

Words = NDArray[np.uint64]
_sha256 = hashlib.sha256
SEED: Final = 0x5649_4F4C_4554_0001  # "VIOLET", layout 1: another layout must never give an old layout's hash
RAW_MAX: Final = 65_536  # bytes of a rejected record that are kept


@dataclass(frozen=True, slots=True)
class Column:
    """One stored column: its ClickHouse type and how it enters the row hash (float, int, string, or not at all).

    sha: the column that holds the SHA-256 of its text, in hex, once retention dropped the text.
    optional: of a lane beyond the five: NULL, and no word, where that lane was off.
    """

    name: str
    type: str
    word: str = ""
    sha: str = ""
    optional: bool = False


def _enum(codes: Any, bits: int = 8) -> str:
    return f"Enum{bits}(" + ", ".join(f"'{c.name}' = {c.value}" for c in codes) + ")"


def _floats(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "Float64", "float") for name in names)


KEY: Final = (
    Column("run_id", "LowCardinality(String)"),
    Column("segment", "UInt32"),
    Column("topic", "LowCardinality(String)"),
    Column("partition", "UInt32"),
    Column("log_offset", "Int64"),
)
# In the order of the hash. What is a product of these without a constant, the views compute.
SCORED: Final = (
    Column("stream", "LowCardinality(String)", "string"),
    Column("scan_id", "Int64", "int"),
    Column("ts_ms", "Int64", "int"),
    Column("asset", "LowCardinality(String)", "string"),
    Column("posture", "LowCardinality(String)", "string"),
    Column("dc_status", _enum(DcStatus), "int"),
    Column("bound", _enum(Bound), "int"),
    Column("reasons", "UInt64", "int"),
    *_floats("vel_div", "w750", "strength", "base", "dc", "acb_boost", "meta_boost", "mc_scale", "ob", "esof"),
    *_floats("esof_fanin", "cap", "leverage_fanin", "sc_mult", "leverage", "fraction", "capital_usd", "notional_usd"),
    Column("params_hash", "LowCardinality(String)", "string"),
    *(Column(name, "Nullable(Float64)", "float", optional=True) for lane in MORE for name in lane.stored),
)
if len({column.name for column in (*KEY, *SCORED)}) != len(KEY) + len(SCORED):
    raise Unfit(f"a lane's columns must be its own, were {[column.name for column in SCORED if column.optional]}")
PLANE: Final = (
    Column("stream", "LowCardinality(String)", "string"),
    Column("name", "LowCardinality(String)", "string"),
    Column("seq", "Int64", "int"),
    Column("ts_ms", "Int64", "int"),
    Column("form", _enum(PlaneForm), "int"),
    *_floats("x", "y", "z"),
    Column("text", "LowCardinality(String)", "string"),
)
REJECT: Final = (
    Column("code", _enum(Reject, bits=16), "int"),
    Column("lane", "LowCardinality(String)", "string"),
    Column("kind", "LowCardinality(String)", "string"),
    Column("stream", "LowCardinality(String)", "string"),
    Column("scan_id", "Int64", "int"),
    Column("ts_ms", "Int64", "int"),
    Column("bytes", "UInt64", "int"),
    Column("digest", "String", "string"),
    Column("raw", "String", "string", sha="raw_sha"),
    Column("detail", "String"),
)
COLUMNS: Final = dict(zip(Outcome, (SCORED, SCORED, PLANE, REJECT), strict=True))
TABLES: Final = {kind: f"violet_{kind.name.lower()}s" for kind in Outcome}


@dataclass(frozen=True, slots=True)
class Coded:
    """A string column as positions in a short list of names.

    >>> Coded(np.array([1, 0, 1], dtype=np.int32), ["BTCUSDT", "ETHUSDT"]).strings()
    ['ETHUSDT', 'BTCUSDT', 'ETHUSDT']
    """

    codes: NDArray[np.int32]
    names: Sequence[str]

    @classmethod
    def constant(cls, name: str, n: int) -> "Coded":
        """The same name n times."""
        return cls(np.zeros(n, dtype=np.int32), [name])

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, at: NDArray[Any]) -> "Coded":
        """The rows at these positions."""
        return Coded(self.codes[at], self.names)

    def strings(self) -> list[str]:
        """The column spelled out."""
        if len(self.names) == 1:
            return [self.names[0]] * len(self.codes)
        names = self.names
        return [names[code] for code in self.codes.tolist()]


Values = NDArray[Any] | Coded | list[str] | list[bytes]


@dataclass(slots=True)
class Rows:
    """Rows of one kind, in offset order: their offsets, their columns by name, and their hashes."""

    offsets: NDArray[np.int64]
    columns: dict[str, Values]
    hashes: Words

    def __len__(self) -> int:
        return len(self.offsets)

    def take(self, at: NDArray[Any]) -> "Rows":
        """The rows at these positions."""
        return Rows(self.offsets[at], {n: _take(v, at) for n, v in self.columns.items()}, self.hashes[at])

    @property
    def hash(self) -> int:
        """Wrapping sum of the row hashes."""
        return int(self.hashes.sum(dtype=np.uint64))

    def digest(self) -> str:
        """Digest of the block: which offsets hold which rows. Part of the insert token."""
        return hashlib.sha256(self.offsets.tobytes() + self.hashes.tobytes()).hexdigest()[:32]


@dataclass(slots=True)
class Batch:
    """The outcomes of a range of offsets of one partition, and the state after it.

    `skipped` holds ranges [a, b] inside first..last that the broker never delivers. `standins` names the project's own
    stand-ins that its scans say they come from. `last_record` is the SHA-256 of the record at `last`, `last_epoch` its
    leader epoch (-1: unknown): by them a resume knows the log again.
    """

    topic: str
    partition: int
    segment: int
    first: int
    last: int
    rows: dict[Outcome, Rows]
    skipped: list[tuple[int, int]] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    last_ts_ms: int = 0
    state: bytes = b"{}"
    standins: frozenset[str] = frozenset()
    last_record: str = ""
    last_epoch: int = -1

    @property
    def content_hash(self) -> int:
        """Wrapping sum over decisions and evaluations."""
        return (self.rows[Outcome.DECISION].hash + self.rows[Outcome.EVALUATION].hash) & (2**64 - 1)


def joined(parts: Sequence[Batch]) -> Batch:
    """One batch of parts that follow one another; its state is that of the last part.

    Args:
        parts: at least one, of one topic, partition and segment, in offset order.
    """
    return replace(
        parts[-1],
        first=parts[0].first,
        rows={kind: _joined_rows([part.rows[kind] for part in parts]) for kind in Outcome},
        skipped=[span for part in parts for span in part.skipped],
        unknown=dict(sum((Counter(part.unknown) for part in parts), Counter[str]())),
        last_ts_ms=max(part.last_ts_ms for part in parts),
        standins=frozenset().union(*(part.standins for part in parts)),
    )


def _joined_rows(parts: Sequence[Rows]) -> Rows:
    parts = [part for part in parts if len(part)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    columns = {name: _joined_values([part.columns[name] for part in parts]) for name in parts[0].columns}
    offsets, hashes = (np.concatenate([getattr(part, each) for part in parts]) for each in ("offsets", "hashes"))
    return Rows(offsets, columns, hashes)


def _joined_values(parts: Sequence[Any]) -> Values:
    if isinstance(parts[0], list):
        return list(chain.from_iterable(parts))
    if not isinstance(parts[0], Coded):
        whole: NDArray[Any] = np.concatenate(parts)
        return whole
    codes: dict[str, int] = {}
    recoded = [np.array([codes.setdefault(n, len(codes)) for n in p.names], dtype=np.int32)[p.codes] for p in parts]
    return Coded(np.concatenate(recoded), list(codes))


def rows(kind: Outcome, offsets: NDArray[np.int64], columns: dict[str, Values]) -> Rows:
    """Rows of a kind, with their hashes.

    Args:
        kind: which table they are for.
        offsets: (n,) offsets of the rows, ascending.
        columns: name -> n values, for every column of COLUMNS[kind]; the optional ones where the lane was on.
    """
    words = [_words(columns[c.name], len(offsets)) for c in present(kind, columns) if c.word]
    return Rows(offsets, columns, fold(words, len(offsets)))


def present(kind: Outcome, columns: Container[str]) -> list[Column]:
    """The stored columns of a kind that rows have: all but the optional ones of lanes that were off."""
    return [column for column in COLUMNS[kind] if not column.optional or column.name in columns]


def fold(words: Iterable[Words], n: int) -> Words:
    """Row hashes of n rows.

    Args:
        words: for each column in the order of the hash, (n,) 64-bit words.
        n: number of rows; columns may be none.

    >>> hex(int(fold([], 1)[0]))  # nothing is folded: the seed
    '0x56494f4c45540001'
    """
    hashes = np.full(n, SEED, dtype=np.uint64)
    for column in words:
        _fold_column(hashes, column)
    return hashes


def string_word(text: str | bytes) -> int:
    """The word of a string: first eight bytes of its SHA-256, little endian."""
    return int.from_bytes(hashlib.sha256(text if isinstance(text, bytes) else text.encode()).digest()[:8], "little")


def row_hash_sql(kind: Outcome) -> str:
    """The row hash as a ClickHouse expression over the base table's columns."""
    expression = f"toUInt64({SEED})"
    for column in COLUMNS[kind]:
        if column.optional:
            before = f"before_{column.name}"
            folded = f"intHash64(bitXor({before}, {_word_sql(column)}))"
            expression = f"if(isNull({column.name}), ({expression} AS {before}), {folded})"
        elif column.word:
            expression = f"intHash64(bitXor({expression}, {_word_sql(column)}))"
    return expression


def sound_sql() -> str:
    """The constraints of the tables of decisions and evaluations, again, as a condition over what is stored."""
    factors = [name for lane in LANES[1:] for name in lane.made_of]
    finite = [column.name for column in SCORED if column.word == "float" and column.name != "w750"]
    optional = {column.name for column in SCORED if column.optional}
    rules = [*((name, f"isFinite({name})") for name in finite), *((name, f"{name} >= 0") for name in factors)]
    return " AND ".join(
        [f"(isNull({name}) OR {rule})" if name in optional else rule for name, rule in rules]
        + ["capital_usd > 0", f"ts_ms >= {FIRST_MS}", f"ts_ms < {END_MS}", "scan_id >= 0", "notEmpty(stream)"]
    )


def table_columns(kind: Outcome) -> Mapping[str, str]:
    """Name and ClickHouse type of every stored column, key first."""
    return {column.name: column.type for column in (*KEY, *COLUMNS[kind])}


def _word_sql(column: Column) -> str:
    if column.word == "float":
        return f"reinterpretAsUInt64({f'assumeNotNull({column.name})' if column.optional else column.name})"
    if column.word == "int":
        return f"reinterpretAsUInt64(toInt64({column.name}))"
    sha = f"SHA256({column.name})"
    if column.sha:
        sha = f"if(empty({column.sha}), {sha}, unhex({column.sha}))"
    return f"reinterpretAsUInt64(substring({sha}, 1, 8))"


def _words(values: Values, n: int) -> Words:
    if isinstance(values, Coded):
        names = np.array([string_word(name) for name in values.names], dtype=np.uint64)
        return names[values.codes] if n else np.empty(0, np.uint64)
    if isinstance(values, list):
        digests = [_sha256(t if type(t) is bytes else t.encode()).digest()[:8] for t in values]  # type: ignore[union-attr]
        return np.frombuffer(b"".join(digests), dtype="<u8")
    if values.dtype == np.float64:
        return np.ascontiguousarray(values).view(np.uint64)
    return values.astype(np.int64).view(np.uint64) if values.dtype != np.uint64 else values


def _take(values: Values, at: NDArray[Any]) -> Values:
    if isinstance(values, Coded):
        return values.take(at)
    if isinstance(values, list):
        return [values[i] for i in at.tolist()]
    taken: NDArray[Any] = values[at]
    return taken


@kernel
def _fold_column(hashes: Words, words: Words) -> None:
    for i in range(len(hashes)):
        x = hashes[i] ^ words[i] ^ np.uint64(0x4CF2D2BAAE6DA887)
        x ^= x >> np.uint64(33)
        x *= np.uint64(0xFF51AFD7ED558CCD)
        x ^= x >> np.uint64(33)
        x *= np.uint64(0xC4CEB9FE1A85EC53)
        hashes[i] = x ^ (x >> np.uint64(33))
