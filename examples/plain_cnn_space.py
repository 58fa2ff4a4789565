"""A space of one's own to search: how wide, and at what input side, a plain CNN is best.

    scaling-search nas --space examples.plain_cnn_space:PlainCNNSpace --trials 6

A space says what there is to choose from, and which fields of its family each choice sets.
"""

from dataclasses import dataclass

from scaling_search.search.nas.space import Genotype


@dataclass(frozen=True)
class PlainCNNSpace:
    """Channels and input side of the plain CNN of `examples.plain_cnn`."""

    family: str = "examples.plain_cnn:PlainCNNFamily"

    @property
    def decisions(self) -> dict[str, tuple[int, ...]]:
        """What there is to choose from."""
        return {"channels": (4, 8, 12, 16), "resolution": (8, 12, 16)}

    def options(self, genotype: Genotype) -> tuple[str, ...]:
        """The fields of a genotype: one index for each decision."""
        chosen = zip(self.decisions.items(), genotype, strict=True)
        return tuple(f"{name}={choices[index]}" for (name, choices), index in chosen)
