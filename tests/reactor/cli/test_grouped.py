"""The help of every command: short, with an example that is real, and with groups where there are many options."""

import re

import click
import pytest
from click.testing import CliRunner

from reactor.cli.grouped import Grouped
from reactor.cli.main import violet
from tests.test_pages import unknown

MANY = 9  # options that are read without groups
EXAMPLE = re.compile(r"^  (?:[^ ].* \| )?(violet\b.*)$", re.MULTILINE)


def commands(command=violet, path=()):
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


ALL = dict(commands())


@pytest.fixture(params=ALL, ids=" ".join)
def path(request):
    return request.param


@pytest.fixture
def told(path):
    said = CliRunner().invoke(violet, [*path, "--help"], terminal_width=80, prog_name="violet")
    assert said.exit_code == 0, said.exception
    return said.output


def test_it_is_under_60_lines_of_80_columns(told):
    lines = told.splitlines()
    assert len(lines) < 60
    assert [line for line in lines if len(line) > 80 and not EXAMPLE.fullmatch(line)] == []


def test_it_has_an_example_of_the_command_and_all_of_it_exists(path, told):
    examples = EXAMPLE.findall(told)
    assert any(example.split()[1 : len(path) + 1] == [*path] for example in examples)
    assert [unknown(example) for example in examples if unknown(example)] == []


def test_many_options_stand_in_groups(path):
    options = [param for param in ALL[path].params if isinstance(param, click.Option)]
    assert len(options) <= MANY or isinstance(ALL[path], Grouped)


def test_every_option_stands_in_one_place(path, told):
    for param in ALL[path].params:
        if isinstance(param, click.Option) and not param.hidden:
            name = max(param.opts, key=len).removeprefix("--")
            assert len(re.findall(rf"^  (?:-\w, )?--(?:\[no-\])?{name}(?![\w-])", told, re.MULTILINE)) == 1, name
