"""The built wheel, installed outside the checkout, is the whole product."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("lanes", "reactor", "journal", "sql")
MARKET_SCANS = 20_000
MARKET_HASH = "f575a5dc80e7faf1"  # of the seeded market under the default profile, from commit aec54f3 on

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
    assert names == {f.relative_to(ROOT).as_posix() for f in kept}
    assert any(n.startswith("sql/views/") for n in names)


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
