"""Operations with a form of their own for CPUs: one equation in a traced program, lowered as suits the platform.

`lax.platform_dependent` would do the same, but traces every form each time: half of the time that tracing a network
takes. Here the one form in use is traced, when the program is lowered. Whoever reads a traced program (the cost model)
finds the plain form under `jaxpr` in the equation's parameters, as with any equation that calls a program.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from jax import Array, lax
from jax.extend.core import Jaxpr, Primitive
from jax.interpreters import batching, mlir

Out = tuple[jax.core.ShapedArray, ...]


@dataclass(frozen=True)
class Form:
    """A way to compute an operation: a function of arrays and of static values, which must be hashable."""

    function: Callable[..., Sequence[Array]]
    static: tuple[Any, ...] = ()

    def __call__(self, *arrays: Array) -> Sequence[Array]:
        """Computes it."""
        return self.function(*arrays, *self.static)

    def __repr__(self) -> str:
        # Without the function's address, so that equal programs print alike.
        return f"{self.function.__name__}{self.static}"


@dataclass(frozen=True)
class PlainForm:
    """The form for other platforms than a CPU, and the program it makes."""

    form: Form
    arrays: Out

    @property
    def jaxpr(self) -> Jaxpr:
        """The traced program; nothing computes it."""
        return jax.make_jaxpr(self.form)(*self.arrays).jaxpr

    def __repr__(self) -> str:
        return repr(self.form)


_by_platform = Primitive("by_platform")
_by_platform.multiple_results = True


def by_platform(*arrays: Array, out: Sequence[Array | jax.ShapeDtypeStruct], cpu: Form, plain: Form) -> list[Array]:
    """Computes arrays like `out` by one form on a CPU and by another elsewhere. To be differentiated from outside."""
    given = tuple(jax.core.ShapedArray(array.shape, array.dtype) for array in arrays)
    results = tuple(jax.core.ShapedArray(one.shape, one.dtype) for one in out)
    return _by_platform.bind(*arrays, cpu=cpu, jaxpr=PlainForm(plain, given), out=results)  # type: ignore[no-any-return]


@partial(jax.jit, static_argnames=("cpu", "jaxpr", "out"))
def _run(*arrays: Array, cpu: Form, jaxpr: PlainForm, out: Out) -> list[Array]:
    return _by_platform.bind(*arrays, cpu=cpu, jaxpr=jaxpr, out=out)  # type: ignore[no-any-return]


def _batch(arrays: Sequence[Array], axes: Sequence[int | None], **parameters: Any) -> tuple[list[Array], list[int]]:
    """One member of the batch after another."""
    mapped = [jax.numpy.moveaxis(array, axis, 0) for array, axis in zip(arrays, axes, strict=True) if axis is not None]

    def one(members: list[Array]) -> list[Array]:
        rest = iter(members)
        every = [array if axis is None else next(rest) for array, axis in zip(arrays, axes, strict=True)]
        return _by_platform.bind(*every, **parameters)  # type: ignore[no-any-return]

    results = lax.map(one, mapped)
    return results, [0] * len(results)


_by_platform.def_impl(_run)
_by_platform.def_abstract_eval(lambda *arrays, cpu, jaxpr, out: list(out))
batching.primitive_batchers[_by_platform] = _batch
mlir.register_lowering(_by_platform, mlir.lower_fun(lambda *arrays, cpu, jaxpr, out: jaxpr.form(*arrays)))
mlir.register_lowering(_by_platform, mlir.lower_fun(lambda *arrays, cpu, jaxpr, out: cpu(*arrays)), platform="cpu")
