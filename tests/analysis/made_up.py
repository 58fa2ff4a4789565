"""A run made up from a known law, so that tests know the truth behind it."""

import math
from dataclasses import dataclass, replace

import numpy as np

from scaling_search.config import to_dict
from scaling_search.rule import (
    PAPER_RULE,
    PUBLISHED,
    Scale,
    round_channels,
    round_layers,
    round_resolution,
)
from scaling_search.store import RunDirectory
from scaling_search.trial import Epoch, Network, Outcome, Spec, to_record
from tests.tiny import TINY

CONFIG = replace(TINY, name="made-up")
BASELINE_COST = 9 * 6 * 64**2 * 16**2


def network_at(scale):
    layers = sum(round_layers(count, scale.depth) for count in (1, 2, 3))
    channels, side = round_channels(64, scale.width), round_resolution(16, scale.resolution)
    parameters = 9 * layers * channels**2
    return Network(
        family="made_up",
        options=(),
        scale=scale,
        input_resolution=side,
        num_classes=10,
        fingerprint=f"{layers}x{channels}@{side}",
        parameters=parameters,
        multiply_adds=parameters * side**2,
        activations=layers * channels * side**2,
    )


def true_accuracy(network):
    """A power law of the multiply-adds that saturates at 96 %, better for networks of balanced shape."""
    growth = network.multiply_adds / BASELINE_COST
    balance = abs(math.log(network.input_resolution / 16) - math.log(1.15) * math.log2(growth))
    return 1 - (0.04 + 0.06 * growth**-0.5) - 0.05 * balance


@dataclass(frozen=True)
class MadeUpRun:
    """A run on disk and the pieces it was written from."""

    directory: RunDirectory
    networks: dict
    """Networks of STEP 1 by fingerprint."""
    baseline: Network

    @property
    def path(self):
        return self.directory.path


def spec_of(network, seed, evaluate="validation"):
    return Spec(network, CONFIG.recipe, "made-up:0", CONFIG.split, seed, evaluate)


def outcome_of(network, seed, noise=0.004, seed_effect=0.003):
    """An outcome at the true accuracy, shifted by an effect of the seed and by noise of the trial's own."""
    own = np.random.default_rng([seed, *network.fingerprint.encode()]).normal(0, noise)
    shared = np.random.default_rng(seed).normal(0, seed_effect)
    accuracy = float(np.clip(true_accuracy(network) + own + shared, 0, 1))
    curve = (Epoch(1, 10, 0.5, 2.0), Epoch(2, 20, 0.4, 1.0, accuracy, 0.3))
    return Outcome("ok", accuracy, 0.3, curve=curve, seconds={"train": 2.0, "evaluate": 0.5}, device="cpu")


def step1_document(grid=CONFIG.grid, refused=lambda network: None):
    baseline = network_at(Scale())
    points = [(rule, network_at(rule.at(1.0))) for rule in grid.rules()]
    return {
        "phi": 1.0,
        "baseline": baseline.fingerprint,
        "networks": {network.fingerprint: to_dict(network) for _, network in [*points, (None, baseline)]},
        "points": [
            {
                **to_dict(rule),
                "cost_factor": rule.cost_factor,
                "network": network.fingerprint,
                "rejected": refused(network),
            }
            for rule, network in points
        ],
    }


def step2_document(rule=PAPER_RULE, budget=40 * BASELINE_COST):
    found = [(f"B{phi}", "found", float(phi), network_at(rule.at(phi))) for phi in range(8)]
    published = [(f"B{i}", "published", None, network_at(model.scale)) for i, model in enumerate(PUBLISHED[:8])]
    return {
        "rule": to_dict(rule),
        "networks": {network.fingerprint: to_dict(network) for *_, network in found + published},
        "models": [
            {
                "model": model,
                "coefficients": coefficients,
                "phi": phi,
                **to_dict(network.scale),
                "network": network.fingerprint,
                "training_cost": 3.0 * network.multiply_adds,
                "trained": network.multiply_adds <= budget,
            }
            for model, coefficients, phi, network in found + published
        ],
    }


def network_of(tree):
    return Network(**{**tree, "scale": Scale(**tree["scale"]), "options": tuple(tree["options"])})


def write_step1(directory, *, outcome=outcome_of, seeds=CONFIG.all_seeds, **options):
    tree = step1_document(**options)
    directory.write_document("step1", tree)
    refused = {point["network"] for point in tree["points"] if point["rejected"]}
    networks = {name: network_of(network) for name, network in tree["networks"].items() if name not in refused}
    for network in networks.values():
        for seed in seeds:
            directory.write_record(to_record(spec_of(network, seed), outcome(network, seed)))
    return MadeUpRun(directory, networks, network_of(tree["networks"][tree["baseline"]]))


def write_step2(directory, *, seeds=CONFIG.all_seeds, **options):
    tree = step2_document(**options)
    directory.write_document("step2", tree)
    for model in tree["models"]:
        if model["trained"]:
            network = network_of(tree["networks"][model["network"]])
            for seed in seeds:
                directory.write_record(to_record(spec_of(network, seed), outcome_of(network, seed)))
