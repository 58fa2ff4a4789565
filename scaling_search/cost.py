"""What a network costs: parameters, multiply-adds, activations and memory, from its shapes alone.

Multiply-adds (the paper's "FLOPS") are counted for one image in convolutions and dense layers, on the mathematical
network: where a backend computes a convolution in a form of its own, the plain convolution is what counts.
Activations are the elements of convolution and dense outputs ("Designing Network Design Spaces", Radosavovic et al.,
2020). Nothing is allocated or compiled.
"""

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from scaling_search.errors import UserError
from scaling_search.family import BulkFamily, Cost, Family, PlannedFamily, fingerprint
from scaling_search.input_side import checked_evaluation, empty_maps, evaluation, explained, taker
from scaling_search.rule import Scale
from scaling_search.traced import InputSizeError, described, equations, forward

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FLOAT_BYTES = 4
STATE_VECTORS = 6
"""Vectors as long as the parameters in a training step: parameters, gradients, RMSProp's two, averages, updates."""
KEPT_PER_ACTIVATION = 2.65
"""Arrays of a convolution output's size that the backward pass finds kept, by XLA's own analysis on a CPU: 1.6 to 2.2
in EfficientNets with the native kernels and 2.9 to 3.3 without, 3.4 in a plain CNN."""


def cost(network: Any, resolution: int) -> Cost:
    """Parameters, multiply-adds and activations of a Flax NNX network for one image (resolution, resolution, 3).

    The network may be abstract (`networks.initialise.abstract_network`). Raises UserError where it does not take
    such an image, with the smallest side that it takes, or its work depends on values.
    """
    return _count(network, checked_evaluation(network, resolution))


def _count(network: Any, program: Any) -> Cost:
    """What the traced program of a network on one image costs."""
    import jax
    from flax import nnx

    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
    multiply_adds = activations = 0
    for equation, repeats in equations(program.jaxpr):
        count = _multiply_adds(equation)
        if count is not None:
            multiply_adds += repeats * count
            activations += repeats * math.prod(equation.outvars[0].aval.shape)
    return Cost(parameters, multiply_adds, activations)


def cost_of_scale(family: Family, scale: Scale, num_classes: int, resolution: int) -> tuple[Cost, str]:
    """What `family` costs at `scale` on images of `resolution` pixels a side, and a fingerprint of the network.

    Two scales with the same fingerprint are the same network. A family with a plan is counted from it; another is
    built abstractly and traced. Raises UserError as `cost` does, and where the head has another number of classes.
    """
    try:
        return measure(family, scale, num_classes, resolution)
    except InputSizeError as refused:
        raise explained(refused, family.name, resolution, taker(family, scale, num_classes)) from refused


def measure(family: Family, scale: Scale, num_classes: int, resolution: int) -> tuple[Cost, str]:
    """As `cost_of_scale`, but raises InputSizeError at once where an input is too small, without the smallest side."""
    if isinstance(family, PlannedFamily):
        plan = family.plan(scale, num_classes)
        if plan.last_map_side(resolution) < 1:
            raise empty_maps(resolution)
        return plan.cost(resolution), fingerprint(type(family).__qualname__, plan)
    from scaling_search.networks.initialise import traced_network

    network, initialisation = traced_network(family, scale, num_classes)
    program = evaluation(network, resolution)
    logits = program.out_avals[0].shape
    if logits != (1, num_classes):
        raise UserError(
            f"family {family.name!r} answers one image of {num_classes} classes with logits of shape {logits}",
            f"build(scale, num_classes) makes a head of num_classes: {(1, num_classes)}",
        )
    # The program in training is the network: it shows dropout, which costs nothing, as well. What its initial values
    # are made by is no part of that program.
    programs = (forward(network, resolution, training=True), initialisation)
    return _count(network, program), fingerprint(family.name, *map(described, programs))


def count(family: Family, scale: Scale, num_classes: int, resolution: int) -> Cost:
    """As `measure`, without the fingerprint, for which a network without a plan is traced twice as often."""
    if isinstance(family, PlannedFamily):
        return measure(family, scale, num_classes, resolution)[0]
    from scaling_search.networks.initialise import abstract_network

    network = abstract_network(family, scale, num_classes)
    return _count(network, evaluation(network, resolution))


def costs_in_bulk(
    family: Family, depths: "ArrayLike", widths: "ArrayLike", sides: "ArrayLike", num_classes: int = 1000
) -> Cost:
    """What many networks of one family cost, by arrays of their depth and width multipliers and input sides in pixels.

    EfficientNets are counted together, some 100,000 a second and core; networks of other families one by one. The
    arrays, or numbers, are broadcast against each other. No maps are checked: a side may be too small to be taken.

    Args:
        family: The family that the multipliers scale.
        depths: Depth multipliers, above 0.
        widths: Width multipliers, above 0.
        sides: Input sides in whole pixels, at least 1.
        num_classes: Classes of the head.

    Returns:
        A `Cost` of arrays of int64, in the shape of the arguments.

    Raises:
        UserError: A multiplier or a side is not above 0, or a network cannot be counted.

    Examples:
        >>> from scaling_search.cost import costs_in_bulk
        >>> from scaling_search.family import load_family
        >>> b0 = load_family("efficientnet_b0")
        >>> costs_in_bulk(b0, [1.0, 1.2], [1.0, 1.1], [224, 257]).multiply_adds.tolist()
        [385814752, 992629472]

    """
    import numpy as np

    depth, width, side = np.broadcast_arrays(np.asarray(depths, float), np.asarray(widths, float), np.asarray(sides))
    for name, given in (("depth", depth), ("width", width), ("side", side)):
        if not np.all((given > 0) & np.isfinite(given)):
            raise UserError(
                f"a {name} of {given[~((given > 0) & np.isfinite(given))].flat[0]:g} given", "it must be above 0"
            )
    if isinstance(family, BulkFamily):
        return family.costs(depth, width, side.astype(np.int64), num_classes)
    counted = [
        count(family, Scale(float(d), float(w)), num_classes, int(s))
        for d, w, s in zip(depth.flat, width.flat, side.flat, strict=True)
    ]
    fields = (
        np.array([getattr(one, field.name) for one in counted], np.int64).reshape(depth.shape)
        for field in dataclasses.fields(Cost)
    )
    return Cost(*fields)  # type: ignore[arg-type]


def memory(cost: Cost, resolution: int, batch_size: int) -> int:
    """An estimate of the peak bytes of a float32 training step at `batch_size` images of `resolution` pixels a side.

    A few vectors as long as the parameters (values, gradients, optimiser, averages), and for the backward pass a few
    arrays for each activation: the convolution's output, what its batch norm and its activation made of it.
    """
    images = batch_size * resolution**2 * 3
    kept = KEPT_PER_ACTIVATION * batch_size * cost.activations
    return int(FLOAT_BYTES * (STATE_VECTORS * cost.parameters + images + kept))


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
