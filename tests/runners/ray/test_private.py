"""Each thing that is used of Ray though Ray does not promise to keep it."""

import os
import subprocess
import sys

import pytest
import ray
from ray import _raylet
from ray._private import ray_constants, services, utils
from ray._private.node import Node
from ray.exceptions import ActorDiedError, RayTaskError
from ray.tune.execution.class_cache import _ActorClassCache
from ray.tune.experiment import Trial

from scaling_search.errors import UserError
from scaling_search.runners.ray import private
from tests.runners.observing import alive, wait_until

NODE = "12" * 28


def test_told_that_there_is_no_cluster_ray_takes_loopback_for_its_address():
    with private.replaced(ray_constants, "ENABLE_RAY_CLUSTER", False):
        assert services.resolve_ip_for_localhost("127.0.0.1") == "127.0.0.1"
    assert ray_constants.ENABLE_RAY_CLUSTER is True or "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" in os.environ


def test_ray_init_still_takes_an_address_and_a_folder(monkeypatch, tmp_path):
    """Options that ray.init does not know raise; with port 1 of an address, so does all that follows."""
    with pytest.raises(Exception, match="not_an_option"):
        ray.init("local", _node_ip_address="127.0.0.1", _temp_dir=str(tmp_path), not_an_option=True)


def test_without_the_constant_nothing_is_started(monkeypatch, tmp_path):
    def start(*arguments, **options):
        raise AssertionError("a port is open")

    monkeypatch.delattr(ray_constants, "ENABLE_RAY_CLUSTER")
    monkeypatch.setattr(ray, "init", start)
    with pytest.raises(UserError, match=r"it has no ray\._private\.ray_constants\.ENABLE_RAY_CLUSTER"):
        private.init_on_loopback(tmp_path)


def test_where_the_constant_has_no_effect_ray_is_ended(monkeypatch, tmp_path):
    ended = []
    monkeypatch.setattr(ray, "init", lambda *arguments, **options: None)
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeManagerAddress": "192.0.2.1"}])
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    with pytest.raises(UserError, match=r"it listens on 192\.0\.2\.1"):
        private.init_on_loopback(tmp_path)
    assert ended


def test_servers_without_work_are_not_started(monkeypatch, tmp_path):
    names = ("start_log_monitor", "start_monitor", "start_api_server")
    usual, calls = [getattr(Node, name) for name in names], []
    # The servers are methods of a node, which these calls have none of.
    monkeypatch.setattr(ray, "init", lambda *_, **__: calls.extend(getattr(Node, name)(None) for name in names))
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeManagerAddress": "127.0.0.1"}])
    private.init_on_loopback(tmp_path)
    assert calls == [None] * 3 and [getattr(Node, name) for name in names] == usual


@pytest.mark.parametrize(
    ("component", "names"),
    [
        (
            ray_constants.PROCESS_TYPE_DASHBOARD_AGENT,
            ("METRICS_AGENT_PORT_NAME", "METRICS_EXPORT_PORT_NAME", "DASHBOARD_AGENT_LISTEN_PORT_NAME"),
        ),
        (ray_constants.PROCESS_TYPE_RUNTIME_ENV_AGENT, ("RUNTIME_ENV_AGENT_PORT_NAME",)),
    ],
)
def test_what_stands_in_for_an_agent_says_that_its_ports_are_not_in_use_and_ends_with_ray_s_server(
    tmp_path, component, names
):
    command = [
        *private.agent_command(component, "a folder"),
        "agent.py",
        f"--node-id={NODE}",
        f"--session-dir={tmp_path}",
    ]
    # The server is a process that ends once the ports are there.
    files = [tmp_path / _raylet.get_port_filename(NODE, getattr(_raylet, name)) for name in names]
    server = f"""
import pathlib, subprocess, time
print(subprocess.Popen({command!r}).pid, flush=True)
while not all(pathlib.Path(file).exists() for file in {[*map(str, files)]!r}):
    time.sleep(0.01)
"""
    began = subprocess.run([sys.executable, "-c", server], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    # Its stdout is that of the server, which is read until both have closed it.
    agent = int(began.stdout)
    assert [file.read_text() for file in files] == ["-1"] * len(names)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    wait_until(lambda: not alive({agent}), seconds=10)
    assert not alive({agent})


def test_an_agent_that_is_not_known_is_refused():
    with pytest.raises(UserError, match="its log_agent is not known here"):
        private.agent_command("log_agent")


def test_ray_s_agents_are_replaced_while_it_starts(monkeypatch, tmp_path):
    agents = ("dashboard_agent", "runtime_env_agent")
    usual, found = services._build_python_executable_command_memory_profileable, []

    def start(*_, **__):
        found.extend(services._build_python_executable_command_memory_profileable(agent, "") for agent in agents)

    monkeypatch.setattr(ray, "init", start)
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeManagerAddress": "127.0.0.1"}])
    private.init_on_loopback(tmp_path)
    assert found == [private.agent_command(agent) for agent in agents]
    assert usual is services._build_python_executable_command_memory_profileable


def test_what_a_dashboard_needs_is_not_loaded_while_ray_starts(monkeypatch, tmp_path):
    usual, asked = utils.get_dashboard_dependency_error, []
    monkeypatch.setattr(ray, "init", lambda *_, **__: asked.append(utils.get_dashboard_dependency_error))
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeManagerAddress": "127.0.0.1"}])
    private.init_on_loopback(tmp_path)
    assert asked[0] is not usual and asked[0]() is None
    assert usual is utils.get_dashboard_dependency_error


def test_an_actor_that_could_not_be_created_is_told_from_one_that_died():
    error = RayTaskError("Worker.__init__", "Traceback\nModuleNotFoundError: No module named 'theirs'", ValueError())
    assert private.creation_error(str(ActorDiedError(error))) == "ModuleNotFoundError: No module named 'theirs'"
    assert private.creation_error(str(ActorDiedError())) is None


def test_a_trial_has_a_process_from_when_it_is_given_one(tmp_path):
    trial = Trial("a trainable", stub=True, storage=None)
    assert not private.has_process(trial)
    trial.temporary_state.ray_actor = object()
    assert private.has_process(trial)
    trial.set_ray_actor(None)
    assert not private.has_process(trial)


def test_a_trial_s_process_is_given_no_environment_of_its_own():
    class Trainable:
        pass

    def environment():
        return _ActorClassCache().get(Trainable)._default_options.get("runtime_env") or {}

    assert "env_vars" in environment()
    with private.inherited_environment():
        assert not environment()
    assert "env_vars" in environment()
