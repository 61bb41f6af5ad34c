"""The dictionary: every column of every table and view has its text, and the schema shows it."""

import pytest

from journal.engine.reader import quoted
from journal.keep import dictionary
from journal.keep.migrate import migrate
from tests.integration.fixtures import own_journal
from tests.test_pages import ROOT, generate

journal = own_journal  # its comments are changed


@pytest.fixture(scope="module")
def found(journal):
    return dictionary.columns(journal.store)


def test_every_column_of_every_table_and_view_is_explained(found):
    assert len({row["table"] for row in found}) > 40
    assert [f"{row['table']}.{row['column']}" for row in found if not row["comment"]] == []
    assert sorted({row["table"] for row in found if not row["said"]}) == []


def test_the_schema_shows_what_the_dictionary_says(found):
    heads = dictionary.about()
    for row in found:
        assert row["comment"] == dictionary.text(row["table"], row["column"])
        assert row["said"] == heads[row["table"]]


def test_the_dictionary_explains_nothing_that_is_not_there(found):
    there = {(row["table"].removeprefix("violet_"), row["column"]) for row in found}
    texts = dictionary._texts()
    assert {(table, column) for table, words in texts["columns"].items() for column in words} - there == set()
    assert texts["shared"].keys() - {column for _, column in there} == set()
    assert set(dictionary.about()) == {row["table"] for row in found}


def test_describe_shows_the_comments(journal):
    said = {row["name"]: row["comment"] for row in journal.store.rows("DESCRIBE TABLE decisions")}
    assert said["leverage_fanin"] == "Conviction: max(min_lev, min(raw, cap))."


def test_a_comment_that_went_astray_comes_back(journal):
    journal.store.command("ALTER TABLE scans COMMENT COLUMN asset 'wrong'")
    migrate(journal.store, lambda name: None)
    said = {row["name"]: row["comment"] for row in journal.store.rows("DESCRIBE TABLE scans")}
    assert said["asset"] == dictionary.text("scans", "asset")


def test_a_quote_in_a_text_is_kept():
    assert quoted("it's \\ so") == "'it\\'s \\\\ so'"


def test_the_page_of_the_dictionary_is_that_of_the_schema(journal):
    assert (ROOT / "docs/dictionary.md").read_text("utf-8") == generate.tables(journal.store), "fix: make pages"
