"""A run on a grid of shares whose networks cost exactly twice the baseline, made up from a known optimum."""

from dataclasses import replace

import numpy as np
from made_up import BASELINE_COST, CONFIG, network_at, network_of, spec_of

from scaling_search.analysis import load_run
from scaling_search.config import to_dict
from scaling_search.rule import Grid, Scale
from scaling_search.search.rivals import RIVALS
from scaling_search.trial import Outcome, to_record

PEAK = (0.2, 0.35, 0.45)


def shares_of(rule):
    logs = np.log([rule.alpha, rule.beta**2, rule.gamma**2])
    return logs / logs.sum()


def network_of_rule(rule):
    name = "-".join(f"{100 * share:.0f}" for share in shares_of(rule))
    return replace(network_at(rule.at(1.0)), fingerprint=name, multiply_adds=2 * BASELINE_COST)


def point(rule):
    growth = {"layers": rule.alpha, "channels": rule.beta, "pixels": rule.gamma, "realised_cost": 2.0}
    names = ("depth_share", "width_share", "resolution_share")
    shares = dict(zip(names, map(float, shares_of(rule)), strict=True))
    network = {"network": network_of_rule(rule).fingerprint, "rejected": None}
    return {**to_dict(rule), "cost_factor": 2.0, **growth, **shares, "target_cost": 2.0, **network}


def document(divisions=3, rivals=RIVALS):
    baseline = network_at(Scale())
    rules = Grid(divisions=divisions).rules()
    networks = [network_of_rule(rule) for rule in (*rules, *rivals.values())]
    return {
        "phi": 1.0,
        "baseline": baseline.fingerprint,
        "networks": {network.fingerprint: to_dict(network) for network in [*networks, baseline]},
        "points": [point(rule) for rule in rules],
        "rivals": [{"rival": name, **point(rule)} for name, rule in rivals.items()],
    }


def write(directory, tree, *, curvature=0.4, peak=PEAK, noise=0.004, seeds=CONFIG.all_seeds):
    """Trains every network: its accuracy falls from 0.88 with the square of the distance of its shares from `peak`."""
    directory.write_document("step1", tree)
    at = {row["network"]: row for row in (*tree["points"], *tree["rivals"])}
    for name, network in tree["networks"].items():
        made = network_of(network)
        for seed in seeds:
            own = float(np.random.default_rng([seed, *name.encode()]).normal(0, noise))
            accuracy = 0.8
            if name in at:
                place = [at[name][f"{part}_share"] for part in ("depth", "width", "resolution")]
                accuracy = 0.88 - curvature * float(np.sum((np.array(place) - peak) ** 2))
            record = to_record(spec_of(made, seed), Outcome("ok", accuracy + own, 0.3, device="cpu"))
            directory.write_record(record)
    return load_run(directory.path)
