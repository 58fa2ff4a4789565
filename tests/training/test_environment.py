import os
import subprocess
import sys

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
    for early in (False, True):
        for given in (None, "cuda,cpu"):
            environment = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
            environment |= {"JAX_PLATFORMS": given} if given else {}
            environment.pop("SCALING_SEARCH_JAX_PLATFORMS", None)
            code = CODE.format(early=early)
            ran = subprocess.run(
                [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
            )
            assert ran.stdout.split() == ["cpu", "cpu", repr(given or "")]
