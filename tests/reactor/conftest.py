"""The engine's blocks, a few hours of the seeded market, and where recorded data lies."""

from itertools import islice
from pathlib import Path

import pytest

from reactor.standin import seeded

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def blocks(store):
    """`Store.blocks` of the tests' engine."""
    return store.blocks


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
