"""Foreign kernels: `[acb] kernel = "package.module:factory"` puts somebody else's function in a lane's place.

factory(params) gives kernel(scan, planes) -> float, called once a scan; its column takes the place of the default's.
Its hash covers every file of its package, so that a change of it is a change of the segment.
See docs/design/running.md.
"""

import hashlib
import importlib
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from journal.refusal import Refusal
from lanes.profile import Profile
from lanes.registry import MORE
from reactor.evaluate.answer import Foreign


@dataclass(frozen=True, slots=True)
class Kernels:
    """Kernels by lane, and hashes of code that is not VIOLET's: theirs, and of lanes beyond the five that are on."""

    kernels: Mapping[str, Foreign] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)


def load(profile: Profile) -> Kernels:
    """Import the kernels that a profile names. Raises Refusal naming the lane and what is wrong."""
    kernels: dict[str, Foreign] = {}
    hashes: dict[str, str] = {}
    for lane in profile.lanes:
        params = profile.of(lane.name)
        if params.enabled and lane in MORE:  # its own file decides as a foreign kernel's does
            hashes[lane.name] = package_hash(lane.kernel.py_func.__module__)
        if params.kernel is None or not params.enabled:
            continue
        module_name, colon, factory = params.kernel.partition(":")
        if not colon:
            raise Refusal(f"[{lane.name}] kernel must be 'package.module:factory', was {params.kernel!r}")
        try:
            with _one_process():
                kernel = getattr(importlib.import_module(module_name), factory)(deepcopy(params))
        except BaseException as error:  # noqa: BLE001 - whatever a foreign module raises is a refusal, also SystemExit
            raise Refusal(
                f"[{lane.name}] kernel {params.kernel!r} cannot be made ({type(error).__name__}: {error}); "
                "fix: install its package, or name another"
            ) from None
        if not callable(kernel):
            raise Refusal(f"[{lane.name}] kernel {params.kernel!r} must give a function kernel(scan, planes) -> float")
        kernels[lane.name], hashes[lane.name] = _guarded(kernel), package_hash(module_name)
    return Kernels(kernels, hashes)


def _guarded(kernel: Callable[..., Any]) -> Foreign:
    """The kernel, of whose call only this process returns."""

    def guarded(scan: Any, planes: Any) -> Any:
        with _one_process():
            return kernel(scan, planes)

    return guarded


@contextmanager
def _one_process() -> Generator[None]:
    """A child that foreign code forks ends where its code ends: a second process must not go on with the soak."""
    mine = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != mine:
            os._exit(0)


def package_hash(module_name: str) -> str:
    """Hash over the files of a module's package, or of the module alone where it has no package."""
    root = importlib.import_module(module_name.partition(".")[0])
    found = hashlib.sha256()
    for folder in map(Path, getattr(root, "__path__", [])):
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            found.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    if not hasattr(root, "__path__"):
        found.update(Path(root.__file__ or "").read_bytes())
    return found.hexdigest()[:16]
