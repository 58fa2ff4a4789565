"""Which convolutions native kernels compute where they are there: by what was faster when measured, in one place.

The choice follows from shapes and the CPU's instructions, so that a network is computed alike in every run. It was
measured on an AMD EPYC with AVX-512 against XLA's own convolutions and matrix products (docs/speed.md). What else has a
native kernel always takes it: grouped and depthwise convolutions, maximum pooling, squeeze-and-excitation and batch
norm, whose two forms were equal for ResNet-50.
"""

LANES = 8
"""Floats of AVX2's registers. Without these, dense and grouped convolutions were not measured and keep XLA's."""
WIDEST_LANES = 16
"""Floats of AVX-512's registers, with which convolutions that gather nothing may be faster than products; with AVX2's
eight they are slower."""
WIDE = 32
"""From so many features on a native convolution is at least as fast as XLA's. Narrower ones are where they gather
nothing."""
FEW = 4
"""Up to so many channels, as images have, a convolution is a product of gathered windows, however many features."""
DIRECT = 144
"""Convolutions gather nothing at stride one from so many pixels of an image on, and where they are narrow."""
NARROW = 64
"""The same of the kernel's gradient, to so many features."""
LARGE = 2**18
"""From so many numbers on the kernel of a 1x1 convolution is as well XLA's."""
OF_PIXEL = 2**10
"""Its gradients are XLA's from so many numbers on for each pixel of a batch."""
WIDE_PRODUCT = 64
"""The gradient of such a kernel is native from so many features on, if there are as many channels."""


def convolution(kernel: tuple[int, ...], lanes: int) -> bool:
    """Whether a convolution with a kernel (K, K, C, F), K > 1, is native, with registers of so many floats."""
    return kernel[3] >= WIDE or gathers_windows(kernel) or lanes >= WIDEST_LANES


def input_gradient(kernel: tuple[int, ...], lanes: int) -> bool:
    """Whether the gradient of its input is."""
    return kernel[2] >= WIDE or lanes >= WIDEST_LANES


def kernel_gradient(kernel: tuple[int, ...], lanes: int) -> bool:
    """Whether the gradient of its kernel is; K may be 1."""
    if kernel[:2] == (1, 1):
        # XLA's own, which has the features as rows, is fast where these are more than the channels.
        return kernel[2] >= kernel[3] >= WIDE_PRODUCT
    return convolution(kernel, lanes)


def pointwise(kernel: tuple[int, ...]) -> bool:
    """Whether a convolution with a kernel (1, 1, C, F) at stride 1 is native."""
    return kernel[2] * kernel[3] < LARGE


def pointwise_gradient(pixels: int, kernel: tuple[int, ...]) -> bool:
    """Whether its gradients are, with so many pixels of a batch."""
    return pointwise(kernel) and kernel[2] * kernel[3] < OF_PIXEL * pixels


def gathers_windows(kernel: tuple[int, ...]) -> bool:
    """Whether a native convolution with a kernel (K, K, C, F), K > 1, is a product of windows, and so its gradient."""
    return kernel[2] <= FEW


def is_direct(image: tuple[int, ...], stride: int, lanes: int) -> bool:
    """Whether a native convolution to an image (N, H, W, C) gathers nothing, with registers of so many floats."""
    return lanes >= WIDEST_LANES and (image[3] < WIDE or (stride == 1 and image[1] * image[2] >= DIRECT))


def has_direct_gradient(image: tuple[int, ...], stride: int, lanes: int) -> bool:
    """Whether the native gradient of its kernel gathers nothing."""
    return is_direct(image, stride, lanes) and image[3] <= NARROW


def convolves(lanes: int) -> bool:
    """Whether any of the above is native, and grouped convolutions, with registers of so many floats."""
    return lanes >= LANES


def chosen(lanes: int, amx: bool) -> str:
    """What is chosen, in words, with registers of so many floats, and with or without products by AMX."""
    always = "depthwise convolutions, batch norm, squeeze-and-excitation and maximum pooling"
    if not convolves(lanes):
        return always
    more = "; and in bfloat16, by AMX, all that are not grouped" if amx else ""
    return f"{always}; and grouped convolutions, and those to {WIDE} or more features{more}"
