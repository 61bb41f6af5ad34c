"""What every test here may ask for."""

from tests.integration.fixtures import mixed, spawn, topic

__all__ = ["mixed", "spawn", "topic"]  # fixtures, which pytest finds by their names here
