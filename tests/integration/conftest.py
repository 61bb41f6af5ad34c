"""What every test here may ask for."""

from tests.integration.fixtures import mixed, spawn, topic, two_streams

__all__ = ["mixed", "spawn", "topic", "two_streams"]  # fixtures, which pytest finds by their names here
