"""Made-up trainings whose truth is known: what accuracies are, how seeds scatter about them, and what goes wrong."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

# Means and deviations over three seeds of a run whose networks scatter unlike each other.
MEANS = (0.9518, 0.948, 0.9464, 0.9437, 0.9406, 0.9393, 0.9379, 0.9285, 0.9275, 0.9227, 0.9103, 0.9045, 0.9038, 0.8708)
DEVIATIONS = (0.0076, 0.0119, 0.0044, 0.0025, 0.0108, 0.0295, 0.0188, 0.0067, 0.0066, 0.0168, 0.052, 0.0111, 0.0142)
DEVIATIONS = (*DEVIATIONS, 0.0854)


@dataclass(frozen=True)
class Scene:
    """Networks trained from a few seeds each."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]
    seeds: int = 3
    shared: float = 0.0
    """Deviation of what a seed does to all networks alike."""
    collapse: float = 0.0
    """How probable it is that a training ends 15 points below the others."""

    @property
    def truth(self):
        return np.array(self.means) - 0.15 * self.collapse

    def draw(self, random, seeds=None):
        """Accuracies of every network from so many seeds, (networks, seeds)."""
        shape = len(self.means), seeds or self.seeds
        noise = np.array(self.deviations)[:, None] * random.standard_normal(shape)
        noise += self.shared * random.standard_normal(shape[1])
        return np.clip(np.array(self.means)[:, None] + noise - 0.15 * (random.random(shape) < self.collapse), 0, 1)


RISING, FLAT, EQUAL = tuple(np.linspace(0.9, 0.95, 14)), (0.93,) * 14, (0.015,) * 14
SCENES = {
    "equal deviations": Scene(RISING, EQUAL),
    "unlike deviations": Scene(MEANS, DEVIATIONS),
    "the best the noisiest": Scene((0.94, *FLAT[1:]), (0.04, *(0.01,) * 13)),
    "two noisy ones": Scene(FLAT, (*(0.01,) * 12, 0.06, 0.06)),
    "collapses": Scene(RISING, (0.01,) * 14, collapse=0.05),
    "ties": Scene(FLAT, EQUAL),
    "two seeds": Scene(RISING, EQUAL, seeds=2),
    "seeds with an effect of their own": Scene(RISING, EQUAL, shared=0.01),
    "seeds with a strong effect": Scene(tuple(np.linspace(0.7, 0.8, 12)), (0.01,) * 12, shared=0.03),
    "few networks": Scene((0.9, 0.92, 0.93), EQUAL[:3]),
    "few networks with unlike deviations": Scene((0.9, 0.92, 0.93), (0.03, 0.01, 0.003)),
}


def trials_of(accuracies):
    """One row a training of a table of networks by seeds."""
    networks, seeds = accuracies.shape
    return pd.DataFrame(
        {
            "fingerprint": np.repeat([f"network {network:03}" for network in range(networks)], seeds),
            "seed": np.tile(np.arange(seeds), networks),
            "val_accuracy": accuracies.ravel(),
        }
    )


def error_of(size, floor, scale, exponent):
    """A law of scaling."""
    return floor + scale * size**-exponent


def scattered(error, scatter, random):
    """Accuracies that scatter about errors on the logit scale."""
    logits = np.log(error) - np.log1p(-error) + scatter * random.standard_normal(np.shape(error))
    return 1 - 1 / (1 + np.exp(-logits))


def sizes_of_a_run(random):
    """The baseline, STEP 1's networks near twice its cost, and the models of STEP 2 that are trained."""
    return np.r_[1, random.uniform(1.9, 2.1, 14), 3.6, 4.5, 6.4, 8.4, 13, 19.2, 25]


DEFAULT_RUN = Scene(
    (0.717, 0.72, 0.79, 0.8, 0.8, 0.82, 0.83, 0.84, 0.84, 0.84, 0.86, 0.86, 0.87, 0.953), (*(0.045,) * 13, 0.012)
)
"""As the default run came out: the baseline, networks of twice its cost, and one of four times."""

LAWS = {"law true": (0.03, 0.2, 0.5), "law without a floor": (0.0, 0.25, 0.3)}
"""Floor, scale and exponent of `error_of`."""
