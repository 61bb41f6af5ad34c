"""Foreign kernels: loaded by path, hashed by package, refused by lane."""

import importlib
import os
import sys

import pytest

from journal.refusal import Refusal
from lanes.profile import profile
from reactor.run.foreign import load, package_hash

FACTORY = """
def factory(params):
    return lambda scan, planes: params.boost if hasattr(params, "boost") else 1.0

def fails(params):
    raise OSError("no licence")

def gives_a_number(params):
    return 1.0
"""

ORG = {"org/__init__.py": "", "org/deep/__init__.py": "", "org/deep/lane.py": FACTORY, "org/table.csv": "1\n"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """package(files) lays files on the path and forgets what was imported before; returns their folder."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget():
        for name in set(sys.modules) - before:
            del sys.modules[name]
        importlib.invalidate_caches()

    def lay(files, folder="one"):
        root = tmp_path / folder
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        monkeypatch.syspath_prepend(root)
        forget()
        return root

    yield lay
    forget()


def of(**tables):
    return load(profile("blue_8b", tables))


def test_without_a_kernel_nothing_is_loaded():
    found = of()
    assert (found.kernels, found.hashes) == ({}, {})


def test_a_factory_is_given_its_lanes_params(package):
    package({"mine.py": FACTORY})
    found = of(dc={"kernel": "mine:factory", "boost": 1.25}, acb={"kernel": "mine:factory"})
    assert set(found.kernels) == set(found.hashes) == {"dc", "acb"}
    assert found.kernels["dc"](None, {}) == 1.25
    assert found.kernels["acb"](None, {}) == 1.0


def test_a_disabled_lanes_kernel_is_not_loaded(package):
    found = of(acb={"kernel": "nowhere:factory", "enabled": False})
    assert found.kernels == {}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere:factory", "ModuleNotFoundError"), ("mine:nothing", "AttributeError"), ("mine:fails", "no licence"),
        ("mine:gives_a_number", "must give a function"), ("broken:factory", "SyntaxError"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_by_its_lane(package, path, said):
    package({"mine.py": FACTORY, "broken.py": "def ("})
    with pytest.raises(Refusal, match=rf"\[ob\] kernel '{path}' .*{said}"):
        of(ob={"kernel": path})


FORKS = """
import os

def at_its_making(params):
    os.fork() or params.__dict__.clear()
    return lambda scan, planes: 1.0

def at_a_call(params):
    return lambda scan, planes: float(os.fork() > 0)
"""


@pytest.mark.parametrize("factory", ["at_its_making", "at_a_call"])
def test_a_child_that_a_kernel_forks_does_not_go_on_with_the_soak(package, tmp_path, factory):
    package({"mine.py": FORKS})
    passed = tmp_path / "passed"
    kernel = of(acb={"kernel": f"mine:{factory}"}).kernels["acb"]
    assert kernel(None, {}) == 1.0
    with passed.open("a") as file:
        file.write("x")
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
    assert passed.read_text() == "x"


@pytest.mark.parametrize("error", ["SystemExit(0)", "KeyboardInterrupt()", "GeneratorExit()"])
def test_a_module_that_would_end_the_process_is_refused(package, error):
    package({"mine.py": f"raise {error}"})
    with pytest.raises(Refusal, match=rf"\[ob\] kernel 'mine:factory' cannot be made \({error.partition('(')[0]}"):
        of(ob={"kernel": "mine:factory"})


def test_a_factory_gets_a_copy_of_the_params(package):
    package({"mine.py": "def factory(params):\n    params.__dict__['boost'] = 9.0\n    return lambda s, p: 1.0\n"})
    params = profile("blue_8b", {"dc": {"kernel": "mine:factory", "boost": 1.25}})
    load(params)
    assert params.dc.boost == 1.25


def test_a_path_without_a_factory_is_refused():
    with pytest.raises(ValueError, match=r"ob\.kernel must be package\.module:factory"):
        of(ob={"kernel": "mine"})


# -- the hash ------------------------------------------------------------------------------------------------------


def test_a_packages_hash_covers_each_of_its_files_by_name_and_content(package):
    root = package(ORG)
    hashes = [package_hash("org.deep.lane")]
    assert package_hash("org") == hashes[0]  # of the whole package, whichever module is named
    (root / "org/table.csv").write_text("2\n")
    hashes.append(package_hash("org.deep.lane"))
    (root / "org/table.csv").rename(root / "org/tables.csv")
    hashes.append(package_hash("org.deep.lane"))
    (root / "org/deep/more.py").write_text("")
    hashes.append(package_hash("org.deep.lane"))
    assert len(set(hashes)) == 4
    (root / "org/deep/__pycache__").mkdir()
    (root / "org/deep/__pycache__/lane.pyc").write_bytes(b"x")
    (root / "other.py").write_text("")
    assert package_hash("org.deep.lane") == hashes[-1]


def test_a_modules_hash_is_of_its_file_alone(package):
    root = package({"mine.py": FACTORY})
    before = package_hash("mine")
    (root / "beside.py").write_text("x = 1\n")
    assert package_hash("mine") == before
    (root / "mine.py").write_text(FACTORY + "# changed\n")
    assert package_hash("mine") != before


def test_a_package_without_an_init_is_hashed_by_its_own_folder(package, monkeypatch):
    root = package({"bare/lane.py": FACTORY})
    before = package_hash("bare.lane")
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert package_hash("bare.lane") == before  # not of the working directory
    (root / "bare/lane.py").write_text(FACTORY + "# changed\n")
    assert package_hash("bare.lane") != before


def test_the_hash_is_the_same_wherever_the_package_lies(package):
    found = set()
    for folder in ("one", "two"):
        package(ORG, folder)
        found.add(package_hash("org.deep.lane"))
        assert folder in importlib.import_module("org").__file__
    assert len(found) == 1
