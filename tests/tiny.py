"""The run that tests start from: `efficientnet_tiny` on digits, rounded as in the paper on a grid of coefficients.

It is small, and stays what it is whatever the defaults of the command are.
"""

from scaling_search.config import RunConfig, to_dict
from scaling_search.family import load_family
from scaling_search.manifest import flags_of
from scaling_search.networks.efficientnet import EfficientNetFamily, Stage
from scaling_search.rule import Grid

TINY = RunConfig(data="digits", family="efficientnet_tiny", grid=Grid("coefficients"), match="paper", rivals=False)
TINY_FLAGS = tuple(flags_of(to_dict(TINY), to_dict(RunConfig())))
"""The same on the command line."""

FINE = ("resolution=24", "depth=0.25", "width=0.2", "strided_stages=1", "divisor=1")
"""Options of `efficientnet` for a small network on no cliff, whose channels come in steps of 1."""
FINE_FAMILY = load_family("efficientnet", FINE)

TWO_STAGES = EfficientNetFamily(
    name="two_stages",
    resolution=12,
    stages=(Stage(1, 3, 1, 8, 1), Stage(4, 3, 2, 16, 2)),
    stem=8,
    head=32,
    stem_stride=1,
)
"""Every operation of EfficientNet's in three blocks: `tests.tiny:TWO_STAGES`."""
