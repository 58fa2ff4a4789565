"""MobileNetV2: "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (Sandler et al., CVPR 2018), Table 2.

EfficientNet's block is this paper's, with squeeze-and-excitation and another activation added, so that MobileNetV2 is
an EfficientNet of other stages without them.
"""

from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from flax import nnx

from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.networks import efficientnet_names
from scaling_search.networks.efficientnet import EfficientNet, EfficientNetPlan, Stage, StagePlan
from scaling_search.networks.staged import Style
from scaling_search.rule import Scale, round_channels, round_layers

STEM = 32
STAGES = (
    Stage(expansion=1, kernel_size=3, stride=1, channels=16, layers=1),
    Stage(expansion=6, kernel_size=3, stride=2, channels=24, layers=2),
    Stage(expansion=6, kernel_size=3, stride=2, channels=32, layers=3),
    Stage(expansion=6, kernel_size=3, stride=2, channels=64, layers=4),
    Stage(expansion=6, kernel_size=3, stride=1, channels=96, layers=3),
    Stage(expansion=6, kernel_size=3, stride=2, channels=160, layers=3),
    Stage(expansion=6, kernel_size=3, stride=1, channels=320, layers=1),
)
HEAD = 1280
STYLE = Style(activation="relu6", squeeze_excite=False, padding="SYMMETRIC", batch_norm_epsilon=1e-5)


@dataclass(frozen=True)
class MobileNetV2Family:
    """MobileNetV2 as a family.

    Depth multiplies the layers of each stage, rounded up, as in EfficientNet; width every number of channels, to
    multiples of 8. That includes the head's 1280 channels, as in a scaled EfficientNet: the paper and other
    implementations keep them at 1280 where the width is below 1.
    """

    name: str
    published: Published
    resolution: int = 224
    dropout: float = 0.2
    """Dropout before the classifier, as in the authors' code."""
    zero_init_residual: bool = False
    """Whether each residual branch starts as zeros (Goyal et al., 2017), which helps deep networks start to train."""

    def plan(self, scale: Scale, num_classes: int) -> EfficientNetPlan:
        """The layers at `scale`."""
        style = replace(STYLE, zero_init_residual=self.zero_init_residual)
        stem = round_channels(STEM, scale.width)
        widths = [round_channels(stage.channels, scale.width) for stage in STAGES]
        stages = tuple(
            StagePlan(
                in_channels=before,
                out_channels=after,
                expansion=stage.expansion,
                kernel_size=stage.kernel_size,
                stride=stage.stride,
                layers=round_layers(stage.layers, scale.depth),
                style=style,
            )
            for (before, after), stage in zip(pairwise([stem, *widths]), STAGES, strict=True)
        )
        return EfficientNetPlan(
            stem=stem,
            stem_stride=2,
            stages=stages,
            head=round_channels(HEAD, scale.width),
            num_classes=num_classes,
            dropout=self.dropout,
            drop_connect=0.0,
            dtype="float32",
            style=style,
        )

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> EfficientNet:
        """The network at `scale`."""
        return EfficientNet(self.plan(scale, num_classes), rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """timm's names, which are EfficientNet's, and torchvision's for the network at scale 1."""
        return {"timm": efficientnet_names.timm, "torchvision": _torchvision_name}


_FIRST = list(accumulate((stage.layers for stage in STAGES), initial=1))
"""torchvision's number of each stage's first block, and of the head."""
_OUTSIDE = {
    "stem": "features.0.0",
    "stem_norm": "features.0.1",
    "head": f"features.{_FIRST[-1]}.0",
    "head_norm": f"features.{_FIRST[-1]}.1",
    "classifier": "classifier.1",
}
_INSIDE = {
    "expand": "0.0",
    "expand_norm": "0.1",
    "filter": "1.0",
    "filter_norm": "1.1",
    "project": "2",
    "project_norm": "3",
}
# The first stage's block does not expand, so that its layers have other numbers.
_INSIDE_FIRST = {"filter": "0.0", "filter_norm": "0.1", "project": "1", "project_norm": "2"}


def _torchvision_name(path: str) -> str:
    if not path.startswith("stages."):
        return _OUTSIDE[path]
    _, stage, block, inside = path.split(".")
    number = _FIRST[int(stage)] + int(block)
    return f"features.{number}.conv.{(_INSIDE if int(stage) else _INSIDE_FIRST)[inside]}"


MOBILENET_V2 = MobileNetV2Family(
    "mobilenet_v2",
    Published(
        source='Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018',
        parameters=3.4e6,
        multiply_adds=300e6,
        resolution=224,
        reference="timm mobilenetv2_100 and torchvision mobilenet_v2",
        note="As built, and in every reference, it has 3.50M parameters; the paper says 3.4M.",
    ),
)
