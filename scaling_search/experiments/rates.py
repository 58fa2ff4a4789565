"""Learning rates by size: which networks a run probes, and the rates that follow by what the analysis says."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scaling_search.errors import UserError
from scaling_search.experiments.study import Materials
from scaling_search.rule import PAPER_RULE
from scaling_search.runners.progress import Progress
from scaling_search.search.plan import Plan
from scaling_search.search.rates import Probe, RateOf, Tried, probe, probed_networks
from scaling_search.store import RunDirectory
from scaling_search.trial import Network, network_from_dict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaling_search.analysis.statistics.rates import RateFit
    from scaling_search.search.grid import Step1
    from scaling_search.search.scale_up import Model

DOCUMENT = "rates"
"""The document of a probe: its networks, the rates each was trained at, and what follows."""


def probed_rates(
    materials: Materials,
    layout: "Step1 | None",
    published: "Sequence[Model]",
    directory: RunDirectory,
    data: str,
    progress: Progress,
) -> Plan[RateOf]:
    """The plan of the probe, which writes its document and says what it found; its result is each network's rate.

    A run that has probed before, another of its steps, keeps the networks of its probe. Raises UserError where too few
    trainings of it have finished.
    """
    from scaling_search.analysis.text.rates import law_in_words

    config = materials.config
    earlier = directory.document(DOCUMENT)
    networks = (
        probed_networks(_networks_of(materials, layout, published))
        if earlier is None
        else tuple(map(network_from_dict, earlier["networks"].values()))
    )
    latest: list[Probe] = []

    def on_news(asked: Probe) -> None:
        latest[:] = [asked]
        if earlier is None or earlier["fit"] is None:
            directory.write_document(DOCUMENT, asked.document())
        progress.phase("learning rates")

    tried = yield from probe(networks, config, data, on_news=on_news)
    fit = _fitted(tried, config.recipe.learning_rate)
    directory.write_document(DOCUMENT, latest[0].document(_document(fit)))
    progress.note(law_in_words(fit))
    return lambda network: fit.law.at(network.multiply_adds)


def _networks_of(materials: Materials, layout: "Step1 | None", published: "Sequence[Model]") -> list[Network]:
    """What the run will train, as far as it is known; models by the paper's rule stand for those of a rule to come."""
    from scaling_search.search.scale_up import found_models

    config, images = materials.config, materials.images
    networks = [] if layout is None else list(layout.networks)
    if 2 in config.steps:
        try:
            rule = config.rule or PAPER_RULE
            found = found_models(
                rule, materials.family, config, images.num_classes, images.training, materials.latencies
            )
        except UserError:
            found = ()
        networks += [
            model.network for model in (*published, *found) if model.trained and images.can_train(model.network)
        ]
    return networks


def _fitted(tried: "Sequence[Tried]", base: float) -> "RateFit":
    import numpy as np

    from scaling_search.analysis.statistics.rates import fit_rates

    if all(accuracy is None for *_, accuracy in tried):
        raise UserError(
            f"none of the {len(tried)} trainings of the probe of learning rates has finished",
            hint="try a lower --recipe.learning-rate, or --rates fixed",
        )
    # A training that failed counts as one that learned nothing.
    accuracy = [1 / network.num_classes if one is None else one for network, _, one in tried]
    sizes, rates = ([float(one[0].multiply_adds) for one in tried], [one[1] for one in tried])
    return fit_rates(np.array(sizes), np.array(rates), np.array(accuracy, np.float64), base=base)


def _document(fit: "RateFit") -> dict[str, Any]:
    """As JSON, which knows no infinity: ends that are not known are null."""
    bounded = abs(fit.low) < float("inf")
    ends = {"low": fit.low, "high": fit.high} if bounded else {"low": None, "high": None}
    return {"law": asdict(fit.law), **ends, "curved": fit.curved}
