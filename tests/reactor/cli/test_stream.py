"""The standard streams: nobody who reads them, or stops to, ends a command, and foreign code cannot write an answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WORDY = """
import os, sys
from reactor.cli import stream
stream.settle()
for n in range(20_000):
    print(f"line {n} " + "x" * 60, file=sys.stderr)
sys.stdout.write("done")
"""


def run(body, redirect, **options):
    """A body in a process whose streams a shell redirects; `$R` is a pipe whose reader went away."""
    shell = f'exec {{R}}> >(exec true); sleep 0.2; "$0" -c "$1" {redirect}'
    call = ["bash", "-c", shell.replace("$R", "${R}"), sys.executable, body]
    return subprocess.run(call, check=False, capture_output=True, text=True, timeout=30, cwd=ROOT, **options)


@pytest.mark.parametrize("redirect", ["2>&$R", "2>/dev/full", "2>&-", "<&- 2>&-"])
def test_words_that_nobody_can_be_told_are_dropped(redirect):
    done = run(WORDY, redirect)
    assert (done.returncode, done.stdout) == (0, "done")


def test_a_reader_that_reads_no_more_holds_nothing_up_and_finds_whole_lines_when_it_goes_on():
    body = WORDY.replace(
        'sys.stdout.write("done")',
        'print("done", flush=True); sys.stdin.readline(); sys.stderr.write("again\\nmore\\n")',
    )
    start = [sys.executable, "-c", body]
    with subprocess.Popen(start, cwd=ROOT, text=True, stdin=-1, stdout=-1, stderr=-1) as process:
        assert process.stdout.readline() == "done\n"
        came = os.read(process.stderr.fileno(), 1 << 20)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(20) == 0
        rest = os.read(process.stderr.fileno(), 1 << 20)
    lines = (came + rest).decode().splitlines()
    assert lines[-2:] == ["again", "more"]
    assert lines[0].startswith("line 0 ")
    assert len(came) < 1_000_000


@pytest.mark.parametrize("redirect", [">&-", "<&- >&-", "<&- >&- 2>&-", "2>&-"])
def test_a_stream_that_is_closed_is_no_file_of_ours_and_no_fault(redirect, tmp_path):
    body = f"""
from reactor.cli import stream
stream.settle()
import os, sys
with open({str(tmp_path / "mine")!r}, "w") as mine:
    print("out"); print("err", file=sys.stderr); sys.stdout.flush()
    assert mine.fileno() > 2
"""
    assert run(body, redirect).returncode == 0
    assert (tmp_path / "mine").read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "redirect", "code"),
    [
        (["--version"], ">&-", 0), (["--help"], ">&$R", 3), (["--version"], ">&$R", 3), (["soak", "--help"], ">&$R", 3),
        (["sok"], "2>&$R", 3), (["sok"], "2>&-", 3), (["sok"], "<&- >&- 2>&-", 3), (["--help"], ">/dev/full", 3),
    ],
)  # fmt: skip
def test_a_stream_that_is_gone_is_no_verdict(arguments, redirect, code):
    body = f"import sys; sys.argv[1:] = {arguments!r}; from reactor.cli.main import main; main()"
    assert run(body, redirect).returncode == code


def test_what_foreign_code_writes_goes_to_standard_error_and_it_cannot_exit():
    body = """
import atexit, os, subprocess, sys
from reactor.cli import stream
stream.settle()
with stream.foreign_code():
    print("a print")
    os.write(1, b"a write\\n")
    subprocess.run(["echo", "a child"], check=True)
    atexit.register(lambda: print("a last word"))
    kept = sys.stdout
    try:
        os._exit(0)
    except SystemExit as refused:
        assert refused.code == 0
    if (child := os.fork()) == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    sys.stdout.close()
print("the answer", flush=True)
stream.resign()
print("a later word")
"""
    done = subprocess.run(
        [sys.executable, "-c", body], check=True, capture_output=True, text=True, cwd=ROOT, timeout=30
    )
    assert done.stdout == "the answer\n"
    assert sorted(done.stderr.split("\n")) == ["", "a child", "a last word", "a later word", "a print", "a write"]
