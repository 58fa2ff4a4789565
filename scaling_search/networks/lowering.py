"""Operations with forms of their own for CPUs and GPUs: one equation in a traced program, lowered for the platform.

`lax.platform_dependent` would do the same, but traces every form each time: half of the time that tracing a network
takes. Here the one form in use is traced, when the program is lowered. Whoever reads a traced program (the cost model)
finds the plain form under `jaxpr` in the equation's parameters, as with any equation that calls a program.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import Jaxpr, Primitive
from jax.interpreters import batching, mlir

from scaling_search import native

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
    """The form for other platforms than a CPU, the program it makes, and the form that a GPU takes instead."""

    form: Form
    arrays: Out
    gpu: Form

    @property
    def jaxpr(self) -> Jaxpr:
        """The traced program; nothing computes it."""
        return jax.make_jaxpr(self.form)(*self.arrays).jaxpr

    def __repr__(self) -> str:
        # Names the plain form alone: what a GPU takes instead is the same operation.
        return repr(self.form)


_by_platform = Primitive("by_platform")
_by_platform.multiple_results = True


def by_platform(
    *arrays: Array, out: Sequence[Array | jax.ShapeDtypeStruct], cpu: Form, plain: Form, gpu: Form | None = None
) -> list[Array]:
    """Computes arrays like `out` by one form on a CPU, by `gpu` on a GPU where given, and by the plain form elsewhere.

    To be differentiated from outside.
    """
    given = tuple(jax.core.ShapedArray(array.shape, array.dtype) for array in arrays)
    results = tuple(jax.core.ShapedArray(one.shape, one.dtype) for one in out)
    return _by_platform.bind(*arrays, cpu=cpu, jaxpr=PlainForm(plain, given, gpu or plain), out=results)  # type: ignore[no-any-return]


@partial(jax.jit, static_argnames=("cpu", "jaxpr", "out"))
def _run(*arrays: Array, cpu: Form, jaxpr: PlainForm, out: Out) -> list[Array]:
    return _by_platform.bind(*arrays, cpu=cpu, jaxpr=jaxpr, out=out)  # type: ignore[no-any-return]


def _one_by_one(*arguments: Any) -> list[Array]:
    """A form applied to one member of the batch after another: what a CPU's kernels want."""
    *arrays, form, mapped = arguments

    def one(members: list[Array]) -> Sequence[Array]:
        rest = iter(members)
        return form(*[next(rest) if batched else array for array, batched in zip(arrays, mapped, strict=True)])

    results: list[Array] = lax.map(one, [array for array, batched in zip(arrays, mapped, strict=True) if batched])
    return results


def _together(*arguments: Any) -> list[Array]:
    """A form applied to the whole batch at once."""
    *arrays, form, mapped = arguments
    axes = tuple(0 if batched else None for batched in mapped)
    results: list[Array] = jax.vmap(form, in_axes=axes)(*arrays)
    return results


def _batch(
    arrays: Sequence[Array], axes: Sequence[int | None], *, cpu: Form, jaxpr: PlainForm, out: Out
) -> tuple[list[Array], list[int]]:
    mapped = tuple(axis is not None for axis in axes)
    first = [
        array if axis is None else jax.numpy.moveaxis(array, axis, 0) for array, axis in zip(arrays, axes, strict=True)
    ]
    size = next(array.shape[0] for array, batched in zip(first, mapped, strict=True) if batched)
    results = by_platform(
        *first,
        out=[jax.ShapeDtypeStruct((size, *one.shape), one.dtype) for one in out],
        cpu=Form(_one_by_one, (cpu, mapped)),
        plain=Form(_together, (jaxpr.form, mapped)),
        gpu=Form(_together, (jaxpr.gpu, mapped)),
    )
    return results, [0] * len(results)


def _on_cpu(*arrays: Array, cpu: Form, jaxpr: PlainForm, out: Out) -> list[Array]:
    """The form for a CPU, which may compute in float32 what is bfloat16."""
    return [result.astype(one.dtype) for result, one in zip(cpu(*arrays), out, strict=True)]


def in_float32(form: Callable[..., Any]) -> Callable[..., Any]:
    """A form for a CPU that computes bfloat16 in float32 where there are native kernels, which XLA's are no match for.

    Results are rounded where it is lowered.
    """

    @wraps(form)
    def widened(*arguments: Any) -> Any:
        if not native.available():
            return form(*arguments)
        return form(*map(_widened, arguments))

    return widened


def _widened(argument: Any) -> Any:
    is_half = isinstance(argument, Array) and argument.dtype == jnp.bfloat16
    return argument.astype(jnp.float32) if is_half else argument


_by_platform.def_impl(_run)
_by_platform.def_abstract_eval(lambda *arrays, cpu, jaxpr, out: list(out))
batching.primitive_batchers[_by_platform] = _batch
mlir.register_lowering(_by_platform, mlir.lower_fun(lambda *arrays, cpu, jaxpr, out: jaxpr.form(*arrays)))
mlir.register_lowering(_by_platform, mlir.lower_fun(_on_cpu), platform="cpu")
for _gpu in ("cuda", "rocm"):
    mlir.register_lowering(
        _by_platform, mlir.lower_fun(lambda *arrays, cpu, jaxpr, out: jaxpr.gpu(*arrays)), platform=_gpu
    )


def takes_native(*arrays: Array, images: Sequence[Array] = ()) -> bool:
    """Whether native kernels compute these arrays on a CPU: all float32, but `images` for all bfloat16."""
    of_images = {array.dtype for array in images}
    halves = of_images == {jnp.dtype(jnp.bfloat16)}
    return all(array.dtype == jnp.float32 for array in (*arrays, *(() if halves else images))) and native.available()


def takes_amx(*arrays: Array) -> bool:
    """Whether a CPU multiplies these arrays by its tile instructions."""
    return all(array.dtype == jnp.bfloat16 for array in arrays) and native.available() and native.has_amx()
