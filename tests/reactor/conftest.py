"""The engine's blocks, a few hours of the seeded market, and where recorded data lies."""

from itertools import islice
from pathlib import Path

import pytest

from journal import store
from journal.engine import owner
from reactor.standin import seeded

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def blocks(tmp_path_factory):
    """`Store.blocks` of an engine of its own."""
    with owner.running(tmp_path_factory.mktemp("engine")) as address:
        yield store.connect(address).blocks


@pytest.fixture(scope="session")
def market():
    """The first 900 minutes of the seeded market."""
    return list(islice(seeded.minutes(), 900))


@pytest.fixture(scope="session")
def data():
    """The folder of recorded data."""
    if not DATA.is_dir():
        pytest.skip(f"no recorded data at {DATA}")
    return DATA
