"""A journal that is asked too much, or is away: the one is an error by name, the other is waited for.

Each was a fault once: a memory limit, or a query that was too slow, was taken for an absence and asked again for ever.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from journal import store as module
from journal.engine import address
from journal.judge import count, proof
from journal.judge.scope import Scope
from journal.ledger import claim
from journal.ledger import run as runs
from journal.ledger.ledger import Ledger
from journal.store import JournalTooLarge, connect
from reactor.cli import end
from tests.integration import large, records
from tests.integration.fixtures import spawn, topic
from tests.integration.soaking import ended, produce, until
from tests.written import begin, decisions

__all__ = ["spawn", "topic"]  # fixtures, which pytest finds by their names here

ROWS, MEMORY = 600_000, 100_000_000
HEAVY = "SELECT uniqExact(number) AS n FROM numbers(20000000) SETTINGS max_memory_usage = 20000000"


def test_a_question_over_its_memory_limit_is_asked_once_and_the_ledger_goes_on(store):
    written, asked = begin(store), []

    def call(at):
        asked.append(1)
        return at.rows(HEAVY)

    with pytest.raises(JournalTooLarge, match="too large for ClickHouse") as found:
        written.ledger.insist(call)
    assert (found.value.code, len(asked)) == (241, 1)
    written.append(decisions(3))
    assert written.value("SELECT count() FROM decisions WHERE run_id = {run:String}") == 3


def test_a_question_that_is_too_slow_is_asked_once_and_leaves_no_query_behind(journal, monkeypatch):
    monkeypatch.setitem(module._LIMITS, "max_execution_time", 1)
    with connect(address.read(journal.data, address.WRITER)) as store, ThreadPoolExecutor(1) as beside:
        ledger, asked = Ledger(store, begin(journal.store).run_id, None), []

        def call(at):
            asked.append(1)
            return at.rows("SELECT count() FROM numbers(100000000000) WHERE intHash64(number) = 1")

        with pytest.raises(JournalTooLarge) as found:
            beside.submit(ledger.insist, call).result(30)
        assert (found.value.code, len(asked)) == (159, 1)
        running = "SELECT count() AS n FROM system.processes WHERE query LIKE '%numbers(100000000000)%intHash64%' AND query NOT LIKE '%processes%'"
        assert store.count(running) == 0


def test_a_run_that_was_stopped_while_its_end_was_asked_for_is_ended(store, monkeypatch, tmp_path):
    """`violet end` reads the run under the soak's lock: a revision of before it would be dropped by its own token."""
    written = begin(store)

    def stopping(store, data, name, path, stack):
        written.set(state="STOPPED", reason="the soak stopped in this instant")
        return claim.take(store, name, str(path))

    class Here:
        def __enter__(self):
            return store

        def __exit__(self, *error):
            """The store is everybody's."""

    monkeypatch.setattr(end, "hold", stopping)
    monkeypatch.setattr(end, "journal", lambda data: Here())
    end.command.callback(tmp_path, written.run.name, True)
    assert runs.find(store, run_id=written.run_id).state == "ENDED"


def test_what_readers_gate_and_status_ask_over_their_memory_is_an_error_by_name_and_the_soak_goes_on(
    journal, topic, spawn, monkeypatch
):
    name, lines = "asked-too-much", records.mixed(topic.count, long=False)
    calm = journal.soak(**topic.source)
    followed = topic.broker.create_topic()
    produce(topic.broker.bootstrap, followed, lines[:300])
    flags = ["--bootstrap-servers", topic.broker.bootstrap, "--topic", followed, "--until", topic.count]
    process = spawn("soak", *flags, "--data", journal.data, "--name", name, "--flush-ms", 20, "--json")
    journaled = "SELECT count() FROM scans WHERE run_id IN (SELECT run_id FROM runs WHERE name = {name:String})"
    half = until(lambda: journal.value(journaled, name=name) > 200)
    big = "SELECT length(groupArray(number)) AS n FROM numbers(1000000000)"
    with monkeypatch.context() as small:
        small.setattr(module, "_LIMITS", module._LIMITS | {"max_memory_usage": 1, "max_untracked_memory": 0})
        said = {
            command[0]: journal.violet(*command)
            for command in (["sql", big], ["gate", name, "--json"], ["status", name, "--json"])
        }
    assert half
    for command, each in said.items():
        assert (each.code, each.out, len(each.err.strip().splitlines())) == (3, "", 1), command
        words = "MEMORY_LIMIT_EXCEEDED" if command == "sql" else "the question is too large for ClickHouse"
        assert words in each.err, command
    produce(topic.broker.bootstrap, followed, lines[300:])
    summary = ended(process).json
    assert (summary["content_hash"], summary["lost"], summary["doubled"]) == (calm.hash, 0, 0)
    assert (
        journal.rows(
            "SELECT code FROM incidents WHERE run_id = {run:String} AND severity != 'INFO'", run=summary["run_id"]
        )
        == []
    )


@pytest.mark.slow
def test_what_gate_status_and_a_resume_ask_needs_no_more_memory_the_larger_a_run_is(journal, monkeypatch):
    """Each counted all rows of a run at once, so that a soak that had grown large could neither end nor be resumed."""
    monkeypatch.setattr(proof, "STRETCH", 50_000)
    monkeypatch.setattr(proof, "LEAST", 25_000)
    written = large.made(journal.store, ROWS)
    monkeypatch.setitem(module._LIMITS, "max_memory_usage", MEMORY)
    with connect(address.read(journal.data, address.WRITER)) as store:
        with pytest.raises(JournalTooLarge) as found:
            count.rows(store, Scope.of(store, written.run_id))
        assert found.value.code == 241  # so the limit is one that all rows at once pass
        for _ in ("the first time", "again"):
            costs, judged = large.looks(store, written, journal.data)
            assert costs.keys() == {"gate", "status", "audit", "positions"}
            assert (judged["records"], judged["lost"], judged["doubled"]) == (ROWS + 9, 0, 0)
