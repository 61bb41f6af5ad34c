"""What every test here may ask for."""

from tests.integration.fixtures import journal, mixed, spawn, topic  # noqa: F401
