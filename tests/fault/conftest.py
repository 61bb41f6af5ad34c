"""What every test here may ask for."""

import pytest

from journal.engine.address import WRITER, read
from tests.integration.fixtures import mixed, spawn, topic

__all__ = ["mixed", "spawn", "topic"]  # fixtures, which pytest finds by their names here


@pytest.fixture
def server(journal, tmp_path, spawn):
    """server(FOLDER, NAME, ...) starts a soak, or another command, of a data directory of its own on the server."""
    address = read(journal.data, WRITER)
    config = tmp_path / "server.toml"
    config.write_text(f'[journal]\nurl = "{address.url}"\nuser = "{address.user}"\n')

    def start(folder, name, *flags, command="soak", **more):
        line = [command, "--config", config, "--data", tmp_path / folder, "--name", name, "--json", *flags]
        return spawn(*line, environ={"VIOLET_JOURNAL_PASSWORD": address.token}, **more)

    return start
