"""What a network costs: parameters, multiply-adds, activations and memory, from its shapes alone.

Multiply-adds (the paper's "FLOPS") are counted for one image in convolutions and dense layers, on the mathematical
network: where a backend computes a convolution in a form of its own, the plain convolution is what counts.
Activations are the elements of convolution and dense outputs ("Designing Network Design Spaces", Radosavovic et al.,
2020). Nothing is allocated or compiled.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from typing import Any

from scaling_search.errors import UserError, first_line
from scaling_search.family import Cost, Family, PlannedFamily, fingerprint
from scaling_search.rule import Scale

FLOAT_BYTES = 4
STATE_VECTORS = 6
"""Vectors as long as the parameters in a training step: parameters, gradients, RMSProp's two, averages, updates."""
KEPT_PER_ACTIVATION = 2.65
"""Arrays of a convolution output's size that the backward pass finds kept, by XLA's own analysis on a CPU: 2.0 to 2.3
in EfficientNets with the native kernels and 2.9 to 3.3 without, 3.4 in a plain CNN."""


def cost(network: Any, resolution: int) -> Cost:
    """Parameters, multiply-adds and activations of a Flax NNX network for one image (resolution, resolution, 3).

    The network may be abstract (`networks.initialise.abstract_network`). Raises UserError where it does not take
    such an image or its work depends on values.
    """
    return _count(network, _forward(network, resolution, training=False))


def _count(network: Any, program: Any) -> Cost:
    """What the traced program of a network on one image costs."""
    import jax
    from flax import nnx

    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
    multiply_adds = activations = 0
    for equation, repeats in _equations(program.jaxpr, 1):
        count = _multiply_adds(equation)
        if count is not None:
            multiply_adds += repeats * count
            activations += repeats * math.prod(equation.outvars[0].aval.shape)
    return Cost(parameters, multiply_adds, activations)


def cost_of_scale(family: Family, scale: Scale, num_classes: int, resolution: int) -> tuple[Cost, str]:
    """What `family` costs at `scale` on images of `resolution` pixels a side, and a fingerprint of the network.

    Two scales with the same fingerprint are the same network. A family with a plan is counted from it; another is
    built abstractly and traced.
    """
    if isinstance(family, PlannedFamily):
        plan = family.plan(scale, num_classes)
        return plan.cost(resolution), fingerprint(type(family).__qualname__, plan)
    from scaling_search.networks.initialise import traced_network

    network, initialisation = traced_network(family, scale, num_classes)
    evaluation = _forward(network, resolution, training=False)
    logits = evaluation.out_avals[0].shape
    if logits != (1, num_classes):
        raise UserError(
            f"family {family.name!r} answers one image of {num_classes} classes with logits of shape {logits}",
            f"build(scale, num_classes) makes a head of num_classes: {(1, num_classes)}",
        )
    # The program in training is the network: it shows dropout, which costs nothing, as well. What its initial values
    # are made by is no part of that program.
    programs = (_forward(network, resolution, training=True), initialisation)
    return _count(network, evaluation), fingerprint(family.name, *map(_described, programs))


def memory(cost: Cost, resolution: int, batch_size: int) -> int:
    """An estimate of the peak bytes of a float32 training step at `batch_size` images of `resolution` pixels a side.

    A few vectors as long as the parameters (values, gradients, optimiser, averages), and for the backward pass a few
    arrays for each activation: the convolution's output, what its batch norm and its activation made of it.
    """
    images = batch_size * resolution**2 * 3
    kept = KEPT_PER_ACTIVATION * batch_size * cost.activations
    return int(FLOAT_BYTES * (STATE_VECTORS * cost.parameters + images + kept))


def _forward(network: Any, resolution: int, *, training: bool) -> Any:
    """The traced program of the network on one image."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    graphdef, state = nnx.split(network)

    def forward(state: Any, image: Any) -> Any:
        net: Any = nnx.merge(graphdef, state, copy=True)
        net.train() if training else net.eval()
        return net(image)

    image = jax.ShapeDtypeStruct((1, resolution, resolution, 3), jnp.float32)
    try:
        return jax.make_jaxpr(forward)(state, image)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the network does not take an image of {resolution} x {resolution} x 3: {first_line(error)}",
            hint="a network takes any input side, NHWC",
        ) from error


def _described(program: Any) -> str:
    """A traced program as text, with a digest of the arrays that are constants in it."""
    digest = hashlib.sha256()
    for array in _constants(program):
        digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    # A printed program names Python functions by their addresses, which say nothing of the network.
    return re.sub(r"0x[0-9a-f]+", "", str(program)) + digest.hexdigest()


def _constants(program: Any) -> Iterator[Any]:
    """The arrays that a program and those it calls close over; numbers are in its text."""
    import numpy as np
    from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

    jaxpr = getattr(program, "jaxpr", program)
    yield from map(np.asarray, getattr(program, "consts", ()))
    for equation in jaxpr.eqns:
        yield from (np.asarray(one.val) for one in equation.invars if isinstance(one, Literal))
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple) else (value,):
                if isinstance(inner, ClosedJaxpr | Jaxpr):
                    yield from _constants(inner)


def _equations(jaxpr: Any, repeats: int) -> Iterator[tuple[Any, int]]:
    """Every equation of a program with how often it runs, inside calls and loops as well."""
    for equation in jaxpr.eqns:
        inner, times = _inside(equation)
        if inner is None:
            yield equation, repeats
        else:
            for body in inner:
                yield from _equations(getattr(body, "jaxpr", body), repeats * times)


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
            if any(_multiply_adds(inner) for body in bodies for inner, _ in _equations(body.jaxpr, 1)):
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


def _multiply_adds(equation: Any) -> int | None:
    """Multiply-adds of a convolution or a dense layer; None for anything else."""
    if equation.primitive.name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        features = equation.params["dimension_numbers"].rhs_spec[0]
        outputs = math.prod(equation.outvars[0].aval.shape)
        return outputs * math.prod(kernel) // kernel[features]
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
    return None
