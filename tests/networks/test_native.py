import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_search import native
from scaling_search.native import calls

needs_library = pytest.mark.skipif(not native.available(), reason=native.status())


def in_a_process(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PATH": "", **environment}
    )
    return done.stdout.strip()


def test_the_variable_turns_the_kernels_off():
    code = "from scaling_search import native; print(native.available(), native.status())"
    root = str(Path(native.__file__).parents[2])
    off = in_a_process(code, SCALING_SEARCH_NATIVE="0", PYTHONPATH=root)
    assert off == "False native kernels: not in use: SCALING_SEARCH_NATIVE=0"


@pytest.fixture
def fresh_choice(monkeypatch):
    """Makes the choice anew inside a test, and forgets it afterwards."""
    monkeypatch.delenv("SCALING_SEARCH_NATIVE", raising=False)
    native._load.cache_clear()
    yield monkeypatch
    native._load.cache_clear()


def test_without_a_library_the_kernels_are_not_in_use(fresh_choice):
    fresh_choice.setattr(native, "_library", lambda: None)
    assert not native.available()
    assert "no C++ compiler" in native.status()


def test_a_file_that_is_no_library_is_no_crash(fresh_choice, tmp_path):
    broken = tmp_path / "_kernels.so"
    broken.write_bytes(b"no library")
    fresh_choice.setattr(native, "_library", lambda: broken)
    assert not native.available()
    assert "native kernels: not in use: " in native.status()
    assert "\n" not in native.status()


@needs_library
@pytest.mark.parametrize("version", [(0, 0), (99, 0)])
def test_a_library_for_another_ffi_is_not_used(fresh_choice, version):
    fresh_choice.setattr(native, "_ffi_version", lambda headers: version)
    assert not native.available()
    assert "install scaling-search again" in native.status()


@needs_library
def test_the_status_names_the_instructions():
    assert native.status().startswith("native kernels: in use, ")


def vector(n: int) -> jax.Array:
    return jnp.ones(n)


x = jnp.ones((2, 4, 4, 8))


@needs_library
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calls.depthwise(x, jnp.ones((3, 3, 1, 9)), 1, ((1, 1), (1, 1))), "kernel has shape (3, 3, 1, 9)"),
        (lambda: calls.dense(x, jnp.ones((3, 3, 9, 5)), 1, ((1, 1), (1, 1))), "kernel has shape (3, 3, 9, 5)"),
        (
            lambda: calls.dense_dx(jnp.ones((3, 3, 8, 5)), jnp.ones((2, 4, 4, 6)), x.shape, 1, ((1, 1), (1, 1))),
            "kernel has shape (3, 3, 8, 5), needs (3, 3, 8, 6)",
        ),
        (
            lambda: calls.dense_dkernel(x, jnp.ones((3, 4, 4, 5)), (3, 3, 8, 5), 1, ((1, 1), (1, 1))),
            "output has shape (3, 4, 4, 5), needs (2, 4, 4, 5)",
        ),
        (lambda: calls.batch_norm(x, vector(7), vector(8), 1e-3, "silu"), "scale has shape (7), needs (8)"),
        (
            lambda: calls.norm_depthwise(
                x, vector(8), vector(8), jnp.ones((3, 3, 1, 9)), 1e-3, "silu", 1, ((1, 1), (1, 1))
            ),
            "kernel has shape (3, 3, 1, 9)",
        ),
        (lambda: calls.batch_norm(jnp.ones((0, 8)), vector(8), vector(8), 1e-3, "silu"), "x has no elements"),
        (
            lambda: calls.squeeze_excite(x, jnp.ones((8, 2)), vector(3), jnp.ones((2, 8)), vector(8), "silu"),
            "squeeze_bias has shape (3), needs (2)",
        ),
        (
            lambda: calls.norm_squeeze_excite(
                *(x, vector(8), vector(8), jnp.ones((8, 2)), vector(2), jnp.ones((3, 8)), vector(8)),
                *(1e-3, "silu", "silu"),
            ),
            "excite has shape (3, 8), needs (2, 8)",
        ),
        (lambda: calls.split(vector(5), [(2,), (2,)]), "vector has shape (5), needs (4)"),
        (lambda: calls.moving_average([vector(3)], [vector(4)], 0.9), "value has shape (4), needs (3)"),
        (
            lambda: calls.kept(jnp.zeros(3, jnp.uint32), jnp.uint32(0), 0.5, (4,)),
            "dropout: needs a key of two words and a count",
        ),
        (
            lambda: calls.muon(vector(6), vector(6), vector(6), jnp.float32(1), [(1, 2, 3)], (1, 1, 1), 5, 0.0),
            "muon: vectors of different lengths, or matrices that do not fit them",
        ),
    ],
)
def test_a_wrong_shape_is_a_clear_error(call, message):
    with pytest.raises(Exception, match=message.replace("(", r"\(").replace(")", r"\)")):
        jax.block_until_ready(call())


@needs_library
def test_a_wrong_type_is_a_clear_error():
    with pytest.raises(Exception, match="F32"):
        jax.block_until_ready(calls.batch_norm(x, vector(8).astype(jnp.bfloat16), vector(8), 1e-3, "silu"))


@needs_library
def test_silu_is_accurate_everywhere_and_keeps_what_is_no_number():
    values = np.concatenate([np.linspace(-100, 100, 4001), [0.0, 1e-30, -1e-30, 3e38, -3e38, np.inf, np.nan]])
    values = values.astype(np.float32)
    given = calls.normalise(values[:, None], *map(jnp.asarray, np.float32([[1], [0], [0], [1]])), 0.0, "silu")
    exact = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = exact / (1 + np.exp(-exact))
    got = np.asarray(given)[:, 0]
    assert np.isnan(got[-1])
    assert got[-2] == np.inf
    np.testing.assert_allclose(got[:-2], exact[:-2], rtol=1e-6, atol=1e-35)


@needs_library
def test_programs_that_run_at_once_or_after_a_pause_compute_the_same():
    """Threads that share a loop are one program's at a time, and sleep where there is nothing to do."""
    rng = np.random.default_rng(0)
    x, dy = (jnp.asarray(rng.normal(size=(32, 12, 12, 24)), jnp.float32) for _ in range(2))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 1, 24)), jnp.float32)
    gradient = jax.jit(lambda *arrays: calls.depthwise_gradient(*arrays, 1, ((1, 1), (1, 1))))
    expected = [np.asarray(array) for array in gradient(x, kernel, dy)]

    def agree(pause: float) -> bool:
        for _ in range(50):
            found = gradient(x, kernel, dy)
            if not all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True)):
                return False
            time.sleep(pause)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(agree, (0.0, 0.0, 1e-4, 1e-3)))
