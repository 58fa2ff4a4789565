import os
import subprocess
import sys

from scaling_search import native
from scaling_search.training.environment import training_environment, trim_cache

CODE = """
import os
from scaling_search.training.environment import keep_off_accelerators, training_environment
if {early}:
    import jax
keep_off_accelerators()
keep_off_accelerators()
import jax
print(jax.config.jax_platforms, os.environ["JAX_PLATFORMS"], repr(training_environment()["JAX_PLATFORMS"]))
"""


def test_a_driver_keeps_to_the_cpu_and_leaves_devices_to_those_that_train():
    for early, given in ((False, "cuda,cpu"), (True, None)):
        environment = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
        environment |= {"JAX_PLATFORMS": given} if given else {}
        environment.pop("SCALING_SEARCH_JAX_PLATFORMS", None)
        code = CODE.format(early=early)
        ran = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
        assert ran.stdout.split() == ["cpu", "cpu", repr(given or "")]


def test_compiled_programs_that_were_used_longest_ago_go_first(tmp_path):
    (tmp_path / "autotuned").mkdir()
    for age, name in enumerate(("new", "autotuned/middle", "old")):
        (tmp_path / name).write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (10**9 - age, 10**9))
    trim_cache(tmp_path, 300)
    assert (tmp_path / "old").exists()
    trim_cache(tmp_path, 250)
    assert not (tmp_path / "old").exists() and (tmp_path / "autotuned/middle").exists()
    trim_cache(tmp_path, 100)
    assert (tmp_path / "new").exists() and not (tmp_path / "autotuned/middle").exists()
    trim_cache(tmp_path / "missing", 0)


def test_memory_is_kept_for_the_next_step_where_native_kernels_compute_it(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    for library, keeps in ((object(), True), (None, False)):
        monkeypatch.setattr(native, "library", lambda library=library: library)
        settings = training_environment()["GLIBC_TUNABLES"].split(":")
        assert settings[0] == "glibc.malloc.hugetlb=1" and ("glibc.malloc.arena_max=1" in settings) == keeps
    monkeypatch.setenv("GLIBC_TUNABLES", "own")
    assert training_environment()["GLIBC_TUNABLES"] == "own"
