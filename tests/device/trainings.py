"""STEP 1's trainings of the default run, as many as come to their end in a given time.

`trainings.py HOW SECONDS SHARE OF EPOCHS [CORE]`: HOW is "single" (one seed after another) or "together" (a network's
seeds in one program); this process takes every OF-th network from the SHARE-th on. Where a CPU CORE is named, the
process keeps to it. Prints one JSON object.
"""

import json
import os
import sys
import time
from dataclasses import replace
from typing import Any


def main(how: str, seconds: float, share: int, of: int, epochs: int, *cores: int) -> None:
    began = time.perf_counter()
    if cores:
        os.sched_setaffinity(0, cores)
    import jax

    from scaling_search.config import RunConfig
    from scaling_search.data import load
    from scaling_search.family import load_family
    from scaling_search.search.grid import lay_out
    from scaling_search.training.fit import train_group
    from scaling_search.trial import Spec

    config = RunConfig()
    recipe = replace(config.recipe, epochs=epochs)
    data = load(config.data)
    networks = lay_out(load_family(config.family, config.family_options), config, data.num_classes).networks
    groups = []
    for network in networks[share::of]:
        specs = tuple(Spec(network, recipe, data.identity, config.split, seed) for seed in config.all_seeds)
        groups += [specs] if how == "together" else [(spec,) for spec in specs]
    started = time.perf_counter()
    outcomes = []
    for group in groups:
        if time.perf_counter() - started > seconds:
            break
        outcomes += train_group(group, data)
    wall = time.perf_counter() - started
    phases: dict[str, float] = {}
    for outcome in outcomes:
        for phase, spent in outcome.seconds.items():
            phases[phase] = phases.get(phase, 0.0) + spent
    found: dict[str, Any] = {
        "trainings": sum(outcome.status == "ok" for outcome in outcomes),
        "failed": [outcome.reason for outcome in outcomes if outcome.status != "ok"],
        "of": len(networks) * len(config.all_seeds),
        "seconds": wall,
        "phases": phases,
        "start": started - began,
        "device": jax.devices()[0].device_kind,
        "accuracies": [outcome.accuracy for outcome in outcomes],
        "images_per_second": [outcome.images_per_second for outcome in outcomes],
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), *map(int, sys.argv[3:]))
