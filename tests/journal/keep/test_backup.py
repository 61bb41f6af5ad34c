"""A backup is the engine's folder again: parts as links, the rest as copies, and half of one never has its name."""

from pathlib import Path

import pytest

from journal.keep.backup import KEPT, alone, backups, link
from journal.lock import Lock, soak_lock
from journal.refusal import Refusal


@pytest.fixture
def data(tmp_path):
    part = tmp_path / "engine" / "store" / "part_1"
    part.mkdir(parents=True)
    (part / "checksums.txt").write_text("sum")
    (part / "data.bin").write_text("rows")
    (tmp_path / "engine" / "metadata.sql").write_text("CREATE")
    for unfinished in ("tmp_insert_1", "delete_tmp_2", "tmp-fetch_3"):
        (tmp_path / "engine" / "store" / unfinished).mkdir()
        (tmp_path / "engine" / "store" / unfinished / "data.bin").write_text("half")
    (tmp_path / "engine" / "data").symlink_to("store")
    return tmp_path


def test_parts_are_linked_the_rest_is_copied_and_links_stay_links(data):
    made = link(data, "before-0001-x")
    assert made == data / "backups" / "before-0001-x"
    assert (made / "store/part_1/data.bin").stat().st_ino == (data / "engine/store/part_1/data.bin").stat().st_ino
    assert (made / "metadata.sql").stat().st_ino != (data / "engine/metadata.sql").stat().st_ino
    assert (made / "data").readlink() == Path("store")
    assert [p.name for p in (made / "store").iterdir()] == ["part_1"]
    (data / "engine/metadata.sql").write_text("ALTER")
    assert (made / "metadata.sql").read_text() == "CREATE"


def test_the_last_few_stay_the_oldest_goes_first(data):
    names = [f"before-{n:04d}-x" for n in (9, 8, 7, 6, 5)]
    for name in names:
        link(data, name)
    assert KEPT == 3
    assert [path.name for path in backups(data)] == names[-3:]
    (data / "backups" / "before-notes.txt").write_text("mine")
    (data / "backups" / "another").mkdir()
    assert len(backups(data)) == 3


def test_what_a_crash_left_half_made_is_made_anew(data):
    half = data / "backups" / ".before-0001-x.part"
    half.mkdir(parents=True)
    (half / "metadata.sql").write_text("half")
    assert (link(data, "before-0001-x") / "metadata.sql").read_text() == "CREATE"
    assert not half.exists()


def test_a_backup_that_cannot_be_made_leaves_nothing_and_names_the_way_out(data):
    (data / "backups").mkdir()
    (data / "backups" / "before-0001-x").write_text("a file stands there")
    with pytest.raises(
        Refusal, match=r"no backup could be made in .*; fix: make room, or `violet migrate --without-backup`"
    ):
        link(data, "before-0001-x")
    assert not (data / "backups" / ".before-0001-x.part").exists()


def test_only_another_process_s_soak_is_in_the_way(tmp_path):
    alone(tmp_path)
    with Lock.acquire(soak_lock(tmp_path, "mine")):
        alone(tmp_path)
        lock = soak_lock(tmp_path, "mine")
        lock.write_text('{"pid": 1, "command": "violet soak"}')
        with pytest.raises(
            Refusal,
            match=r"the soak of pid 1 \(violet soak\) writes the journal that would be migrated; fix: stop it first",
        ):
            alone(tmp_path)
    alone(tmp_path)


def test_the_backup_before_a_migration_that_fails_at_each_start_stays(data):
    names = ["before-0009-a", *(f"before-0011-{n}" for n in range(6))]
    for name in names:
        link(data, name)
    assert [path.name for path in backups(data)] == [names[0], names[1], names[-1]]
