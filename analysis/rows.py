"""What a run has written, records of trials and documents of its steps, as rows of its frames.

A value that is missing or of another kind than a run writes raises KeyError, TypeError or another error of Python's.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from scaling_search.analysis.columns import CURVES, GROWTH
from scaling_search.rule import CompoundRule


def _network_row(network: dict[str, Any]) -> dict[str, Any]:
    costs = {name: network[name] for name in ("input_resolution", "parameters", "multiply_adds", "activations")}
    scale = {name: network["scale"][name] for name in ("depth", "width", "resolution")}
    return {"network": network["family"], "fingerprint": network["fingerprint"], **scale, **costs}


def trial_row(record: dict[str, Any], fresh: bool) -> dict[str, Any]:
    """The row of TRIALS of a trial's record; `fresh` where its seed confirms a winner that others selected."""
    spec, outcome = record["spec"], record["outcome"]
    evaluate = "confirmation" if fresh else spec["evaluate"]
    accuracy = {evaluate: outcome["accuracy"] if outcome["status"] == "ok" else None}
    phases = ("build", "trace", "compile", "train", "evaluate")
    return {
        "key": record["key"],
        **_network_row(spec["network"]),
        "seed": spec["seed"],
        "epochs": spec["recipe"]["epochs"],
        "learning_rate": spec["recipe"]["learning_rate"],
        "evaluate": evaluate,
        "status": outcome["status"],
        "reason": outcome["reason"],
        "failed_step": outcome["failed_step"],
        "val_accuracy": accuracy.get("validation"),
        "test_accuracy": accuracy.get("test"),
        "fresh_accuracy": accuracy.get("confirmation"),
        "loss": outcome["loss"],
        **{f"seconds_{phase}": outcome["seconds"].get(phase) for phase in phases},
        "peak_memory": outcome["peak_memory"],
        "device": outcome["device"],
        # Records of older versions have none.
        "machine": outcome.get("machine"),
    }


def curve_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of CURVES of a trial's record."""
    return [
        {"key": record["key"]} | {name: epoch[name] for name in CURVES if name != "key"}
        for epoch in record["outcome"]["curve"]
    ]


def timing_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of TIMINGS of a trial's record."""
    seconds = record["outcome"]["seconds"].items()
    return [{"key": record["key"], "phase": phase, "seconds": value} for phase, value in seconds]


def point_rows(tree: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The rows of POINTS of the document `step1`."""
    baseline = _network_row(_baseline(tree))
    for point in tree["points"]:
        yield _point_row(point, tree)
    ones = dict.fromkeys(
        ("alpha", "beta", "gamma", "cost_factor", "layers", "channels", "pixels", "realised_cost"), 1.0
    )
    none = dict.fromkeys(("depth_share", "width_share", "resolution_share", "target_cost", "rejected"))
    yield {"phi": 0.0, **ones, **none, **baseline}


def rival_rows(tree: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The rows of RIVALS of the document `step1`."""
    # Runs of older versions have none.
    for point in tree.get("rivals", ()):
        yield {"rival": point["rival"]} | _point_row(point, tree)


def _point_row(point: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    network = tree["networks"][point["network"]]
    growth = _growth_row(point, network, _baseline(tree))
    row = _network_row(network)
    if growth["target_cost"] is None:
        # The point's own scale, not that of another which rounds to the same network.
        row |= asdict(CompoundRule(point["alpha"], point["beta"], point["gamma"]).at(tree["phi"]))
    own = {name: point[name] for name in ("alpha", "beta", "gamma", "cost_factor", "rejected")}
    return {"phi": tree["phi"], **own, **growth, **row}


def _baseline(tree: dict[str, Any]) -> dict[str, Any]:
    network: dict[str, Any] = tree["networks"][tree["baseline"]]
    return network


def _growth_row(row: dict[str, Any], network: dict[str, Any], baseline: dict[str, Any]) -> dict[str, Any]:
    """What a network has relative to the baseline; older versions recorded nothing of it."""
    growth = {name: row.get(name) for name in GROWTH}
    if growth["realised_cost"] is None:
        growth["realised_cost"] = network["multiply_adds"] / baseline["multiply_adds"]
    return growth


def model_rows(tree: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The rows of MODELS of the document `step2`."""
    none = dict.fromkeys(("alpha", "beta", "gamma"))
    (baseline, *_) = (tree["networks"][model["network"]] for model in tree["models"] if model["model"] == "B0")
    for model in tree["models"]:
        rule = tree["rule"] if model["coefficients"] == "found" else none
        own = {
            name: model[name]
            for name in ("model", "coefficients", "phi", "depth", "width", "resolution", "training_cost", "trained")
        }
        network = tree["networks"][model["network"]]
        growth = _growth_row(model, network, baseline)
        yield _network_row(network) | {name: rule[name] for name in none} | growth | own


def sweep_rows(tree: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The rows of SWEEP of the document `sweep`."""
    for row in tree["rows"]:
        yield {"scaling": row["scaling"]} | _network_row(row["network"])


def nas_rows(tree: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The rows of NAS of the document `nas`."""
    finalists = {row["network"] for row in tree["finalists"]}
    for row in tree["tried"]:
        network = tree["networks"][row["network"]]
        own = {name: row[name] for name in ("batch", "epochs", "cost", "accuracy", "reward")}
        own["finalist"] = row["network"] in finalists
        yield own | {"architecture": " ".join(network["options"]).removeprefix("architecture=")} | _network_row(network)
