"""An engine that is short of files, memory or disk for some seconds, by no fault of what it is asked: the soak waits.

The limits of the engine's own process are lowered while it runs, and given back.
"""

import json
import resource
import time
from pathlib import Path

import pytest

from journal.keep.migrate import migrate
from journal.lock import engine_lock, held
from tests.integration import records
from tests.integration.soaking import Journal, Topic, ended, produce, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LINES = records.mixed(600, long=False)
SHORT_S = 8.0


def files(pid):
    """As many as are open."""
    return resource.RLIMIT_NOFILE, len([*Path(f"/proc/{pid}/fd").iterdir()])


def memory(pid):
    """Nothing beyond what it has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    return resource.RLIMIT_AS, pages * resource.getpagesize() // 2


def disk(pid):
    """No file may grow beyond a byte."""
    return resource.RLIMIT_FSIZE, 1


@pytest.fixture
def own(tmp_path):
    opened = Journal(tmp_path / "own")
    migrate(opened.store, lambda name: None)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def calm(journal, session_tansu):
    made = Topic(session_tansu, session_tansu.create_topic(), len(LINES))
    produce(made.broker.bootstrap, made.name, LINES)
    return journal.soak(**made.source)


@pytest.mark.parametrize("lack", [files, memory, disk])
def test_an_engine_that_is_short_for_seconds_is_waited_for(own, calm, session_tansu, spawn, lack):
    topic = Topic(session_tansu, session_tansu.create_topic(), len(LINES))
    produce(topic.broker.bootstrap, topic.name, LINES[:200])
    process = spawn("soak", *topic.flags, "--data", own.data, "--name", "short", "--flush-ms", 100, "--json")
    journaled = "SELECT sum(decisions + evaluations + planes + rejects) FROM batches"
    until(lambda: own.value(journaled) == 200, 60)
    pid = held(engine_lock(own.data)).pid
    which, least = lack(pid)
    before = resource.prlimit(pid, which, (least, resource.prlimit(pid, which)[1]))
    end = time.monotonic() + SHORT_S
    try:
        for at in range(200, 400, 20):
            produce(topic.broker.bootstrap, topic.name, LINES[at : at + 20])
            time.sleep(SHORT_S / 10)
        time.sleep(max(0.0, end - time.monotonic()))
    finally:
        if Path(f"/proc/{pid}").exists():  # or it ended, and the soak starts another
            resource.prlimit(pid, which, before)
    produce(topic.broker.bootstrap, topic.name, LINES[400:])
    said = ended(process, 120)
    assert said.out, (said.code, said.err)
    summary = json.loads(said.out)
    assert (said.code, summary["state"]) == (calm.code, "ENDED"), said.err
    assert (summary["content_hash"], summary["lost"], summary["doubled"]) == (calm.hash, 0, 0)
    codes = own.rows("SELECT code, severity FROM incidents WHERE code NOT IN ('STARTED', 'ENDED', 'COLD_START')")
    assert {row["severity"] for row in codes} <= {"INFO", "WARN"}, codes
    assert "JOURNAL_AWAY" in {row["code"] for row in codes}
