"""From a rule or a scale to a network with its cost, and from there to the specs of its trainings."""

from collections.abc import Iterable

from scaling_search.config import Experiment, RunConfig
from scaling_search.cost import cost_of_scale, memory
from scaling_search.family import Cost, Family
from scaling_search.rule import Scale, round_resolution
from scaling_search.trial import Init, Network, Spec
from scaling_search.units import parse_bytes, parse_count


def network_at(family: Family, scale: Scale, num_classes: int, *, name: str, options: tuple[str, ...] = ()) -> Network:
    """The network that `family` gives at `scale`, with its cost; `name` and `options` load the family again.

    Raises UserError where it does not take its input, with the smallest side that it takes.
    """
    cost, fingerprint = cost_of_scale(family, scale, num_classes, input_side(family, scale))
    return _network(family, scale, num_classes, cost, fingerprint, name, options)


def uncounted_network(
    family: Family, scale: Scale, num_classes: int, *, name: str, options: tuple[str, ...] = ()
) -> Network:
    """What stands for a network that does not take its input: its costs are zeros."""
    return _network(family, scale, num_classes, Cost(0, 0, 0), "refused", name, options)


def input_side(family: Family, scale: Scale) -> int:
    """The input side of `family` at `scale`, in pixels."""
    return round_resolution(family.resolution, scale.resolution)


def _network(
    family: Family,
    scale: Scale,
    num_classes: int,
    cost: Cost,
    fingerprint: str,
    name: str,
    options: tuple[str, ...],
) -> Network:
    resolution = input_side(family, scale)
    return Network(
        family=name,
        options=options,
        scale=scale,
        input_resolution=resolution,
        num_classes=num_classes,
        fingerprint=f"{fingerprint}@{resolution}",
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        activations=cost.activations,
    )


def specs_of(
    network: Network,
    config: Experiment,
    data: str,
    *,
    seeds: Iterable[int] | None = None,
    test: bool = False,
    init: Init | None = None,
) -> tuple[Spec, ...]:
    """The trainings of a network, one per seed, evaluated on the validation split or on the test split."""
    return tuple(
        Spec(network, config.recipe, data, config.split, seed, "test" if test else "validation", init)
        for seed in (config.all_seeds if seeds is None else seeds)
    )


def confirming_specs(network: Network, config: Experiment, data: str) -> tuple[Spec, ...]:
    """The trainings that judge what was selected: on the validation split, from seeds that selected nothing."""
    return tuple(Spec(network, config.recipe, data, config.split, seed) for seed in config.fresh_seeds)


def refusal(network: Network, config: RunConfig) -> str | None:
    """Why equation 2 rejects a network before training, or None if it fits."""
    if config.max_flops is not None and network.multiply_adds > parse_count(config.max_flops):
        return f"{network.multiply_adds:,} multiply-adds exceed --max-flops {config.max_flops}"
    if config.max_memory is not None:
        needed = step_memory(network, config.recipe.batch_size)
        if needed > parse_bytes(config.max_memory):
            return (
                f"a training step takes about {needed / 2**20:,.0f} MiB, which exceeds --max-memory {config.max_memory}"
            )
    return None


def step_memory(network: Network, batch_size: int) -> int:
    """Estimated peak bytes of the network's training step."""
    cost = Cost(network.parameters, network.multiply_adds, network.activations)
    return memory(cost, network.input_resolution, batch_size)


def training_cost(network: Network, images: int, epochs: int) -> float:
    """Multiply-adds of training a network once: forward and twice that backward, for each image of each epoch."""
    return 3.0 * network.multiply_adds * images * epochs
