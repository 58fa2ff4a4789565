"""Which convolutions native kernels compute where they are there, and how: by what was faster when measured.

The choice follows from shapes and the CPU's instructions, so that a network is computed alike in every run. It was
measured against XLA's own convolutions and matrix products on an AMD EPYC with AVX-512, and of 1x1 convolutions and of
few channels or features on an Intel Xeon, with AVX-512 and as if it had AVX2 alone (docs/speed.md). All else that has a
native kernel always takes it: convolutions with larger kernels, grouped and depthwise ones, maximum pooling,
squeeze-and-excitation and batch norm, whose two forms were equal for ResNet-50.
"""

LANES = 8
"""Floats of AVX2's registers. Without these, dense and grouped convolutions were not measured and keep XLA's."""
WIDEST_LANES = 16
"""Floats of AVX-512's registers, with which wide convolutions that gather nothing may be faster than products; with
AVX2's eight they are slower."""
WIDE = 32
"""Of fewer features, convolutions gather nothing."""
DIRECT = 144
"""Others gather nothing at stride one from so many pixels of an image on."""
NARROW = 64
"""The same of the kernel's gradient, to so many features."""
FEW = 4
"""Up to so many channels, as images have, a convolution is a product of gathered windows, however many features."""
LARGE = 2**18
"""From so many numbers on the kernel of a 1x1 convolution is as well XLA's."""
OF_PIXEL = 2**10
"""Its gradients are XLA's from so many numbers on for each pixel of a batch."""
WIDE_PRODUCT = 64
"""But where these were not native, the kernel's is from so many features on, if there are as many channels."""


def pointwise(kernel: tuple[int, ...]) -> bool:
    """Whether a convolution with a kernel (1, 1, C, F) at stride 1 is native."""
    return kernel[2] * kernel[3] < LARGE


def pointwise_gradient(pixels: int, kernel: tuple[int, ...]) -> bool:
    """Whether its gradients are, with so many pixels of a batch."""
    return pointwise(kernel) and kernel[2] * kernel[3] < OF_PIXEL * pixels


def kernel_gradient(kernel: tuple[int, ...]) -> bool:
    """Whether else the gradient of a kernel (1, 1, C, F) is, at any stride."""
    # XLA's own, which has the features as rows, is fast where these are more than the channels.
    return kernel[2] >= kernel[3] >= WIDE_PRODUCT


def gathers_windows(kernel: tuple[int, ...]) -> bool:
    """Whether a native convolution with a kernel (K, K, C, F), K > 1, is a product of windows, and so its gradient."""
    return kernel[2] <= FEW


def is_direct(image: tuple[int, ...], stride: int, lanes: int) -> bool:
    """Whether a native convolution to an image (N, H, W, C) gathers nothing, with registers of so many floats."""
    return image[3] < WIDE or (lanes >= WIDEST_LANES and stride == 1 and image[1] * image[2] >= DIRECT)


def has_direct_gradient(image: tuple[int, ...], stride: int, lanes: int) -> bool:
    """Whether the native gradient of its kernel gathers nothing."""
    return is_direct(image, stride, lanes) and image[3] <= NARROW


def convolves(lanes: int) -> bool:
    """Whether dense and grouped convolutions are native, with registers of so many floats."""
    return lanes >= LANES


def chosen(lanes: int, amx: bool) -> str:
    """What is chosen, in words, with registers of so many floats, and with or without products by AMX."""
    always = "depthwise convolutions, batch norm, squeeze-and-excitation and maximum pooling"
    if not convolves(lanes):
        return always
    more = "; and in bfloat16, by AMX, all that are not grouped" if amx else ""
    return f"{always}; and grouped and dense convolutions{more}"
