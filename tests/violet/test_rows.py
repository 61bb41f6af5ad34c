"""Rows: one answer as Arrow, pandas and batches, and what is said where a library is missing."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyarrow import parquet

import violet
from violet import rows
from violet.display import Chart


def answer(first, n):
    ts = pa.array(
        [datetime(2025, 5, 4, 15, at, tzinfo=UTC) for at in range(first, first + n)], pa.timestamp("ms", "UTC")
    )
    columns = {
        "ts": ts,
        "leverage": pa.array([at / 8 for at in range(n)]),
        "bound": pa.array([b"CAP"] * n, pa.binary()),
    }
    columns["reasons"] = pa.array([[b"CADENCE"]] * n, pa.list_(pa.binary()))
    file = pa.BufferOutputStream()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue().to_pybytes()


@pytest.fixture
def some():
    return violet.Rows(lambda: iter([answer(0, 3), answer(3, 12)]))


def test_an_answer_is_the_same_in_every_form(some):
    table = some.arrow()
    assert table.num_rows == 15
    assert table["bound"].unique().to_pylist() == ["CAP"]
    assert table["reasons"][0].as_py() == ["CADENCE"]
    assert some.rows() == table.to_pylist() == [row for batch in some.batches() for row in batch.to_pylist()]
    assert some.pandas()["leverage"].tolist() == table["leverage"].to_pylist()
    assert pa.RecordBatchReader.from_stream(some).read_all() == table


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_a_library_that_is_missing_is_named_with_its_install(some, name, monkeypatch):
    monkeypatch.setattr(rows, "find_spec", lambda _: None)
    with pytest.raises(violet.Refusal, match=f"{name} is not installed; fix: pip install {name}"):
        getattr(some, name)()


def test_a_notebook_shows_the_first_rows_and_a_chart(some):
    shown = some._repr_html_()
    assert shown.count("<tr>") == 11
    assert "there are more" in shown
    drawn = some.chart("leverage")
    assert isinstance(drawn, Chart)
    assert "hours since 2025-05-04 15:00:00 UTC" in drawn.svg
    assert drawn.svg.count("<circle") == 15
    with pytest.raises(violet.Refusal, match="no column 'x'; fix: name one of ts"):
        some.chart("x")
