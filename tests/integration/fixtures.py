"""Fixtures of the integration and fault tests: a running journal, archives, topics, processes."""

import pytest

from journal.keep.migrate import migrate
from tests.integration import records
from tests.integration.soaking import Journal, Topic, Zygote, produce


def opened(tmp_path_factory):
    """A data directory whose engine runs until it is let go of."""
    journal = Journal(tmp_path_factory.mktemp("journal"))
    migrate(journal.store, lambda name: None)
    yield journal
    journal.close()


# Most tests share the journal of tests/conftest.py; a module that looks at all runs says `journal = own_journal`.
own_journal = pytest.fixture(scope="module")(opened)


@pytest.fixture(scope="session")
def spawn(tmp_path_factory):
    """spawn("soak", ...) starts a command as a process of its own."""
    zygote = Zygote(tmp_path_factory.mktemp("spawned"))
    yield zygote.spawn
    zygote.close()


@pytest.fixture(scope="session")
def mixed(tmp_path_factory):
    """600 records of one stream with every kind of outcome."""
    return records.write(tmp_path_factory.mktemp("archive") / "mixed.jsonl", records.mixed(600))


@pytest.fixture(scope="session")
def two_streams(tmp_path_factory):
    """600 records of two streams, interleaved."""
    return records.write(tmp_path_factory.mktemp("archive") / "two.jsonl", records.mixed(600, records.STREAMS))


@pytest.fixture(scope="session")
def topic(session_tansu):
    """The mixed archive, but for its one long line, as a topic of a broker that the soak did not start."""
    made = Topic(session_tansu, session_tansu.create_topic(), 600)
    produce(made.broker.bootstrap, made.name, records.mixed(600, long=False))
    return made
