"""Places of readers: never more than there are, free when a client has gone, and no wait without an end."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from journal.engine.reader import QueryError
from journal.engine.running import PLACES, Queries, gone


class Engine:
    """Stands for the engine: a query is a wait that `kill` ends."""

    def __init__(self):
        self.killed = {}

    def kill(self, mark):
        self.killed.setdefault(mark, threading.Event()).set()

    def run(self, mark, wait_s=10.0):
        return self.killed.setdefault(mark, threading.Event()).wait(wait_s)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def queries(engine):
    return Queries(engine.kill)


@contextmanager
def taken(queries, engine, count=PLACES):
    """So many places held by queries that run on; gives their clients' ends."""
    ends, threads = [], []

    def hold(mine, number):
        with queries.place(f"q{number}", f"m{number}", "SELECT", mine, 1.0):
            engine.run(f"m{number}")

    for number in range(count):
        mine, theirs = socket.socketpair()
        threads.append(threading.Thread(target=hold, args=(mine, number)))
        ends += [(mine, theirs)]
        threads[-1].start()
    time.sleep(0.1)
    try:
        yield [theirs for _, theirs in ends]
    finally:
        for number in range(count):
            engine.kill(f"m{number}")
        for thread in threads:
            thread.join(5.0)
        for pair in ends:
            for end in pair:
                end.close()


@pytest.fixture
def client():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_one_more_than_there_are_places_waits_and_is_told_so_in_the_end(queries, engine, client):
    with taken(queries, engine):
        began = time.monotonic()
        with (
            pytest.raises(QueryError, match=f"{PLACES} queries of readers") as refused,
            queries.place("x", "x", "", client[0], 0.5),
        ):
            pass
        assert refused.value.code == 202
        assert 0.5 <= time.monotonic() - began < 2.0
    with queries.place("x", "x", "", client[0], 0.5):
        pass


def test_a_client_that_went_away_frees_its_place_and_ends_nobody_elses(queries, engine, client):
    with taken(queries, engine) as clients:
        clients[2].close()
        with queries.place("x", "x", "", client[0], 3.0):
            assert [mark for mark, event in engine.killed.items() if event.is_set()] == ["m2"]


def test_a_client_that_went_away_while_it_waited_does_not_run(queries, engine, client):
    with taken(queries, engine):
        client[1].close()
        with pytest.raises(ConnectionError), queries.place("x", "x", "", client[0], 5.0):
            pass


def test_a_cancel_that_comes_before_the_query_has_begun_ends_it_too(queries, engine, client):
    seen = []

    def late(mark):
        seen.append(mark)
        if len(seen) > 3:  # the engine did not know of the query before
            engine.kill(mark)

    queries = Queries(late)
    cancel = threading.Timer(0.1, queries.cancel, ("q", 0.0))
    cancel.start()
    with queries.place("q", "m", "", client[0], 1.0):
        assert engine.run("m")
    cancel.join()


def test_a_cancel_tells_the_query_and_whether_it_has_ended(queries, engine):
    with taken(queries, engine, 1):
        query, ended = queries.cancel("q0", 3.0)
        assert (query.mark, query.text, ended) == ("m0", "SELECT", True)
        assert queries.cancel("q0", 3.0) is None
        assert queries.cancel("nosuch", 3.0) is None


def test_two_queries_of_one_id_do_not_run_at_once(queries, engine, client):
    with taken(queries, engine, 1):
        with pytest.raises(QueryError, match="q0") as refused, queries.place("q0", "x", "", client[0], 1.0):
            pass
        assert refused.value.code == 216


def test_a_client_is_gone_when_it_closed_or_we_did(client):
    ours, theirs = client
    assert not gone(ours)
    theirs.sendall(b"more")
    assert not gone(ours)
    theirs.shutdown(socket.SHUT_WR)
    assert gone(ours)
    ours.close()
    assert gone(ours)
