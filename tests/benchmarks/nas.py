"""Compares search strategies on equal terms, and scores before training with what training says.

    python -m tests.benchmarks.nas                                    five strategies from five seeds, on digits
    python -m tests.benchmarks.nas --data idx:/usr/share/datasets/fashion-mnist --strategies random evolution
    python -m tests.benchmarks.nas --smoke                            one small search of each, to see that it works

Each search is a run of `scaling-search nas`, under runs/ of the folder given by --folder, with the same number of
networks to train. Stop it whenever you like: the same command goes on where it was. Figures also go into nas.json
there.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from scaling_search.atomic import write_atomically
from scaling_search.config import StrategyName
from scaling_search.store import RunDirectory, open_run

PROGRAM = str(Path(sys.executable).with_name("scaling-search"))
STRATEGIES = ("random", "evolution", "policy", "tpe", "nsga2")


def main() -> None:
    """Searches, and prints what is known after each search."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.nas", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("nas-comparison"))
    parser.add_argument("--data", default="digits")
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES, choices=STRATEGIES)
    parser.add_argument("--seeds", type=int, default=5, help="searches of each strategy")
    parser.add_argument("--trials", type=int, default=48, help="networks that each search trains")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--scored", type=int, default=48, help="networks whose scores before training are looked at")
    parser.add_argument("--smoke", action="store_true", help="the smallest of each, to see that it works")
    options = parser.parse_args()
    if options.smoke:
        options.seeds, options.trials, options.epochs, options.scored = 1, 3, 1, 3
    options.folder.mkdir(parents=True, exist_ok=True)
    done: dict[str, list[RunDirectory]] = {strategy: [] for strategy in options.strategies}
    # Seed by seed, so that strategies can be compared on those that are finished.
    for seed in range(options.seeds):
        for strategy in options.strategies:
            done[strategy].append(searched(options, strategy, seed))
        found = {"strategies": compared(done), "measured": time.strftime("%Y-%m-%d")}
        write_atomically(options.folder / "nas.json", (json.dumps(found, indent=1) + "\n").encode())
        print_compared(found["strategies"])
    found["scores"] = scored(options.folder, done, options.data, options.scored)
    write_atomically(options.folder / "nas.json", (json.dumps(found, indent=1) + "\n").encode())
    for name, figures in found["scores"].items():
        print(f"  {name:<20}  Spearman {figures['spearman']:+.2f}  of {figures['networks']} networks")


def searched(options: argparse.Namespace, strategy: StrategyName, seed: int) -> RunDirectory:
    """One search, gone on with where it was begun before. Trials of other strategies from the same seed are reused."""
    name = f"{strategy}-{seed}"
    others = [
        f"runs/{other}-{seed}"
        for other in STRATEGIES
        if other != strategy and (options.folder / "runs" / f"{other}-{seed}" / "manifest.json").exists()
    ]
    command = [
        *(PROGRAM, "nas", "--strategy", strategy, "--seed", str(seed), "--name", name, "--data", options.data),
        *("--trials", str(options.trials), "--recipe.epochs", str(options.epochs), "--format", "csv"),
        *(("--reuse", *others) if others else ()),
    ]
    print(f"{name} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, cwd=options.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return open_run(options.folder / "runs" / name)


def best_so_far(run: RunDirectory) -> list[float]:
    """The best reward by one seed after 1, 2 ... different networks."""
    best, known, curve = 0.0, set(), []
    for row in _document(run)["tried"]:
        if row["network"] not in known:
            known.add(row["network"])
            best = max(best, row["reward"] or 0.0)
            curve.append(best)
    return curve


def compared(done: dict[str, list[RunDirectory]]) -> dict[str, Any]:
    """Of each strategy: the result's mean reward and its difference to random search's from the same seed, at 95 %."""
    results = {name: [_document(run)["finalists"][0]["reward"] for run in runs] for name, runs in done.items()}
    table = {}
    for name, rewards in results.items():
        curves = [best_so_far(run) for run in done[name]]
        length = min(map(len, curves))
        table[name] = {
            "rewards": rewards,
            "mean": float(np.mean(rewards)),
            "best_so_far": np.mean([curve[:length] for curve in curves], 0).tolist(),
        }
        if "random" in results and name != "random":
            table[name]["better_than_random"] = _interval(np.subtract(rewards, results["random"]))
    return table


def _interval(values: Sequence[float]) -> list[float]:
    """Mean, and the bounds of Student's t at 95 %; NaN for one value alone."""
    half = (
        stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    )
    return [float(np.mean(values)), float(np.mean(values) - half), float(np.mean(values) + half)]


def print_compared(table: dict[str, Any]) -> None:
    """A line a strategy."""
    for name, row in table.items():
        line = f"  {name:<10} {len(row['rewards'])} searches, mean reward {row['mean']:.4f}"
        if "better_than_random" in row:
            mean, low, high = row["better_than_random"]
            line += f", random {mean:+.4f} ({low:+.4f} to {high:+.4f})"
        print(line, flush=True)


def scored(folder: Path, done: dict[str, list[RunDirectory]], data: str, count: int) -> dict[str, Any]:
    """Rank correlation of each score before training with the accuracy of one seed, over networks drawn at random.

    Scores are kept in scores.json, network by network, and the first run's images and seed are what they are made with.
    """
    import jax.numpy as jnp
    from flax import nnx

    from scaling_search.data import load, prepare
    from scaling_search.family import load_family
    from scaling_search.search.nas.zero_cost import SCORES
    from scaling_search.trial import network_from_dict

    # Those of a strategy's first proposals which are random are so of every strategy; random's are all.
    run = done.get("random", next(iter(done.values())))[0]
    document, config = _document(run), run.config()
    rows = {row["network"]: row for row in document["tried"] if row["accuracy"] is not None}
    chosen = list(rows)[:count]
    file = folder / "scores.json"
    known: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.is_file() else {}
    images = load(data)
    for name in (name for name in chosen if name not in known):
        network = network_from_dict(document["networks"][name])
        prepared = prepare(images, config.split, network.input_resolution, "validation")
        batch = (prepared.train_images[:32].astype(np.float32) - prepared.mean) / prepared.std
        built = load_family(network.family, network.options).build(
            network.scale, network.num_classes, rngs=nnx.Rngs(config.seed)
        )
        labels = jnp.asarray(prepared.train_labels[:32])
        known[name] = {score: judge(built, jnp.asarray(batch), labels) for score, judge in SCORES.items()}
        write_atomically(file, json.dumps(known).encode())
    accuracies = [rows[name]["accuracy"] for name in chosen]
    judges = {score: [known[name][score] for name in chosen] for score in SCORES}
    judges["multiply_adds"] = [document["networks"][name]["multiply_adds"] for name in chosen]
    return {
        score: {"spearman": float(stats.spearmanr(values, accuracies).statistic), "networks": len(chosen)}
        for score, values in judges.items()
    }


def _document(run: RunDirectory) -> dict[str, Any]:
    document = run.document("nas")
    assert document is not None
    return document


if __name__ == "__main__":
    main()
