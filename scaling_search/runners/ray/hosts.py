"""A trial on several machines: a process on each trains, and one more has them train the same specs at the same time.

The latter is the one that Ray Tune knows. It has no JAX, so that it sees at once where one of the others dies, and ends
them all: what is left of them would wait for the one that is gone.
"""

import pickle
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import ray
from ray import ObjectRef
from ray.exceptions import RayActorError, RayTaskError
from ray.tune import PlacementGroupFactory, Trainable
from ray.util import get_current_placement_group, get_node_ip_address
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from scaling_search.data import ImageData
from scaling_search.errors import in_one_line
from scaling_search.runners.agenda import Group
from scaling_search.runners.ray.capacity import SLICE
from scaling_search.runners.ray.nodes import Origin, this_node
from scaling_search.runners.ray.worker import Worker, kept_apart, settled
from scaling_search.trial import Outcome, Spec

SETTLE_SECONDS = 60
"""How much later than the first host another may fail, of the same cause. A machine that is gone is missed by then."""
LAG_SECONDS = 600
"""How much later than the first host another may be done with a training."""
NUMBER_IN_SLICE = "ray.io/tpu-worker-id"
"""Ray's label of a machine in a TPU slice: its number there, which JAX wants it to have."""


def bundles(demand: Mapping[str, float], hosts: int, slice_name: str | None) -> PlacementGroupFactory:
    """What a trial takes of each of its machines, in the TPU slice of that name, if any; its own process takes none."""
    selected = {} if slice_name is None else {"bundle_label_selector": [{SLICE: slice_name}] * hosts}
    return PlacementGroupFactory([{}, *[dict(demand)] * hosts], strategy="STRICT_SPREAD", **selected)


class HostLostError(Exception):
    """A host of a trial has failed alone, or not ended when the others did."""


class Place(NamedTuple):
    """Where a host is."""

    number: int
    """In its TPU slice."""
    machine: str
    free_port: str
    """HOST:PORT."""


class Host:
    """The process of a trial on one of its machines."""

    def __init__(
        self, config: Mapping[str, Any], train: bytes, images: Sequence[ObjectRef[ImageData]], origin: Origin
    ) -> None:
        self._cores = kept_apart(config)
        self._train = train
        self._data = ray.get(images[0])
        self._machine = settled(origin)

    def place(self) -> Place:
        """Where it is."""
        address = get_node_ip_address()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.create_server((address, 0), family=family) as server:
            port = server.getsockname()[1]
        shown = f"[{address}]" if ":" in address else address
        number = this_node().get("Labels", {}).get(NUMBER_IN_SLICE, "0")
        return Place(int(number), self._machine, f"{shown}:{port}")

    def join(self, coordinator: str, hosts: int, number: int) -> None:
        """Lets JAX find the other hosts."""
        from scaling_search.training.hosts import join

        join(coordinator, hosts, number)

    def begin(self, group: Group) -> None:
        """Is to train these specs."""
        self._left = len(group)
        self._outcomes = pickle.loads(self._train)(group, self._data)

    def outcome(self) -> Outcome:
        """Trains the next one."""
        outcome: Outcome = next(self._outcomes)
        self._left -= 1
        if not self._left:
            # The network and its program take memory until then.
            self._outcomes.close()
        return outcome


class Hosts:
    """The processes of a trial, one in each bundle of the placement group that this process is in."""

    def __init__(self, count: int, demand: Mapping[str, float], *arguments: Any) -> None:
        """`demand` is what each has, `arguments` are those of `Host`. Raises what any of them raises."""
        group: Any = get_current_placement_group()
        host: Any = ray.remote(
            num_cpus=demand["CPU"], num_gpus=demand["GPU"], resources={"TPU": demand["TPU"]} if demand["TPU"] else {}
        )(Host)
        self._actors = [
            host.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, bundle)).remote(*arguments)
            for bundle in range(count)
        ]
        try:
            found = self._all("place")
            order = sorted(range(count), key=lambda one: found[one].number)
            self._actors = [self._actors[one] for one in order]
            places: list[Place] = [found[one] for one in order]
            self.machines = ", ".join(place.machine for place in places)
            self._answers(
                [actor.join.remote(places[0].free_port, count, number) for number, actor in enumerate(self._actors)]
            )
        except Exception:
            self.end()
            raise

    def train(self, specs: Sequence[Spec]) -> Iterator[Outcome]:
        """Has all of them train specs, and yields the first one's outcomes.

        Raises what the training did where all failed alike, RayActorError where one has died, and HostLostError where
        one failed alone. They cannot be used any more then.
        """
        self._all("begin", tuple(specs))
        for _ in specs:
            yield self._all("outcome")[0]

    def end(self) -> None:
        """Ends them."""
        for actor in self._actors:
            ray.kill(actor)

    def _all(self, name: str, *arguments: Any) -> list[Any]:
        return self._answers([getattr(actor, name).remote(*arguments) for actor in self._actors])

    def _answers(self, asked: Sequence[ObjectRef[Any]]) -> list[Any]:
        left = list(asked)
        while left:
            ready, left = ray.wait(left, timeout=LAG_SECONDS if len(left) < len(asked) else None)
            if not ready:
                raise HostLostError(f"a host of several was not done {LAG_SECONDS} seconds after another")
            try:
                ray.get(ready)
            except RayTaskError as error:
                raise self._cause(error, asked) from None
        answers: list[Any] = ray.get(list(asked))
        return answers

    def _cause(self, error: RayTaskError, asked: Sequence[ObjectRef[Any]]) -> Exception:
        """Why they failed, of which one has said `error`: it may be that another is gone."""
        failed, _ = ray.wait(list(asked), num_returns=len(asked), timeout=SETTLE_SECONDS)
        alike = len(failed) == len(asked)
        for one in failed:
            try:
                ray.get(one)
                alike = False
            except RayActorError as died:
                return died
            except RayTaskError:
                pass
        cause = error.cause if isinstance(error.cause, Exception) else error
        return cause if alike else HostLostError(f"a host of several failed alone: {in_one_line(cause)}")


class Conductor(Worker):
    """A `Worker` that has several hosts train."""

    def __init__(self, config: dict[str, Any], **options: Any) -> None:
        # They have the cores.
        Trainable.__init__(self, config, **options)

    def setup(  # type: ignore[override]
        self,
        config: dict[str, Any],
        train: bytes,
        images: Sequence[ObjectRef[ImageData]],
        origin: Origin,
        hosts: int,
        demand: Mapping[str, float],
    ) -> None:
        """Once a process. `images` is one reference to the data, `hosts` the number of machines, `demand` what the
        trial takes of each.
        """
        self._lost: Exception | None = None
        self._start = lambda: Hosts(hosts, demand, config, train, images, origin)
        self._hosts: Hosts | None = self._start()
        self._machine = self._hosts.machines
        self.reset_config(config)

    def step(self) -> dict[str, Any]:
        """Once a spec. Raises RayActorError and HostLostError where a host is lost, for Tune to end the trial."""
        result = super().step()
        if self._lost is not None:
            raise self._lost
        return result

    def cleanup(self) -> None:
        """Ends the hosts."""
        if self._hosts is not None:
            self._hosts.end()

    def _train_group(self, specs: Sequence[Spec]) -> Iterator[Outcome]:
        try:
            if self._hosts is None:
                self._hosts = self._start()
            yield from self._hosts.train(specs)
        except Exception as error:
            self.cleanup()
            self._hosts = None
            if isinstance(error, RayActorError | HostLostError):
                self._lost = error
            raise
