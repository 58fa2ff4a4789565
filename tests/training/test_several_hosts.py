"""One training on several hosts, which are processes with two made-up devices each."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scaling_search.errors import UserError
from scaling_search.training.fit import train_group
from scaling_search.training.hosts import any_of_them, least, mesh_of
from tests.training.test_epochs import losses, specs_and_build

HOST = """
import json, sys
from pathlib import Path
from scaling_search.training.hosts import any_of_them, join, least
join(sys.argv[1], 2, int(sys.argv[2]))
import jax
from scaling_search.training import fit, together
from scaling_search.training.checkpoints import Checkpoints
from scaling_search.training.kept import Keep
from tests.training.conftest import barred_images
from tests.training.test_epochs import CONFIG, losses, specs_and_build
first = sys.argv[2] == "0"
asked = [least(7 if first else 5), least(7 if first else None), any_of_them(first), any_of_them(False)]
data = barred_images()
specs, _ = specs_and_build(data)
keep = Keep(Path(sys.argv[3]), ("a", "b", "c"), CONFIG.recipe)
checkpoints = Checkpoints(Path(sys.argv[3]) / "checkpoints", every=0, least=0)
resident = list(fit.train_group(specs[:2], data, keep=keep, checkpoints=checkpoints))
together.devices.memory_limit = lambda device: 1
together.made_here = lambda *_, **__: {"feed": "streaming"}
streaming = list(fit.train_group(specs[:1], data))
taken_up = list(fit.train_group(specs[:1], data, checkpoints=checkpoints))
# The second one alone is told.
checkpoints = Checkpoints(Path(sys.argv[3]) / sys.argv[2])
checkpoints.folder.mkdir()
(checkpoints.stop if not first else checkpoints.go_on)()
stopped = list(fit.train_group(specs[:1], data, checkpoints=checkpoints))
print(json.dumps({
    "devices": jax.device_count(),
    "asked": asked,
    "resident": losses(resident).tolist(),
    "streaming": losses(streaming).tolist(),
    "accuracies": [outcome.accuracy for outcome in resident + streaming],
    "taken_up": losses(taken_up).tolist(),
    "note": taken_up[0].note,
    "stopped": [outcome.status for outcome in stopped],
}))
"""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """What two hosts with two devices each print, and the folder that they keep weights in."""
    root, folder = Path(__file__).parents[2], tmp_path_factory.mktemp("kept")
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    environment = os.environ | {"PYTHONPATH": str(root), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        coordinator = f"127.0.0.1:{server.getsockname()[1]}"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", HOST, coordinator, str(number), str(folder)],
            env=environment,
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    said = [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in running]
    return SimpleNamespace(said=said, folder=folder)


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["resident", "streaming"])
def test_two_hosts_have_the_curve_of_one_device(hosts, images, feed):
    alone = losses(list(train_group(specs_and_build(images)[0][:2], images)))
    for said in hosts.said:
        assert said["devices"] == 4
        np.testing.assert_allclose(said[feed], alone[: len(said[feed])], rtol=1e-4)


@pytest.mark.slow
def test_hosts_come_to_the_same_ends(hosts):
    one, other = hosts.said
    assert one == other
    assert one["stopped"] == ["stopped"]
    assert one["asked"] == [5, None, True, False]


@pytest.mark.slow
def test_one_host_writes_the_weights(hosts, images):
    kept = {f"{spec.key}.safetensors" for spec in specs_and_build(images)[0][:2]}
    assert {file.name for file in hosts.folder.glob("*.safetensors")} == kept


@pytest.mark.slow
def test_both_go_on_from_the_checkpoint_that_the_first_wrote(hosts):
    for said in hosts.said:
        assert "went on after 3 steps" in said["note"]
        np.testing.assert_allclose(said["taken_up"], said["streaming"], rtol=1e-4)


class Device:
    def __init__(self, host):
        self.process_index = host


def devices_of(*counts):
    return [Device(host) for host, count in enumerate(counts) for _ in range(count)]


def test_a_batch_is_shared_out_among_as_many_devices_as_divide_it():
    assert [mesh_of(devices_of(8), size).size for size in (32, 12, 7, 5, 100, 1)] == [8, 6, 7, 5, 5, 1]


def test_every_host_has_as_many_images_of_a_batch():
    for batch_size, count in ((16, 4), (12, 3), (10, 1), (2, 1)):
        mesh = mesh_of(devices_of(4, 4), batch_size)
        assert [device.process_index for device in mesh.devices] == [0] * count + [1] * count


def test_a_batch_that_hosts_cannot_share_out_is_refused():
    with pytest.raises(UserError, match=r"^3 hosts cannot share out a batch of 16 .*; try --recipe.batch-size 18$"):
        mesh_of(devices_of(4, 4, 4), 16)


def test_a_host_alone_asks_nobody():
    assert least(3) == 3 and least(None) is None
    assert any_of_them(True) and not any_of_them(False)
