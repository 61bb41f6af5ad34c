"""The inventory: a part that is gone is missed, a part that was merged or changed in place is not."""

import shutil

import pytest

from journal.engine import owner
from journal.engine.address import READER, read
from journal.engine.inventory import FILE, Part, missing, require_links
from journal.refusal import Refusal
from journal.store import connect
from tests.integration.soaking import free_of


def part(first, last, rows, partition="all", table="violet_runs"):
    return Part(table, partition, first, last, rows)


WAS = [part(1, 4, 40), part(6, 6, 10)]


@pytest.mark.parametrize(
    ("now", "gone"),
    [
        (WAS, []),
        ([part(1, 6, 45)], []),  # merged, and copies of keys went
        ([part(1, 2, 20), part(4, 4, 20), part(6, 6, 10)], []),  # what it was merged of is there again
        ([part(1, 2, 20), part(6, 6, 10)], WAS[:1]),
        (WAS[:1], WAS[1:]),
        ([part(1, 4, 40, "other"), part(6, 6, 10, table="violet_days")], WAS),
        ([part(1, 4, 41), part(6, 6, 10)], WAS[:1]),  # its own count says more than was inserted
        ([], WAS),
    ],
)
def test_a_part_is_missed_where_its_rows_are_gone(now, gone):
    assert missing(WAS, now, {}) == gone


def test_a_change_in_place_may_leave_nothing_of_what_was_before_it():
    assert missing(WAS, [], {"violet_runs": 5}) == WAS[1:]
    assert missing(WAS, [], {"violet_planes": 9}) == WAS


def test_a_folder_that_was_copied_without_its_links_is_refused(tmp_path):
    require_links(tmp_path)  # a new one
    (tmp_path / "store/abc").mkdir(parents=True)
    (tmp_path / "metadata").mkdir()
    with pytest.raises(Refusal, match="without its links"):
        require_links(tmp_path)
    (tmp_path / "store/abc/table").mkdir()
    (tmp_path / "metadata/default").symlink_to("../store/abc/table")
    require_links(tmp_path)


TABLES = (
    "CREATE TABLE violet_days (n Int64) ENGINE = MergeTree ORDER BY n",
    "CREATE TABLE violet_damage (table String, part String, rows UInt64, found_at DateTime64(3), mended String, "
    "revision UInt8) ENGINE = MergeTree ORDER BY part",
)


def test_the_engine_journals_what_is_gone_when_it_starts_and_does_not_miss_it_again(tmp_path):
    data, where = tmp_path / "data", None
    with owner.running(data) as address, connect(address) as store:
        for table in TABLES:
            store.command(table)
        store.command("INSERT INTO violet_days VALUES (1), (2)")
        where = store.rows("SELECT path FROM system.parts WHERE table = 'violet_days'")[0]["path"]
    free_of(data)
    shutil.rmtree(data / "engine" / where)
    for start in range(2):
        with owner.running(data) as address, connect(address) as store:
            found = store.rows("SELECT table, part, rows FROM violet_damage")
            assert found == [{"table": "violet_days", "part": "all_1_1", "rows": 2}], start
            if not start:
                store.command("INSERT INTO violet_days VALUES (3)")  # it takes the number of the part that is gone
        free_of(data)
    (data / "engine" / FILE).write_text("[[", "utf-8")  # a list that cannot be read misses nothing
    with owner.running(data):
        assert read(data, READER) is not None
    free_of(data)
