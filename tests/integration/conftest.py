"""One running journal a module, and the archive that most of them soak."""

import pytest

from tests.integration import records
from tests.integration.soaking import Journal


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    opened = Journal(tmp_path_factory.mktemp("journal"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def mixed(tmp_path_factory):
    """600 records of one stream with every kind of outcome."""
    return records.write(tmp_path_factory.mktemp("archive") / "mixed.jsonl", records.mixed(600))


@pytest.fixture(scope="session")
def two_streams(tmp_path_factory):
    """600 records of two streams, interleaved."""
    return records.write(tmp_path_factory.mktemp("archive") / "two.jsonl", records.mixed(600, records.STREAMS))
