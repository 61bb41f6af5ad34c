"""What every test here may ask for."""

from tests.integration.fixtures import mixed, two_streams  # noqa: F401 - pytest finds fixtures by their names here
