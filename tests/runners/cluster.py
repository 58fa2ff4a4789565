"""A Ray cluster of several nodes on this machine, on loopback, for tests of what runs on one.

Run as a script it takes commands on stdin and answers each in a line; `Nodes` starts it, in a process of its own, as
Ray ends a process that it is used in when its servers die.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "a-token-for-these-tests-alone-0123456789",
    # Else Ray takes, for 127.0.0.1, the address by which others reach this machine.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # So that a node that was killed is found dead within seconds.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    # Processes that nobody waits for take most of the time.
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}
"""Of the nodes, and of what connects to them."""
PYTHONPATH = str(Path(__file__).parents[2])


class Nodes:
    """The nodes of a cluster; the first one that is added is the head. Ends with the `with`."""

    def __enter__(self):
        # Ray's sockets lie some 80 characters below, and the path of a socket may have 107.
        self.folder = tempfile.mkdtemp(prefix="ss-nodes-", dir="/tmp")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.runners.cluster", self.folder],
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": PYTHONPATH, "RAY_USAGE_STATS_ENABLED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, name, **options):
        """Adds a node, with options of Ray's `Cluster.add_node`, and returns the address of the cluster."""
        return self._ask("add", name, options)

    def kill(self, name):
        """Kills a node, with all of its processes."""
        self._ask("kill", name, {})

    def _ask(self, *command):
        print(json.dumps(command), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


def main(folder):
    from ray._private.utils import get_ray_address_file
    from ray.cluster_utils import Cluster

    # Where it says which cluster is the machine's. Its folder is there if Ray was ever started without another.
    Path(get_ray_address_file(None)).parent.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(shutdown_at_exit=False)
    nodes = {}
    try:
        for line in sys.stdin:
            command, name, options = json.loads(line)
            if command == "add":
                nodes[name] = cluster.add_node(
                    node_name=name,
                    node_ip_address="127.0.0.1",
                    temp_dir=folder,
                    include_dashboard=False,
                    no_monitor=True,
                    include_log_monitor=False,
                    object_store_memory=80 * 2**20,
                    **options,
                )
            else:
                cluster.remove_node(nodes.pop(name), allow_graceful=False)
            print(json.dumps(cluster.address), flush=True)
    finally:
        for node in [*nodes.values()][::-1]:
            cluster.remove_node(node, allow_graceful=False)


if __name__ == "__main__":
    main(sys.argv[1])
