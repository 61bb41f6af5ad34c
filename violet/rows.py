"""Rows: an answer that is fetched when it is asked for, as Arrow, pandas or polars, or batch by batch.

See docs/python.md.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from journal.refusal import Refusal
from violet.display import chart, table

FORM: Final = "Parquet"  # of the answers: of the forms that Arrow reads the one that has the names of enums
_SHOWN: Final = 10  # rows in a notebook


class Rows:
    """Rows of the journal. Each method asks for them anew, so that of a running soak it gives what is there by then.

    It has `__arrow_c_stream__`, so polars, DuckDB and others take it as it is.
    """

    def __init__(self, answers: Callable[[], Iterator[bytes]]) -> None:
        """answers: asks; gives Parquet files of the same columns, one behind the other, at least one."""
        self._answers = answers

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as Arrow record batches, as they come: no more than some 100,000 are in memory at once."""
        for answer in self._answers():
            yield from _named(parquet.read_table(BytesIO(answer))).to_batches()

    def reader(self) -> pa.RecordBatchReader:
        """The rows as a pyarrow.RecordBatchReader, which streams."""
        answers = self._answers()
        first = _named(parquet.read_table(BytesIO(next(answers))))

        def batches() -> Iterator[pa.RecordBatch]:
            yield from first.to_batches()
            for answer in answers:
                yield from _named(parquet.read_table(BytesIO(answer))).to_batches()

        return pa.RecordBatchReader.from_batches(first.schema, batches())

    def arrow(self) -> pa.Table:
        """All rows as a pyarrow.Table."""
        return self.reader().read_all()

    def pandas(self) -> Any:
        """All rows as a pandas.DataFrame. Raises Refusal where pandas is not installed."""
        _require("pandas")
        return self.arrow().to_pandas()

    def polars(self) -> Any:
        """All rows as a polars.DataFrame. Raises Refusal where polars is not installed."""
        return _require("polars").from_arrow(self.arrow())

    def rows(self) -> list[dict[str, Any]]:
        """All rows as dictionaries: column name -> value."""
        found: list[dict[str, Any]] = self.arrow().to_pylist()
        return found

    def chart(self, y: str = "leverage", x: str = "ts") -> Any:
        """A column over another as a picture that a notebook shows. Raises Refusal where there is no such column."""
        found = self.arrow()
        if missing := [name for name in (x, y) if name not in found.column_names]:
            raise Refusal(f"no column {missing[0]!r}; fix: name one of {', '.join(found.column_names)}")
        return chart(found.column(x).to_pylist(), found.column(y).to_pylist(), x, y)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.reader().__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        reader = self.reader()
        found: list[dict[str, Any]] = []
        while len(found) <= _SHOWN and (batch := next(reader, None)) is not None:
            found += batch.slice(0, _SHOWN + 1 - len(found)).to_pylist()
        return table(reader.schema.names, found[:_SHOWN], is_all=len(found) <= _SHOWN)


def _require(name: str) -> Any:
    if find_spec(name) is None:
        raise Refusal(f"{name} is not installed; fix: pip install {name}")
    return import_module(name)


def _named(found: pa.Table) -> pa.Table:
    """The table with names of enums as text: Parquet has them as bytes."""
    return found.cast(pa.schema([field.with_type(_text(field.type)) for field in found.schema]))


def _text(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_binary(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_text(kind.value_type)))
    return kind
