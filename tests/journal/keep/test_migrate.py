"""Migrations: numbered without a gap, applied once, never edited; views stand behind what they read."""

from dataclasses import replace

import pytest

from journal.keep import migrate as module
from journal.keep.migrate import changes, migrate, name, pending, require, scripts, views
from journal.refusal import Refusal


def test_scripts_are_numbered_without_a_gap_and_each_has_its_own_sum():
    found = scripts()
    assert [script.version for script in found] == list(range(1, len(found) + 1))
    assert len({script.checksum for script in found}) == len(found)
    assert replace(found[0], text=found[0].text + " ").checksum != found[0].checksum


def test_a_view_stands_behind_those_that_it_reads():
    order = [view.name[:-4] for view in views()]
    assert {view.version for view in views()} == {0}
    assert len(order) > 20
    for reader, read in (
        ("lane_readings", "decisions"),
        ("lane_readings", "evaluations"),
        ("blue_unmatched", "blue_pairs"),
        ("blue_pairs", "blue_trades"),
    ):
        assert order.index(read) < order.index(reader)


def test_a_migrated_journal_wants_nothing(store):
    assert pending(store) == migrate(store, lambda _: pytest.fail("a backup of nothing")) == []
    require(store)


def test_what_is_due_is_a_later_script_and_the_views_again(store, monkeypatch):
    new = module.Script(len(scripts()) + 1, "9999__runs__later.sql", "SELECT 1")
    monkeypatch.setattr(module, "scripts", lambda known=scripts(): [*known, new])  # noqa: B008
    due = pending(store)
    assert due == [new, *views()]
    assert changes(store, due)
    assert not changes(store, views())
    assert name(due).startswith(f"before-{new.version:04d}-2")
    with pytest.raises(Refusal, match=f"lacks {len(due)} scripts of this version, the first 9999__runs__later.sql"):
        require(store)


def test_a_view_that_was_edited_is_due_alone_and_changes_no_table(store, monkeypatch):
    edited = [replace(view, text=view.text + "\n") if view.name == "runs.sql" else view for view in views()]
    monkeypatch.setattr(module, "views", lambda: edited)
    due = pending(store)
    assert [view.name for view in due] == ["runs.sql"]
    assert not changes(store, due)


def test_an_edited_migration_and_a_journal_of_a_newer_version_are_refused(store, monkeypatch):
    known = scripts()
    monkeypatch.setattr(module, "scripts", lambda: [replace(known[0], text="edited"), *known[1:]])
    with pytest.raises(
        Refusal, match=f"migration {known[0].name} was edited after it was applied; fix: restore the file"
    ):
        pending(store)
    monkeypatch.setattr(module, "scripts", lambda: known[:-1])
    with pytest.raises(
        Refusal, match=f"written by a newer version \\(it has {known[-1].name}, which this one does not know\\)"
    ):
        pending(store)
