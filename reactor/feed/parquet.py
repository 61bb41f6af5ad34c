"""Parquet and Feather: the rows of a file as JSON has them, in the file's order. The only module that imports pyarrow.

A time with a zone is ISO text in UTC; one without a zone is text without one, so that the mapping has to say which.
A number that is whole is an integer; bytes are UTF-8 text, or surrogates where they are none, as in CSV. A list or a
map that is null is empty, and of a struct that is null every field is null. Memory is bounded by some thousand rows.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import feather, types

from journal.refusal import Refusal
from reactor.log.container import Kind, Opened, Packing

MAGIC: Final = b"PAR1"  # at both ends of a file that was written to its end
BATCH_ROWS: Final = 4_096
BUFFER_BYTES: Final = 1 << 20  # read of a column at once; without it a row group's whole column is held
_EXACT: Final = 1 << 53  # from here on a float's shortest text is not all of its digits
_INTEGERS: Final = (-(1 << 63), 1 << 64)  # what an integer of a JSON text may be
_encode: Final = msgspec.json.Encoder().encode


def check(path: Path) -> None:
    """Raises Refusal where a file is no whole Parquet file."""
    with path.open("rb") as file:
        head = file.read(len(MAGIC))
        file.seek(max(0, path.stat().st_size - len(MAGIC)))
        tail = file.read()
    if head != MAGIC or tail != MAGIC:
        what = "empty, not Parquet" if not head else "cut off or half written" if head == MAGIC else "not Parquet"
        raise Refusal(f"{path} must be a whole Parquet file or end in .csv, was {what}; fix: fetch it again")


def rows(found: Opened) -> Iterator[dict[str, Any]]:
    """Each row of a file. Raises Refusal where the file cannot be read."""
    if found.kind is Kind.PARQUET and found.packing is Packing.PLAIN and found.path.is_file():
        check(found.path)
    try:
        if found.kind is Kind.FEATHER:
            for batch in _feather(found).to_batches(BATCH_ROWS):
                yield from _batch(batch, set())
            return
        with pq.ParquetFile(found.seekable(), buffer_size=BUFFER_BYTES) as file:
            leaves = (file.schema.column(at) for at in range(len(file.schema)))
            utc = {leaf.path for leaf in leaves if leaf.physical_type == "INT96"}  # an old type of times, always UTC
            for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                yield from _batch(batch, utc)
    except (pa.ArrowException, OSError, ValueError) as error:
        said = str(error).partition("\n")[0][:300]
        raise Refusal(f"{found.path} must be readable, its reader said: {said}; fix: give a whole file") from None


def _feather(found: Opened) -> pa.Table:
    """A Feather file. It has no checksums, and a damaged offset points outside of the memory, so all are looked at."""
    table = feather.read_table(found.seekable(), memory_map=False)
    for column in table.columns:  # text that is no UTF-8 is judged where it is read
        raw = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}.get(column.type)
        (column if raw is None else column.cast(raw)).validate(full=True)
    return table


def _batch(batch: pa.RecordBatch, utc: set[str]) -> Iterator[dict[str, Any]]:
    names = batch.schema.names
    columns = [
        _values(column.cast(pa.timestamp("ns", "UTC")) if name in utc else column)
        for name, column in zip(names, batch.columns, strict=True)
    ]
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))


def _values(array: pa.Array) -> list[Any]:
    """The values of a column as JSON has them."""
    kind = array.type
    if types.is_dictionary(kind):
        return _values(array.dictionary_decode())
    if types.is_struct(kind):
        names, fields = [field.name for field in kind], map(_values, array.flatten())
        return [dict(zip(names, row, strict=True)) for row in zip(*fields, strict=True)]
    if types.is_map(kind):
        keys, items = map(_key, _values(array.keys)), _values(array.items)
        return [dict(pairs) for pairs in _cut(array, list(zip(keys, items, strict=True)))]
    if types.is_fixed_size_list(kind):
        return _values(array.cast(pa.list_(kind.value_type)))
    if types.is_list(kind) or types.is_large_list(kind):
        return _cut(array, _values(array.values))
    if types.is_timestamp(kind):
        return _times(array, kind.unit, has_zone=kind.tz is not None)
    if types.is_time(kind):
        return _times(array.cast(pa.int32() if types.is_time32(kind) else pa.int64()), kind.unit, has_zone=False)
    if types.is_duration(kind):
        array = array.cast(pa.int64())
    return _scalars(array)


def _scalars(array: pa.Array) -> list[Any]:
    kind = array.type
    if types.is_date(kind):  # not by Python's dates, which end with the year 9999
        return [day and day[:-13] for day in _times(array.cast(pa.timestamp("ms")), "ms", has_zone=False)]
    try:
        values: list[Any] = array.to_pylist()
    except UnicodeDecodeError:  # text that is no UTF-8
        return _scalars(array.cast(pa.large_binary()))
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return [value and value.decode(errors="surrogateescape") for value in values]  # as in CSV
    if types.is_float16(kind) or types.is_float32(kind):  # their own shortest text, not that of the double
        return [None if value is None else _number(float(str(np.float32(value)))) for value in values]
    if types.is_float64(kind) or types.is_decimal(kind):
        return [None if value is None else _number(value) for value in values]
    return values


def _cut(array: pa.Array, values: list[Any]) -> list[list[Any]]:
    """The parts of a list column's values, row by row."""
    edges, valid = pairwise(array.offsets.to_pylist()), array.is_valid().to_pylist()
    return [values[start:end] if is_valid else [] for (start, end), is_valid in zip(edges, valid, strict=True)]


