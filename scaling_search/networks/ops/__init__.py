"""Convolution, batch normalisation, squeeze-and-excitation and maxima, each with the form that suits the platform.

XLA lowers a depthwise convolution on a CPU to something many times slower than it need be, fuses a transpose of the
large operand into the weight gradient of a 1x1 convolution, and takes tens of milliseconds to compile each of the many
small loops of a batch norm. So on a CPU float32 goes through native kernels where they are there (`native`), of dense
convolutions where they were measured to be faster (`native.choice`); else a depthwise convolution is computed as a sum
of k * k shifted products; and a 1x1 convolution is a matrix product, which it is on a GPU as well. Elsewhere the plain
form stays. Gradients are written by hand. `lowering` makes the choice when a program is compiled: whoever reads the
traced program finds the plain form in it.

Images are NHWC, kernels HWIO.
"""

from scaling_search.networks.ops.activation import Activation, activate, relu
from scaling_search.networks.ops.chance import kept
from scaling_search.networks.ops.convolution import Padding, conv2d, pads_of
from scaling_search.networks.ops.gate import squeeze_excite, squeeze_excite_kept
from scaling_search.networks.ops.many import moving_average, split
from scaling_search.networks.ops.maximum import max_pool
from scaling_search.networks.ops.normalisation import batch_norm, batch_norm_gradient, batch_norm_train

__all__ = [
    "Activation",
    "Padding",
    "activate",
    "batch_norm",
    "batch_norm_gradient",
    "batch_norm_train",
    "conv2d",
    "kept",
    "max_pool",
    "moving_average",
    "pads_of",
    "relu",
    "split",
    "squeeze_excite",
    "squeeze_excite_kept",
]
