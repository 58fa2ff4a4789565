"""One training on several hosts: a process on each runs the same program, on devices that are all of theirs.

Every process has the same data and builds the same networks, so that nothing but gradients, statistics and sums goes
between them, which XLA sees to. What the processes decide they decide alike: from numbers that all of them have, or,
where each sees something of its own (its memory, a clock, a file), by asking the others.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, Sharding

from scaling_search.recipe import images_per_host

CONNECT_SECONDS = 120
"""How long the processes of a training have to find each other."""


def join(coordinator: str, hosts: int, number: int) -> None:
    """Makes this process the one called `number` of so many, before JAX is used in it.

    `coordinator` is the address and a free port of the first one, which listens there and nowhere else.
    """
    jax.distributed.initialize(
        coordinator,
        hosts,
        number,
        # Else it asks Slurm and the like, where the machines are theirs.
        cluster_detection_method="deactivate",
        initialization_timeout=CONNECT_SECONDS,
        coordinator_bind_address=coordinator,
    )


def several() -> bool:
    """Whether other processes take part in this one's trainings."""
    return jax.process_count() > 1


def first() -> bool:
    """Whether this process is the one that writes files."""
    return jax.process_index() == 0


def mesh_of(devices: Sequence[jax.Device], batch_size: int) -> Mesh:
    """Those of the devices that share out a batch: as many as divide it, the same number of each host.

    Raises UserError where the hosts do not divide it.
    """
    of_hosts = [
        [device for device in devices if device.process_index == host]
        for host in sorted({device.process_index for device in devices})
    ]
    hosts = len(of_hosts)
    most = min(images_per_host(batch_size, hosts), *map(len, of_hosts))
    count = next(count for count in range(most, 0, -1) if batch_size % (count * hosts) == 0)
    # A host's are neighbours, so that its part of a batch is in one piece.
    return Mesh(np.array([device for own in of_hosts for device in own[:count]]), ("images",))


def placed(tree: Any, sharding: Sharding) -> Any:
    """Arrays that every host has, as arrays over the devices of all. Each host sends its own devices their part."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(partial(_placed, sharding=sharding), tree)


def _placed(leaf: Any, sharding: Sharding) -> jax.Array:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_placed(jax.random.key_data(leaf), sharding), impl=jax.random.key_impl(leaf))
    # `device_put` would have all hosts compare what they have, each time.
    values = np.asarray(leaf)
    return jax.make_array_from_callback(values.shape, sharding, values.__getitem__)


def here(tree: Any) -> Any:
    """Arrays that every device has whole, as arrays on one of this process, which may do with them what it likes."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def least(value: int | None) -> int | None:
    """The least that any host has, up to rounding, or None where one does not know. To be called by all."""
    if not several():
        return value
    smallest = float(_gathered(-1.0 if value is None else float(value)).min())
    return None if smallest < 0 else int(smallest)


def any_of_them(said: bool) -> bool:
    """Whether any host said so. To be called by all."""
    return bool(_gathered(float(said)).any()) if several() else said


def of_the_first(numbers: Sequence[int], most: int) -> list[int]:
    """Numbers, from 0 up, that the first host has, so many at most. To be called by all."""
    from jax.experimental.multihost_utils import broadcast_one_to_all

    if not several():
        return list(numbers)
    padded = np.array([*numbers, *[-1] * most][:most], np.int32)
    return [int(number) for number in broadcast_one_to_all(padded) if number >= 0]


def _gathered(value: float) -> np.ndarray:
    """What each host has."""
    from jax.experimental.multihost_utils import process_allgather

    # JAX's integers have 32 bits.
    return np.asarray(process_allgather(np.float32(value)))
