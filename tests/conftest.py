"""Settings that every test shares."""

import gc
import os
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import settings

from scaling_search.training.environment import training_environment

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
# Tests compile much and run little of it. Without optimisation, and with the plainer of two ways to emit fused
# operations where XLA still has it, programs take a fifth of the time to compile. Processes that tests start, Ray's
# workers too, get these flags and share what was compiled, however small.
FLAGS = [
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_parallel_codegen_split_count=1",
]
if metadata.version("jaxlib").startswith("0.10."):
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(ROOT / ".pytest_cache/d/xla")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# As in a process that trains: JAX reads these when it starts, in the first test that needs it.
os.environ.update(training_environment())
os.environ["XLA_FLAGS"] += f" {' '.join(FLAGS)}"

# Some hundred processes load the same modules: where no bytecode is kept, each of them compiles them for half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What JAX has traced stays, some millions of objects by and by. As often as Python looks through them for garbage by
# itself takes longer than the tests of many networks do.
gc.set_threshold(100_000, 10, 10)

# Machines that run tests are busy: a slow example is no failure. The same examples every time, so that CI is steady.
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("steady")


def pytest_collection_modifyitems(items):
    """Files with slow tests first: workers take a file each, so that none begins a long one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_runtest_teardown(item, nextitem):
    """What JAX has traced and compiled in a file goes with it: hardly any other needs it, and it is gigabytes."""
    if "jax" in sys.modules and (nextitem is None or nextitem.path != item.path):
        sys.modules["jax"].clear_caches()


@pytest.fixture(scope="session", autouse=True)
def _images_are_made_once():
    """The images that commands take by default take seconds to make, and most tests look at none of them."""
    from scaling_search.data import glyphs, sources

    @cache
    def made(*given, **named):
        arrays = make(*given, **named)
        for array in arrays:
            array.setflags(write=False)
        return arrays

    make = glyphs.make
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glyphs, "make", made)
        patch.setattr(sources, "_digits", cache(sources._digits))
        yield


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_flushed_or_looked_up_again():
    """Nobody cuts the power, and no package is installed, while tests run."""
    from scaling_search import family

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        patch.setattr(family, "registered_families", cache(family.registered_families))
        yield


@pytest.fixture(scope="module")
def drawn_at_once():
    """Pictures of runs are words in this file's tests, which look at none: drawing them takes longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scaling_search.experiments.outputs._drawn", lambda figure, format: f"a {format}".encode())
        yield


@pytest.fixture(scope="module")
def counted_once():
    """A network without a plan is counted by tracing it twice, which this file's tests ask for again and again."""
    from scaling_search import cost

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "measure", cache(cost.measure))
        yield


@pytest.fixture
def plain_family():
    """A user's own network: a plain CNN, from the examples."""
    from examples.plain_cnn import PlainCNNFamily

    return PlainCNNFamily()


@pytest.fixture
def memory_store():
    """What lies at memory://, in this process's memory: nothing, before a test and after it."""
    import fsspec

    store = fsspec.filesystem("memory").store
    store.clear()
    yield store
    store.clear()


@pytest.fixture
def pretended(monkeypatch):
    """No Ray and no training: `Pretended` stands in for both."""
    from tests.pretended import Pretended

    pretended = Pretended()
    monkeypatch.setattr("scaling_search.runners.ray.driver.run_on_ray", pretended.run)
    return pretended


@pytest.fixture(scope="module")
def trained_here():
    """No Ray: trainings are real, in this process, where how they are run is not the subject of a module's tests."""
    from scaling_search.runners.local import run_here

    def run(plan, train, data, *, finished, on_outcome, watchers=(), **where):
        return run_here(plan, train, data, finished=finished, on_outcome=on_outcome, watchers=watchers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scaling_search.runners.ray.driver.run_on_ray", run)
        yield
