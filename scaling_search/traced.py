"""Traced programs of networks: made from shapes alone, walked and compared. Nothing is allocated or compiled."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from scaling_search.errors import UserError, first_line
from scaling_search.uncollected import uncollected


class InputSizeError(UserError):
    """A network does not take images of this size."""


@uncollected()
def forward(network: Any, resolution: int, *, training: bool, method: str = "__call__") -> Any:
    """The program of a Flax NNX network, abstract or not, on one image (resolution, resolution, 3), as a ClosedJaxpr.

    `method` may name a part of it, such as features. Raises InputSizeError where the network does not take it.
    """
    import jax
    import jax.numpy as jnp
    from flax import nnx

    graphdef, state = nnx.split(network)

    def call(state: Any, image: Any) -> Any:
        net: Any = nnx.merge(graphdef, state, copy=True)
        net.train() if training else net.eval()
        return getattr(net, method)(image)

    image = jax.ShapeDtypeStruct((1, resolution, resolution, 3), jnp.float32)
    try:
        return jax.make_jaxpr(call)(state, image)
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise InputSizeError(
            f"the network does not take an image of {resolution} x {resolution} x 3: {first_line(error)}",
            hint="a network takes any input side, NHWC",
        ) from error


def described(program: Any) -> str:
    """A program as text, with a digest of the arrays that are constants in it."""
    digest = hashlib.sha256()
    for array in _constants(program):
        digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    # A printed program names Python functions by their addresses, which say nothing of the network.
    return re.sub(r"0x[0-9a-f]+", "", str(program)) + digest.hexdigest()


def all_equations(program: Any) -> Iterator[Any]:
    """Every equation of a program and of those that it calls."""
    from jax.extend.core import ClosedJaxpr, Jaxpr

    for equation in getattr(program, "jaxpr", program).eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple) else (value,):
                if isinstance(inner, ClosedJaxpr | Jaxpr):
                    yield from all_equations(inner)


def _constants(program: Any) -> Iterator[Any]:
    """The arrays that a program and those it calls close over, and the numbers in them."""
    import numpy as np
    from jax.extend.core import ClosedJaxpr, Literal

    yield from map(np.asarray, program.consts)
    for equation in all_equations(program):
        yield from (np.asarray(one.val) for one in equation.invars if isinstance(one, Literal))
        closed = (value for value in equation.params.values() if isinstance(value, ClosedJaxpr))
        yield from (np.asarray(array) for inner in closed for array in inner.consts)


def equations(jaxpr: Any, repeats: int = 1) -> Iterator[tuple[Any, int]]:
    """Every equation that does work with how often it runs, inside calls and loops as well.

    Of a choice between branches, the default or last is taken. Raises UserError at a convolution or dense layer in a
    while loop.
    """
    for equation in jaxpr.eqns:
        inner, times = _inside(equation)
        if inner is None:
            yield equation, repeats
        else:
            for body in inner:
                yield from equations(getattr(body, "jaxpr", body), repeats * times)


LAYERS = ("conv_general_dilated", "dot_general")
"""The primitives of convolutions and dense layers."""


def _inside(equation: Any) -> tuple[list[Any] | None, int]:
    """The programs that an equation calls, and how often; None where it calls none."""
    parameters = equation.params
    match equation.primitive.name:
        case "scan":
            return [parameters["jaxpr"]], parameters["length"]
        case "cond":
            platforms = parameters.get("branches_platforms")
            if platforms is not None:  # From lax.platform_dependent; its default branch has no platform.
                return [parameters["branches"][list(platforms).index(None)]], 1
            return list(parameters["branches"][-1:]), 1
        case "while":
            bodies = [parameters["cond_jaxpr"], parameters["body_jaxpr"]]
            if any(inner.primitive.name in LAYERS for body in bodies for inner, _ in equations(body.jaxpr)):
                raise UserError(
                    "the network has a convolution or dense layer in a while loop, whose length depends on values",
                    hint="use jax.lax.scan, whose length is known",
                )
            return [], 1
        case _:
            for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
                if key in parameters:
                    return [parameters[key]], 1
            return None, 1
