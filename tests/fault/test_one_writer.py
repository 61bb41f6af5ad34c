"""One writer: two soaks of a name on one server, one that is stopped and wakes up, a lock that goes, a copied directory.

The server is the engine of another data directory, reached by [journal] url as any ClickHouse is.
"""

import os
import shutil
import signal
from pathlib import Path

import pytest

from journal.lock import soak_lock
from tests.integration.soaking import COUNTS, ended, until

pytestmark = pytest.mark.slow
VIEWS = ("decisions", "evaluations", "planes", "rejects", "segments", "batches")


@pytest.fixture(scope="module")
def calm(journal, topic):
    return journal.soak(**topic.source)


def is_stopped(process):
    return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def seen(journal, run_id):
    return [
        journal.rows(f"SELECT * FROM {view} WHERE run_id = {{run:String}} ORDER BY ALL", run=run_id) for view in VIEWS
    ]


def codes(journal, run_id):
    return [row["code"] for row in journal.rows("SELECT code FROM incidents WHERE run_id = {run:String}", run=run_id)]


def journaled(journal, name):
    return journal.value(
        "SELECT count() FROM batches WHERE run_id IN (SELECT run_id FROM runs WHERE name = {n:String})", n=name
    )


@pytest.mark.parametrize("seam", ["before_intent", "after_intent", "after_evaluations", "before_completion"])
@pytest.mark.parametrize("other", [False, True], ids=["alike", "new segment"])
def test_a_soak_that_was_stopped_is_fenced(journal, topic, calm, server, seam, other):
    """SIGSTOP at a step, another soak takes over and ends the run, SIGCONT: not a row changes."""
    name = f"stopped-{seam}-{other}"
    flags = [*topic.flags, "--flush-ms", 60_000]
    first = server(f"{name}1", name, *flags, "--batch-size", 37, seam=seam, at=3, signal="SIGSTOP")
    until(lambda: is_stopped(first), 60)
    if seam == "before_intent" and not other:
        (look,) = ended(server("third", name, command="status"), 60).json
        assert (look["state"], look["writer"]) == ("INTERRUPTED", "")  # no sign of life for 10 s
    more = ["--new-segment", "--profile", "v3_base9"] if other else []
    second = ended(server(f"{name}2", name, *flags, "--batch-size", 53, *more), 90)
    assert second.code in (0, 1, 2), second.err
    assert "waiting 10 s for a sign of life" in second.err
    summary = second.json
    assert {each: summary[each] for each in ("lost", "doubled", "corrupt")} == dict.fromkeys(
        ("lost", "doubled", "corrupt"), 0
    )
    if not other:
        assert ({each: summary[each] for each in COUNTS}, summary["content_hash"]) == (calm.counts, calm.hash)
    before = seen(journal, summary["run_id"])
    first.send_signal(signal.SIGCONT)
    said = ended(first, 60)
    assert (said.code, said.out) == (3, ""), said.err
    assert "taken over by pid" in said.err
    assert seen(journal, summary["run_id"]) == before
    assert journal.run(name).state == "ENDED"
    assert "FENCED" in codes(journal, summary["run_id"])
    figures = journal.figures(summary["run_id"])
    assert (figures["lost"], figures["doubled"], figures["corrupt"]) == (0, 0, 0)
    assert figures["content_hash"] == summary["content_hash"]


def test_a_second_soak_of_a_name_is_refused_while_the_first_works(journal, topic, calm, server, tmp_path):
    """Also from a copy of the first one's directory; and once the first lets go, it goes on at once."""
    name, follow = "two-of-a-name", [*topic.flags[:-1], "100000", "--flush-ms", "200"]
    first = server("first", name, *follow, "--batch-size", 37)
    until(lambda: journaled(journal, name), 60)
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    for folder in ("second", "copy"):
        said = ended(server(folder, name, *follow, "--batch-size", 53), 60)
        assert (said.code, said.out) == (3, ""), said.err
        assert f"violet: '{name}' is written to this journal by pid {first.pid} on " in said.err
    for folder in ("first", "second", "third"):  # on whatever machine
        (seen,) = ended(server(folder, name, command="status"), 60).json
        assert (seen["state"], seen["mode"], seen["writer"].split(" on ")[0]) == ("RUNNING", "RUN", f"pid {first.pid}")
    first.send_signal(signal.SIGTERM)
    assert ended(first, 60).code == 2
    (seen,) = ended(server("third", name, command="status"), 60).json
    assert (seen["state"], seen["writer"]) == ("STOPPED", "")
    said = ended(server("second", name, *topic.flags), 60)
    assert "waiting" not in said.err
    assert (said.json["content_hash"], said.json["doubled"], said.json["corrupt"]) == (calm.hash, 0, 0)
    assert "FENCED" not in codes(journal, said.json["run_id"])


def test_a_lock_that_is_removed_lets_no_second_writer_in(journal, topic, calm, spawn):
    """The file of a held lock is deleted: the second soak locks another file, and still finds the first one."""
    name = "no-lock"
    line = ["soak", "--data", journal.data, "--name", name, "--json", *topic.flags[:-1], "100000", "--flush-ms", "200"]
    first = spawn(*line)
    until(lambda: journaled(journal, name), 60)
    soak_lock(journal.data, name).unlink()
    said = ended(spawn(*line), 60)
    assert (said.code, f"by pid {first.pid} on " in said.err) == (3, True), said.err
    first.send_signal(signal.SIGTERM)
    assert ended(first, 60).code == 2


def test_one_that_hangs_without_its_lock_is_fenced_while_it_waits(journal, topic, spawn):
    """It reads nothing and journals nothing meanwhile, and yet ends as soon as it runs again."""
    name = "idle"
    line = ["soak", "--data", journal.data, "--name", name, "--json", *topic.flags[:-1], "100000", "--flush-ms", "200"]
    first = spawn(*line)
    until(lambda: journal.value("SELECT sum(decisions + evaluations + planes + rejects) FROM batches WHERE run_id IN "
                                "(SELECT run_id FROM runs WHERE name = 'idle')") == topic.count, 60)  # fmt: skip
    os.kill(first.pid, signal.SIGSTOP)
    soak_lock(journal.data, name).unlink()
    second = spawn(*line)
    until(lambda: journal.value("SELECT max(epoch) FROM violet_claims WHERE name = 'idle'") == 2, 60)
    first.send_signal(signal.SIGCONT)
    said = ended(first, 60)
    assert (said.code, said.out) == (3, "")
    assert said.err.splitlines()[-1].startswith("violet: 'idle' of epoch 1 was taken over by pid ")
    second.send_signal(signal.SIGTERM)
    assert ended(second, 60).code == 2
