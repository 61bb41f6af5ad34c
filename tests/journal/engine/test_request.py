"""What a request says besides its query: headers count before parameters, and nothing odd gets into an answer's head."""

import pytest

from journal.engine.reader import QueryError
from journal.engine.request import asked, login

TOKENS = {"reader": "secret"}


def test_headers_count_before_parameters():
    headers = {"x-clickhouse-format": "CSV", "x-clickhouse-database": "system", "x-clickhouse-query-id": "h"}
    request = asked("database=default&default_format=JSON&param_a=1&limit=2", headers)
    assert (request.database, request.default_format, request.query_id) == ("system", "CSV", "h")
    assert request.bound == {"a": "1"}
    assert asked("query_id=p", headers).query_id == "p"  # as in a ClickHouse server


@pytest.mark.parametrize("query_id", ["a b", "a\r\nX: y", "ü", "x" * 201, "\0"])
def test_a_query_id_that_cannot_stand_in_a_header_is_refused(query_id):
    with pytest.raises(QueryError, match="query_id must be"):
        asked("", {"x-clickhouse-query-id": query_id})


def test_every_request_has_an_id_of_its_own():
    assert asked("", {}).query_id != asked("", {}).query_id


@pytest.mark.parametrize("name", ["DataFrame", "debug", "CSV INTO OUTFILE 'x'", "a b"])
def test_a_format_that_leads_out_of_the_engine_is_none(name):
    with pytest.raises(QueryError, match="unknown format"):
        _ = asked("", {"x-clickhouse-format": name}).default_format


def test_a_flag_is_yes_or_no():
    assert asked("compress=1", {}).flag("compress")
    assert not asked("compress=false", {}).flag("compress")
    assert asked("", {}).flag("compress", default=True)
    with pytest.raises(QueryError, match="compress must be 0 or 1, was '2'"):
        asked("compress=2", {}).flag("compress")


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("CSVWithNames", "text/csv; charset=UTF-8"),
        ("TSV", "text/tab-separated-values; charset=UTF-8"),
        ("JSONCompact", "application/json; charset=UTF-8"),
        ("JSONCompactEachRow", "application/x-ndjson; charset=UTF-8"),
        ("PrettyCompact", "text/plain; charset=UTF-8"),
        ("Parquet", "application/octet-stream"),
        ("", "text/plain; charset=UTF-8"),
    ],
)
def test_an_answer_has_the_type_of_its_format(form, kind):
    assert asked("", {}).headers(form)["Content-Type"] == kind


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ({}, {}),
        ({"user": "reader", "password": "wrong"}, {}),
        ({"user": "nobody", "password": ""}, {}),
        ({"user": "reader", "password": "secret"}, {"x-clickhouse-user": "nobody"}),
        ({}, {"x-clickhouse-user": "reader"}),
        ({}, {"authorization": "Basic ////"}),
        ({}, {"authorization": "Bearer secret"}),
    ],
)
def test_no_other_login_proves_anything(query, headers):
    with pytest.raises(QueryError, match="no such user, or another token") as refused:
        login(query, headers, TOKENS)
    assert refused.value.code == 516


def test_a_login_comes_by_header_parameter_or_basic():
    assert login({"user": "reader", "password": "secret"}, {}, TOKENS) == "reader"
    assert login({}, {"x-clickhouse-user": "reader", "x-clickhouse-key": "secret"}, TOKENS) == "reader"
    assert login({}, {"authorization": "Basic cmVhZGVyOnNlY3JldA=="}, TOKENS) == "reader"
