"""The built wheel, installed outside the checkout, is the whole product, and takes no name that JupySQL has.

The blocks of docs/python.md are run there, as the cells of one notebook.
"""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.test_pages import blocks

ROOT = Path(__file__).parents[1]
PACKAGES = ("lanes", "reactor", "journal", "violet")
MARKET_SCANS = 20_000
MARKET_HASH = "f575a5dc80e7faf1"  # of the seeded market under the default profile, from commit aec54f3 on

# Runs the cells of cells.json; prints what each showed, by its kind.
NOTEBOOK = """
import json, sys
import nbformat
from nbclient import NotebookClient

book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in json.load(open("cells.json"))])
NotebookClient(book, timeout=250, kernel_name="python3").execute()
json.dump([[dict(each["data"]) for each in cell["outputs"] if "data" in each] for cell in book["cells"]], sys.stdout)
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run(*arguments, cwd, timeout=60):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIOLET_", "VIRTUAL_ENV"))}
    return subprocess.run(
        list(map(str, arguments)),
        check=False,
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built by the backend of the lock."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT]
    built = run(*build, cwd=out, timeout=120)
    assert built.returncode == 0, built.stderr
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A virtual environment with the wheel; what it depends on is linked from that of the tests."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "v", with_pip=True)
    python = home / "v/bin/python"
    done = run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=home, timeout=120)
    assert done.returncode == 0, done.stderr
    # A folder named in a .pth file is searched, its own .pth files are not read: the checkout stays unseen.
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = run(python, "-c", where, cwd=home).stdout.strip()
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return home


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel):
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    kept = {
        f for package in PACKAGES for s in ("*.py", "*.sql", "*.toml", "static/*") for f in (ROOT / package).rglob(s)
    }
    kept |= {ROOT / "violet/py.typed"}
    sql = {
        f"journal/sql/{f.relative_to(ROOT / 'sql').as_posix()}"
        for s in ("*.sql", "*.toml")
        for f in (ROOT / "sql").rglob(s)
    }
    assert names == {f.relative_to(ROOT).as_posix() for f in kept} | sql
    assert any(n.startswith("journal/sql/views/") for n in names)


def test_the_wheel_carries_its_licence_and_names_its_dependencies(wheel):
    archive = zipfile.ZipFile(wheel)
    (licence,) = [n for n in archive.namelist() if n.endswith("/LICENSE")]
    assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    (metadata,) = [n for n in archive.namelist() if n.endswith("/METADATA")]
    assert b"Requires-Dist: confluent-kafka" in archive.read(metadata)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_installed_packages_are_those_of_the_wheel(installed, package):
    found = run(installed / "v/bin/python", "-c", f"import {package}; print({package}.__file__)", cwd=installed)
    assert found.stdout.startswith(str(installed)), found


def test_the_installed_command_soaks_and_answers_in_sql(installed):
    violet, data = installed / "v/bin/violet", installed / "data"
    soak = run(violet, "soak", "--data", data, "--json", cwd=installed, timeout=240)
    assert soak.returncode in (0, 2), soak.stderr
    summary = json.loads(soak.stdout)
    assert summary["records"] >= MARKET_SCANS
    assert summary["content_hash"] == MARKET_HASH
    assert {k: summary[k] for k in ("lost", "doubled", "corrupt", "orders")} == dict.fromkeys(
        ("lost", "doubled", "corrupt", "orders"), 0
    )
    assert summary["records"] == sum(summary[k] for k in ("decisions", "evaluations", "planes", "rejects"))
    assert summary["coverage"] >= 0.95  # the seeded market has malformed lines in it, on purpose
    for view in ("decisions", "evaluations", "planes"):
        asked = run(
            violet,
            "sql",
            "--data",
            data,
            f"SELECT count() AS n FROM {view}",
            "--format",
            "json",
            cwd=installed,
        )
        assert asked.returncode == 0, asked.stderr
        (row,) = json.loads(asked.stdout)
        assert int(row["n"]) == summary[view]


@pytest.fixture(scope="module")
def soaked(installed):
    """The data directory of a soak by the installed command, with BLUE's trades by a stand-in and a contract."""
    violet, about = installed / "v/bin/violet", ("--against", "blue", "-o", "contract.json", "--data", "my-soak")
    for line in (
        ("soak", "--data", "my-soak"),
        ("blue", "simulate", "--scans", "my-soak/market.jsonl.zst", "--out", "trades.csv", "--legs-out", "legs.csv"),
        ("blue", "import", "--trades", "trades.csv", "--legs", "legs.csv", "--data", "my-soak"),
        ("contract", "new", "latest", *about),
    ):
        done = run(violet, *line, cwd=installed, timeout=240)
        assert done.returncode in (0, 2), done.stderr
    return installed / "my-soak"


@pytest.fixture(scope="module")
def notebook(installed):
    """notebook(cells) runs them in a kernel of the environment, which has JupySQL and polars beside the wheel."""
    pip = [installed / "v/bin/python", "-m", "pip", "install", "--quiet", "--prefer-binary"]
    done = run(*pip, "jupysql", "polars", "ipykernel", "nbclient", cwd=installed, timeout=280)
    assert done.returncode == 0, done.stderr
    (installed / "run.py").write_text(NOTEBOOK, "utf-8")

    def execute(cells):
        (installed / "cells.json").write_text(json.dumps(cells), "utf-8")
        shown = run(installed / "v/bin/python", "run.py", cwd=installed, timeout=280)
        assert shown.returncode == 0, shown.stderr[-3_000:]
        return json.loads(shown.stdout)

    return execute


def test_the_page_is_a_notebook(soaked, notebook):
    cells = [body for _, language, body in blocks(ROOT / "docs/python.md") if language == "python"]
    outputs = notebook(cells)
    shown = dict(zip(cells, outputs, strict=True))

    def of(words):
        (found,) = [outputs for cell, outputs in shown.items() if words in cell]
        return found[-1]

    assert "<table>" in of("soak.runs()")["text/html"]
    assert of("frame = soak.decisions()")["text/plain"].startswith("bound")
    assert "shape: " in of("by_asset.polars()")["text/plain"]
    assert "<polyline" in of(".chart(")["text/html"]
    assert "'part': 'base'" in of("soak.explain(")["text/plain"]
    assert "PASS" in of("soak.summary()")["text/html"]
    assert len(json.loads(of("soak.tap(")["text/plain"].replace("(", "[").replace(")", "]").replace("'", '"'))) == 3
    assert "'leverage'" in of("soak.replay(")["text/plain"]
    assert "PASS" in of("soak.compare(")["text/plain"]
    assert float(of("violet.lanes.base(")["text/plain"]) == 8.5


def test_the_installed_package_works_beside_jupysql(soaked, notebook):
    outputs = notebook([
        "%load_ext sql\n%config SqlMagic.displaycon = False\n%sql sqlite://",
        "import sql\nfound = %sql SELECT 6 * 7 AS n\n[dict(row) for row in found.dicts()] if hasattr(found, 'dicts') else found",
        "import violet\nviolet.open('my-soak').sql('SELECT count() AS n FROM decisions').rows()",
        "sql.__file__",
    ])  # fmt: skip
    assert "42" in outputs[1][-1]["text/plain"]
    assert int(outputs[2][-1]["text/plain"].split(":")[1].strip(" }]")) > 1_000
    assert "site-packages/sql/" in outputs[3][-1]["text/plain"]
