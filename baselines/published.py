"""What a network's own paper says of it, beside what it costs as built."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Where a network comes from and what is said of it there."""

    source: str
    """Authors, title, where and when."""
    parameters: float | None
    """Parameters as its own paper gives them; None where it does not."""
    multiply_adds: float | None
    """Multiply-adds for one image as its own paper gives them; None where it does not."""
    resolution: int
    """Input side in pixels at which those were counted, which is also Table 2's."""
    reference: str
    """The implementation that this network is compared with."""
    note: str = ""
    """Where and why Table 2 differs from the network as built."""
