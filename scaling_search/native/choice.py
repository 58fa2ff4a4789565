"""Which convolutions native kernels compute where they are there: by what was faster when measured, in one place.

The choice follows from shapes alone, so that a network is computed alike in every run. It was measured on an AMD EPYC
with AVX-512 against XLA's own convolutions and matrix products (docs/speed.md). What else has a native kernel always
takes it: depthwise convolutions, squeeze-and-excitation and batch norm, whose two forms were equal for ResNet-50.
"""

WIDE = 32
"""From so many features on a native convolution is at least as fast as XLA's. Narrower ones keep XLA's."""
WIDE_PRODUCT = 64
"""The same of the kernel's gradient in a convolution with a 1x1 kernel."""

DIRECT = 144
"""From so many pixels of an image on a convolution at stride one that gathers nothing is faster than a product."""
NARROW = 64
"""To so many features the same is so of the kernel's gradient."""


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


def is_direct(image: tuple[int, ...], stride: int) -> bool:
    """Whether a native convolution to an image (N, H, W, C) gathers nothing."""
    return stride == 1 and image[1] * image[2] >= DIRECT


def has_direct_gradient(image: tuple[int, ...], stride: int) -> bool:
    """Whether the native gradient of its kernel gathers nothing."""
    return is_direct(image, stride) and image[3] <= NARROW


def chosen(*, dense: bool) -> str:
    """What is chosen, in words; `dense` says whether any of the above is."""
    always = "depthwise convolutions, batch norm and squeeze-and-excitation"
    if not dense:
        return always
    return f"{always}; and convolutions to {WIDE} or more features"