def _times(array: pa.Array, unit: str, *, has_zone: bool) -> list[str | None]:
    """Times of day and of the calendar as text, as fine as they are stored, at least to the millisecond."""
    ticks: Any = np.asarray(array.cast(pa.int64()).fill_null(0)).view(f"M8[{unit}]")
    fine: Any = "ms" if unit == "s" else unit
    texts = np.datetime_as_string(ticks, unit=fine).tolist()
    valid = array.is_valid().to_pylist()
    return [
        None if not is_valid else f"{text}Z" if has_zone else text.replace("T", " ")
        for text, is_valid in zip(texts, valid, strict=True)
    ]


def _number(value: float | Decimal) -> float:
    if not math.isfinite(value):
        return float(value)
    if value != int(value) or not _INTEGERS[0] <= value < _INTEGERS[1]:
        return float(value)
    return int(value) if isinstance(value, Decimal) or abs(value) < _EXACT else int(Decimal(repr(value)))


def _key(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def blocks(
    found: Opened, chosen: Callable[[Sequence[str]], dict[str, str]]
) -> Iterator[dict[str, list[Any] | NDArray[Any]]]:
    """Some columns of a Parquet or Feather file, some thousand rows at a time.

    A column of doubles or of integers is an array, with NaN for a double that is null. Times with a zone are
    datetime64. All else is a list as `rows` has it.

    Args:
        found: the open file.
        chosen: takes the names of the columns, gives those that are wanted: ours -> theirs.

    Raises:
        Refusal: the file cannot be read.
    """
    try:
        utc: set[str] = set()
        if found.kind is Kind.PARQUET:
            file = pq.ParquetFile(found.seekable(), buffer_size=BUFFER_BYTES)
            leaves = (file.schema.column(at) for at in range(len(file.schema)))
            utc = {leaf.path for leaf in leaves if leaf.physical_type == "INT96"}
            names = chosen(file.schema_arrow.names)
            batches = file.iter_batches(BATCH_ROWS, columns=[*names.values()], use_threads=False)
        else:
            table = _feather(found)
            names = chosen(table.schema.names)
            batches = iter(table.to_batches(BATCH_ROWS))
        for batch in batches:
            if batch.num_rows:
                yield {ours: _column(batch.column(name), is_utc=name in utc) for ours, name in names.items()}
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        said = str(error).partition("\n")[0][:300]
        raise Refusal(f"{found.path} must be readable, its reader said: {said}; fix: give a whole file") from None


def _column(array: pa.Array, *, is_utc: bool) -> list[Any] | NDArray[Any]:
    array = array.cast(pa.timestamp("ns", "UTC")) if is_utc else array
    kind = array.type
    if types.is_float64(kind):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    if types.is_timestamp(kind) and kind.tz is not None and not array.null_count:
        return np.asarray(array.cast(pa.int64())).view(f"M8[{kind.unit}]")
    if types.is_integer(kind) and not types.is_uint64(kind) and not array.null_count:
        return np.asarray(array.cast(pa.int64()))
    return _values(array)
