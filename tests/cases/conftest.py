"""What every test here may ask for, and how it is marked."""

from pathlib import Path

import pytest

from tests.integration.fixtures import mixed, two_streams
from tests.journal.engine.conftest import http, running

__all__ = ["http", "mixed", "running", "two_streams"]  # fixtures, which pytest finds by their names here


def pytest_collection_modifyitems(items):
    """Most of these are whole soaks and imports: `make test-slow ARGS=tests/cases` runs them, as CI does."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
