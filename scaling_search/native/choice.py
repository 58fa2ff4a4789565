"""Which convolutions native kernels compute where they are there: by what was faster when measured, in one place.

The choice follows from shapes and the CPU's instructions, so that a network is computed alike in every run. It was
measured on an AMD EPYC with AVX-512 against XLA's own convolutions and matrix products (docs/speed.md). What else has a
native kernel always takes it: grouped and depthwise convolutions, maximum pooling, squeeze-and-excitation and batch
norm, whose two forms were equal for ResNet-50.
"""

LANES = 8
"""Floats of AVX2's registers. Without these, dense and grouped convolutions were not measured and keep XLA's."""
WIDE = 32
"""From so many features on a native convolution is at least as fast as XLA's. Narrower ones keep XLA's."""
WIDE_PRODUCT = 64
"""The same of the kernel's gradient in a convolution with a 1x1 kernel."""
MANY = 2**23
"""From so many multiply-adds on the kernel's gradient of a 1x1 convolution is native where one side's channels are a
multiple of 8 and the other's of 16."""
WIDEST_LANES = 16
"""Floats of AVX-512's registers, with which convolutions that gather nothing may be faster than products; with AVX2's
eight they are slower."""
DIRECT = 144
"""They are at stride one from so many pixels of an image on."""
NARROW = 64
"""The same of the kernel's gradient, to so many features."""


def convolution(kernel: tuple[int, ...]) -> bool:
    """Whether a convolution with a kernel (K, K, C, F), K > 1, is native."""
    return kernel[3] >= WIDE


def input_gradient(kernel: tuple[int, ...]) -> bool:
    """Whether the gradient of its input is."""
    return kernel[2] >= WIDE


def kernel_gradient(kernel: tuple[int, ...]) -> bool:
    """Whether the gradient of its kernel is; K may be 1."""
    if kernel[:2] == (1, 1):
        # XLA's own, which has the features as rows, is fast where these are more than the channels.
        return kernel[2] >= kernel[3] >= WIDE_PRODUCT
    return kernel[3] >= WIDE


def pointwise_gradient(pixels: int, kernel: tuple[int, ...]) -> bool:
    """Whether the gradient of a kernel (1, 1, C, F) is, of a convolution of so many pixels of a batch at stride 1."""
    fewer, more = sorted(kernel[2:])
    blocks = (fewer % 8 == 0 and more % 16 == 0) or (fewer % 16 == 0 and more % 8 == 0)
    return blocks and pixels * fewer * more >= MANY


def is_direct(image: tuple[int, ...], stride: int, lanes: int) -> bool:
    """Whether a native convolution to an image (N, H, W, C) gathers nothing, with registers of so many floats."""
    return lanes >= WIDEST_LANES and stride == 1 and image[1] * image[2] >= DIRECT


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
