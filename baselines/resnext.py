"""ResNeXt-101 64x4d: "Aggregated Residual Transformations for Deep Neural Networks" (Xie et al., CVPR 2017), Table 4.

It is ResNet-101 (Table 1 of the paper has the template) whose 3x3 convolutions have 64 groups of 4 channels in the
first stage, doubled in each that follows.
"""

from dataclasses import dataclass

from flax import nnx

from scaling_search.baselines.published import Published
from scaling_search.baselines.resnet import ResNet, ResNetFamily
from scaling_search.rule import Scale


@dataclass(frozen=True)
class ResNeXtFamily(ResNetFamily):
    """ResNeXt as a family: ResNet with `groups` groups of `group_width` channels, as "64x4d" says in a name.

    The paper holds cardinality, the number of groups, to be a dimension beside depth and width. So depth multiplies the
    blocks of each stage, rounded up; width the channels of each group, to whole channels, and every other number of
    channels, to multiples of 8; and the number of groups stays. Modules are called as ResNet's.
    """

    groups: int = 64
    group_width: int = 4

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> ResNet:
        """The network at `scale`."""
        return ResNet(
            self.layers,
            scale,
            num_classes,
            groups=self.groups,
            group_width=self.group_width,
            zero_init_residual=self.zero_init_residual,
            rngs=rngs,
        )


RESNEXT101_64X4D = ResNeXtFamily(
    "resnext101_64x4d",
    (3, 4, 23, 3),
    Published(
        source='Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017',
        parameters=None,
        multiply_adds=None,
        resolution=320,
        reference="timm resnext101_64x4d",
        note="As built: 83.46M parameters, 0.6 % below Table 2's 84M; why is not known.",
    ),
    resolution=320,
)
