"""Provenance: which code decided, and with which interpreter and libraries.

See docs/design/running.md.
"""

import hashlib
import platform
from importlib import metadata, resources
from pathlib import Path
from typing import Final

from journal import template

_DECIDING: Final = {  # the source files whose change can change an outcome
    "lanes": (
        "acb", "base", "code", "columns", "dc", "esof", "fanin", "kernel", "lane", "ob", "params", "profile",
        "registry",
    ),
    "reactor.evaluate": ("answer", "asset", "chunk", "inputs", "record", "state", "step", "walk"),
    "journal": ("row",),
}  # fmt: skip
_INSTALLED: Final = ("journal", "lanes", "reactor", "violet")
_KINDS: Final = (".py", ".sql")


def code_hash() -> str:
    """Hash over the source files that decide."""
    found = hashlib.sha256()
    for package, modules in _DECIDING.items():
        for module in modules:
            found.update((resources.files(package) / f"{module}.py").read_bytes())
    return found.hexdigest()[:16]


def wheel() -> str:
    """Hash over every file of the installed product that is code or SQL: what decided, and what judges."""
    found, sql = hashlib.sha256(), template.sql()
    roots = {package: Path(str(resources.files(package))) for package in _INSTALLED} | {"sql": sql}
    for package, root in sorted(roots.items()):
        others = [each for each in roots.values() if each != root and each.is_relative_to(root)]  # sql in an install
        for file in sorted(each for each in root.rglob("*") if each.suffix in _KINDS):
            if not any(map(file.is_relative_to, others)):
                found.update(f"{package}/{file.relative_to(root).as_posix()}\n".encode() + file.read_bytes())
    return found.hexdigest()[:16]


def versions() -> dict[str, str]:
    """What computed: interpreter, machine and the libraries that decide."""
    names = ("numpy", "numba", "msgspec", "confluent-kafka", "clickhouse-connect", "chdb", "violet-reactor")
    found = {"python": platform.python_version(), "machine": platform.machine(), "libc": " ".join(platform.libc_ver())}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found
