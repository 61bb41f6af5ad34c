"""The examples in docstrings are run."""

import doctest
import importlib

import pytest

MODULES = (
    "journal.keep.dictionary", "journal.query", "journal.row", "reactor.feed.convert", "reactor.feed.mapping",
    "reactor.log.archive", "reactor.log.memory", "reactor.run.settings",
)  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_are_true(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0
    assert found.failed == 0
