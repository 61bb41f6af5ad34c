"""Another version of the code goes on with a run: refused or as a segment, the journal kept as it was before."""

import shutil

import pytest

from journal.keep import backup
from journal.keep.migrate import scripts
from journal.refusal import Refusal
from tests.integration import records
from tests.integration.soaking import (
    Journal,
    another_version,
    ended,
    free_of,
    fresh,
    interrupted,
    listing,
    soak,
    violet,
)

pytestmark = pytest.mark.slow

NEXT = f"{len(scripts()) + 1:04d}__runs__grow.sql"
MIGRATION = {NEXT: "-- A column more.\nALTER TABLE violet_runs ADD COLUMN IF NOT EXISTS remark String DEFAULT '';\n"}


@pytest.fixture
def newer(tmp_path):
    """The environment of a version with other code and a migration more."""
    return another_version(tmp_path / "newer", MIGRATION)


@pytest.mark.slow
def test_a_version_with_a_migration_goes_on_behind_a_backup_and_the_older_one_is_refused(tmp_path, newer, topic):
    data = tmp_path / "data"
    left = interrupted(data, 2, batch_size=60, **topic.source)
    at = left.summary["records"]
    command = ["soak", *topic.flags, "--data", data, "--json"]

    dry = ended(fresh("migrate", "--data", data, "--dry-run", "--json", env=newer)).json
    assert dry["scripts"][0]["name"] == NEXT
    assert dry["backup"].startswith(f"before-{NEXT[:4]}-")
    refused = ended(fresh(*command, env=newer))
    assert (refused.code, "another code (" in refused.err, "--new-segment" in refused.err) == (3, True, True)
    assert "lacks" in ended(fresh("status", "--data", data, env=newer)).err
    assert not (data / "backups").exists()  # neither dry run nor refusal has changed anything

    said = ended(fresh(*command, "--new-segment", env=newer), 110)
    assert said.code in (0, 2), said.err
    assert (said.json["state"], said.json["records"], said.json["lost"], said.json["doubled"]) == ("ENDED", 600, 0, 0)
    assert [each["segment"] for each in said.json["segments"]] == [1, 2]
    (kept,) = backup.backups(data)
    assert kept.name.startswith(f"before-{NEXT[:4]}-")

    for words in (["status"], ["migrate"], ["soak", *topic.flags, "--new"]):  # by the name of what it does not know
        old = violet(*words, "--data", data)
        assert (old.code, NEXT in old.err, "newer version" in " ".join(old.err.split())) == (3, True, True)
    free_of(data)

    (data / "engine").rename(tmp_path / "aside")
    kept.rename(data / "engine")
    again = soak(data, **topic.source)  # as it was before, the older version goes on
    assert (again.run_id, again.summary["state"], again.counts["records"]) == (left.run_id, "ENDED", 600)
    assert again.hash == said.json["content_hash"]
    assert [each["segment"] for each in again.summary["segments"]] == [1]
    journal = Journal(data)
    try:
        opened = "SELECT segment, first_offset FROM segments WHERE run_id = {run:String} ORDER BY segment"
        assert journal.rows(opened, run=left.run_id) == [{"segment": 1, "first_offset": 0}]
    finally:
        journal.close()
    assert 0 < at < 600


def test_backups_are_bounded_links_and_leave_unfinished_parts_out(tmp_path, journal):
    data = tmp_path / "copy"
    journal.violet("migrate")
    shutil.copytree(journal.data / "engine", data / "engine", symlinks=True)
    part = next(path.parent for path in (data / "engine").rglob("checksums.txt"))
    part.with_name("tmp_insert_all_9_9_0").mkdir()
    names = [f"before-{n:04d}-20261121T130000" for n in range(backup.KEPT + 2)]
    made = [backup.link(data, name) for name in names][-1]
    assert [path.name for path in backup.backups(data)] == names[-backup.KEPT :]
    there, copy = part / "checksums.txt", made / part.relative_to(data / "engine") / "checksums.txt"
    assert (there.stat().st_ino, copy.stat().st_nlink) == (copy.stat().st_ino, 1 + backup.KEPT)
    assert not list(made.rglob("tmp_insert_*"))
    assert files(made) == files(data / "engine")


def files(folder):
    """Sizes of what is in a folder but for unfinished parts; a directory's own size tells what it once held."""
    return {n: size for n, (size, _) in listing(folder).items() if "tmp_insert" not in n and (folder / n).is_file()}


def test_no_migration_under_another_soak_and_no_silence_of_a_server_that_keeps_nothing(tmp_path, journal, spawn):
    data = tmp_path / "data"
    scans = records.write(tmp_path / "a.jsonl", records.plain(3_000))
    process = spawn("soak", "--scans", scans, "--data", data, "--name", "writes", "--speed", "600x")
    while not (data / "sql.json").exists():
        assert process.poll() is None
    with pytest.raises(Refusal, match=r"the soak of pid \d+ .* writes the journal that would be migrated"):
        backup.alone(data)
    process.kill()
    ended(process)
    with pytest.raises(Refusal, match="server makes no backup.*--without-backup"):
        backup.remote(journal.store, "before-0009")
