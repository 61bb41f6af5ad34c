"""The one way in which arithmetic is compiled.

A scalar kernel is plain Python that calls no other kernel, so its `py_func` is its pure Python twin. The loop over
columns is made of it by `column`, and passes for a function of the kernel's own file. Numba's cache looks only at the
file and the bytecode of the function that it loads; of the kernels that it calls, `content` is looked at too.
It does not know the flags below: whoever changes them empties the caches.
min and max are written as comparisons, `b if b < a else a`, which is what Python's builtins do: a NaN or -0.0
in the first place stays unless the other is strictly smaller. Numba and LLVM have minima of their own, a
comparison has one meaning everywhere.
See docs/design/lanes.md.
"""

import inspect
from collections.abc import Callable
from functools import cached_property
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]
Flags = NDArray[np.bool_]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Kernel(Generic[P, R_co]):
    """A function that is compiled at its first call, and its pure Python twin.

    The compiler is loaded then, and not with the lane: who asks for params alone does not wait for it.
    """

    def __init__(self, function: Callable[P, R_co], *, threads: bool = False) -> None:
        self.py_func, self._threads = function, threads

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return self.compiled(*args, **kwargs)

    @cached_property
    def compiled(self) -> Callable[P, R_co]:
        """What is called, compiled for each set of argument types. Raises ImportError where the compiler has SVML."""
        import numba

        from lanes.cache import keep  # a soak starts in a second, not in ten

        if getattr(numba.config, "USING_SVML", False):  # its pow is not libm's in the last bit, fastmath or not
            raise ImportError("lanes must be compiled without Intel SVML; fix: set NUMBA_DISABLE_INTEL_SVML=1")
        plain = self.py_func
        kernels = {name: each.compiled for name, each in self._called.items()}
        compiled = numba.njit(
            fastmath=False,  # no regrouping, no FMA contraction, NaN and -0.0 count: the bits are the contract
            error_model="numpy",  # x / 0 as IEEE has it; the Python model's branch stops the vectoriser
            nogil=self._threads,
        )
        function = FunctionType(plain.__code__, {**plain.__globals__, **kernels}, plain.__name__)
        kept = compiled(function)
        keep(kept, tuple(each.content for each in self._called.values()))
        return cast("Callable[P, R_co]", kept)

    @property
    def content(self) -> str:
        """What its machine code is made of, with the numbers and kernels that it reads from its module."""
        code, names = self.py_func.__code__, self.py_func.__globals__
        read = {name: names[name] for name in code.co_names if isinstance(names.get(name), int | float)}
        called = [each.content for each in self._called.values()]
        return repr((code.co_code, code.co_consts, code.co_names, read, called))

    @property
    def _called(self) -> dict[str, "Kernel[..., Any]"]:
        names = self.py_func.__globals__
        called = {name: names.get(name) for name in self.py_func.__code__.co_names}
        return {name: each for name, each in called.items() if isinstance(each, Kernel)}


def kernel(function: Callable[P, R_co]) -> Kernel[P, R_co]:
    """Compile a function at its first call."""
    return Kernel(function)


def column(scalar: Kernel[..., Any], inputs: int, outputs: int) -> Kernel[..., tuple[Floats, ...]]:
    """The loop of a scalar kernel over columns.

    Args:
        scalar: A kernel that takes one row's inputs and then constants, and gives one float or a tuple of floats.
        inputs: How many of its arguments are columns, of one length; the others stay constants.
        outputs: How many floats it gives.
    """
    names = tuple(inspect.signature(scalar.py_func).parameters)
    row = ", ".join([*(f"{name}[i]" for name in names[:inputs]), *names[inputs:]])
    out = [f"out{k}" for k in range(outputs)]
    loop = f"{scalar.py_func.__name__}_column"
    source = "\n".join([
        f"def {loop}({', '.join(names)}):",
        f"    n = len({names[0]})",
        *(f"    {each} = np.empty(n)" for each in out),
        "    for i in range(n):",
        f"        {', '.join(f'{each}[i]' for each in out)} = scalar({row})",
        f"    return ({', '.join(out)},)",
    ])  # fmt: skip
    names_of_file = {"np": np, "scalar": scalar, "__name__": scalar.py_func.__module__}
    exec(compile(source, inspect.getfile(scalar.py_func), "exec"), names_of_file)  # noqa: S102 - of a signature alone
    return kernel(cast("Callable[..., tuple[Floats, ...]]", names_of_file[loop]))
