"""The command line as a whole: exit codes, wrong usage, refusals, accidents."""

import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from journal.refusal import Refusal
from reactor.cli import main
from reactor.log.kafka import BrokerFailed, LogGap

ROOT = Path(__file__).parents[3]


@pytest.fixture
def command(monkeypatch):
    """Put a body in the place of `violet doctor`; returns the exit code of running it."""

    def run(body, *arguments):
        module = ModuleType("reactor.cli.doctor")
        module.command = click.command("doctor")(click.option("--data")(body))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return main.run(["doctor", *arguments])

    return run


def raising(error):
    def body(data):
        raise error

    return body


def test_a_command_that_returns_nothing_is_done(command):
    assert command(lambda data: None) == 0


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_a_verdict_is_the_exit_code_whichever_way_it_comes(command, code):
    assert command(lambda data: code) == code
    assert command(raising(SystemExit(code))) == code
    assert command(lambda data: click.get_current_context().exit(code)) == code


def test_a_refusal_is_one_line_and_exit_3(command, capsys):
    assert command(raising(Refusal("--data: no journal there; fix: name another"))) == 3
    assert capsys.readouterr() == ("", "violet: --data: no journal there; fix: name another\n")


@pytest.mark.parametrize(
    "fault", [LogGap("offset 17 is gone; fix: restore it"), BrokerFailed("the topic went away; fix: look there")]
)
def test_a_fault_of_the_broker_is_a_line_too_and_says_the_fix(command, capsys, fault):
    assert command(raising(fault)) == 3
    said = capsys.readouterr().err
    assert said == f"violet: {fault}\n"
    assert "; fix: " in said


def test_an_accident_shows_its_traceback_and_is_no_verdict(command, capsys):
    assert command(raising(ZeroDivisionError("x"))) == 3
    assert "ZeroDivisionError: x" in capsys.readouterr().err


def test_an_interrupt_is_no_verdict(command):
    assert command(raising(KeyboardInterrupt())) == 3


@pytest.mark.parametrize("size", [10, 1_000_000])  # within the buffer of stdout, and beyond
def test_a_closed_pipe_is_no_verdict_and_no_traceback(size):
    body = f"""
import sys, types, click
from reactor.cli import main
module = types.ModuleType("reactor.cli.doctor")
module.command = click.command("doctor")(lambda: print("x" * {size}))
sys.modules[module.__name__] = module
sys.stdin.read()
sys.exit(main.run(["doctor"]))
"""
    start = [sys.executable, "-c", body]
    with subprocess.Popen(start, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sok"], "Did you mean 'soak'?"),
        (["xyzzy"], "The commands are soak, "),
        (["doctor", "--dta", "x"], "Did you mean --data?"),
        (["--vrsion"], "Did you mean --version?"),
        (["doctor", "--data"], "requires an argument"),
    ],
)
def test_wrong_usage_is_exit_3_and_names_the_nearest(command, capsys, arguments, said):
    command(lambda data: 0)
    capsys.readouterr()
    assert main.run(arguments) == 3
    output = capsys.readouterr()
    assert said in output.err
    assert output.out == ""


def test_help_names_every_command_under_its_use(capsys):
    assert main.run(["--help"]) == 0
    text = capsys.readouterr().out
    for name, entry in main.COMMANDS.items():
        assert f"  {name}" in text
        assert f"{entry.use}:" in text


def test_the_version_is_that_of_the_distribution(violet):
    done = violet("--version")
    if done.returncode:
        pytest.skip("violet-reactor is not installed in this environment")
    assert done.stdout.startswith("violet, version ")


@pytest.mark.parametrize("name", main.COMMANDS)
def test_examples_in_the_help_of_a_command_stand_on_lines_of_their_own(name):
    said = CliRunner().invoke(main.violet, [name, "--help"]).output
    assert said.startswith("Usage: ")
    assert "\\b" not in said


def commands(group, names):
    """Every command, and every command of a group, with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield pytest.param(command, id=" ".join([*names, name]))
        if isinstance(command, click.Group):
            yield from commands(command, [*names, name])


@pytest.mark.parametrize("command", [*commands(main.violet, ["violet"])])
def test_help_shows_its_examples_line_by_line_and_no_mark_of_its_source(command, request):
    words = request.node.callspec.id
    asked = CliRunner().invoke(command, ["--help"], prog_name=words)
    assert asked.exit_code == 0
    assert "\\" not in asked.output
    examples = [line.strip() for line in (command.help or "").splitlines() if line.strip().startswith("violet ")]
    shown = [line.strip() for line in asked.output.splitlines()]
    assert [line for line in examples if line not in shown] == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "a/out.csv"), "a/out.csv: No space left on device; fix: make room"),
        (FileNotFoundError(2, "No such file or directory", "x\ny"), "x\\ny: No such file or directory; fix: check"),
        (Refusal("--data a\nb\x1b[2J: no"), "--data a\\nb\\x1b[2J: no"),
    ],
)
def test_what_the_machine_refuses_is_one_line_whatever_stands_in_a_path(command, capsys, error, said):
    assert command(raising(error)) == 3
    shown = capsys.readouterr().err
    assert shown.startswith(f"violet: {said}")
    assert (shown.count("\n"), shown.endswith("\n")) == (1, True)


def test_an_error_of_the_system_that_may_be_a_fault_of_ours_keeps_its_traceback(command, capsys):
    assert command(raising(OSError(9, "Bad file descriptor"))) == 3
    assert "Traceback" in capsys.readouterr().err


def test_an_argument_that_is_no_text_is_refused_before_any_command_sees_it(command, capsys):
    assert command(lambda data: 0, "--data", "a\udcffb") == 3
    assert capsys.readouterr().err == ("violet: 'a\\udcffb' is not UTF-8; fix: give the file or folder another name\n")


@pytest.mark.parametrize("arguments", [["sok"], ["doctor", "--dta", "x"], ["doctor", "--data"], ["doctor", "a", "b"]])
def test_wrong_usage_is_one_line_that_names_the_help(command, capsys, arguments):
    command(lambda data: 0)
    capsys.readouterr()
    assert main.run(arguments) == 3
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "; fix: `violet" in shown
    assert "--help` lists what it takes" in shown
