"""A driver as a process of its own, to be stopped or pointed at a cluster."""

from pathlib import Path

PYTHONPATH = str(Path(__file__).parents[3])
SCRIPT = """
import signal, sys
from tests.runners.fake_training import *
from tests.runners.fake_training import train as fake
from scaling_search.config import Workers
from scaling_search.runners.ray.cores import cores_available
from scaling_search.runners.ray.driver import run_on_ray

def plan():
    yield seeds_of("plain", 0)
    yield seeds_of(sys.argv[1], *range(8))

def record(spec, outcome):
    print(spec.network.family, outcome.status, flush=True)

def train(group, data):
    # Of this script, so that no worker can import it.
    yield from fake(group, data)

# Where tests run in the background, Ctrl-C is ignored, and so would it be here.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    address = (sys.argv[2:] or [None])[0]
    # One training at a time: a second process would show no more, and take long to start.
    workers = Workers(address=address, cpus_per_trial=1 if address else cores_available())
    run_on_ray(plan(), train, DATA, workers=workers, finished={}, on_outcome=record)
except KeyboardInterrupt:
    sys.exit("interrupted")
"""
