"""Compares search strategies on equal terms, with peers of the same cost, and scores before training with training.

    python -m tests.benchmarks.nas                                    five strategies from five seeds, on digits
    python -m tests.benchmarks.nas --strategies random evolution -- --data idx:/usr/share/datasets/fashion-mnist
    python -m tests.benchmarks.nas --smoke                            one small search of each, to see that it works

What comes after -- is given to every training, a search's or a peer's: options of data, split and recipe.

Each search is a run of `scaling-search nas`, under runs/ of the folder given by --folder, with the same number of
networks to train. Stop it whenever you like: the same command goes on where it was. Figures also go into nas.json
there, and searches as a picture into nas_strategies.png.

A search's first choice is trained from two more seeds, and what it is worth is said by these alone: the training by
which it was chosen had luck. Peers are MobileNetV2 and EfficientNet-B0, at the resolution and depth of the space's
family and of the width that brings their multiply-adds nearest to the target; with their own stem, and in the frame of
the space: its stem, stride and activation.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from scaling_search.atomic import write_atomically
from scaling_search.config import NasConfig, StrategyName
from scaling_search.store import RunDirectory, open_run
from tests.cli.commands import in_this_process

STRATEGIES = ("random", "evolution", "policy", "tpe", "nsga2")
SEEDS = 3
"""Trainings of a search's first choice: the one by which it was chosen, and two more."""


def main() -> None:
    """Searches, and prints what is known after each seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.nas", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("nas-comparison"))
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES, choices=STRATEGIES)
    parser.add_argument("--seeds", type=int, default=5, help="searches of each strategy")
    parser.add_argument("--trials", type=int, default=48, help="networks that each search trains")
    parser.add_argument("--batch", type=int, default=NasConfig.batch, help="networks proposed at a time")
    parser.add_argument("--family-options", nargs="*", default=[], help="fields of the space's family, NAME=VALUE")
    parser.add_argument("--peer-seeds", type=int, default=5, help="trainings of each peer")
    parser.add_argument("--scored", type=int, default=48, help="networks whose scores before training are looked at")
    parser.add_argument("--smoke", action="store_true", help="the smallest of each, to see that it works")
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:cut])
    options.training = given[cut + 1 :]
    if options.smoke:
        options.seeds, options.trials, options.batch, options.peer_seeds, options.scored = 1, 3, 3, 2, 2
        options.training += ["--recipe.epochs", "1"]
    options.folder.mkdir(parents=True, exist_ok=True)
    done: dict[str, list[RunDirectory]] = {strategy: [] for strategy in options.strategies}
    found: dict[str, Any] = {}

    def keep(**more: Any) -> None:
        found.update(more, measured=time.strftime("%Y-%m-%d"))
        write_atomically(options.folder / "nas.json", (json.dumps(found, indent=1) + "\n").encode())

    # Seed by seed, so that strategies can be compared on those that are finished.
    for seed in range(options.seeds):
        for strategy in options.strategies:
            done[strategy].append(searched(options, strategy, seed))
        keep(strategies=compared(done))
        print_compared(found["strategies"])
        write_atomically(options.folder / "nas_strategies.png", picture(done))
    keep(peers=peers(options, done))
    for name, figures in found["peers"].items():
        mean, low, high = figures["mean"]
        print(
            f"  {name:<40} {figures['multiply_adds']:,} multiply-adds, {figures['parameters']:,} parameters, accuracy "
            f"{100 * figures['accuracy']:.1f} %, mean reward {mean:.4f} ({low:.4f} to {high:.4f})",
            flush=True,
        )
    keep(scores=scored(options.folder, done, options.scored))
    for name, figures in found["scores"].items():
        low, high = figures["interval"]
        print(f"  {name:<20}  Spearman {figures['spearman']:+.2f} ({low:+.2f} to {high:+.2f}), {figures['networks']}")


def searched(options: argparse.Namespace, strategy: StrategyName, seed: int) -> RunDirectory:
    """One search, gone on with where it was begun before. Trials of other strategies from the same seed are reused."""
    name = f"{strategy}-{seed}"
    others = [
        f"runs/{other}-{seed}"
        for other in STRATEGIES
        if other != strategy and (options.folder / "runs" / f"{other}-{seed}" / "manifest.json").exists()
    ]
    words = [
        *("nas", "--strategy", strategy, "--seed", str(seed), "--name", name, "--seeds", str(SEEDS)),
        *("--trials", str(options.trials), "--batch", str(options.batch), "--finalists", "1"),
        *(("--family-options", *options.family_options) if options.family_options else ()),
        *(("--reuse", *others) if others else ()),
    ]
    return _run(options, name, words)


def _run(options: argparse.Namespace, name: str, words: Sequence[str]) -> RunDirectory:
    print(f"{name} ...", file=sys.stderr, flush=True)
    done = in_this_process(options.folder, *words, *options.training, "--format", "csv")
    if done.returncode:
        sys.exit(done.stderr)
    return open_run(options.folder / "runs" / name)


def rewards_in_turn(run: RunDirectory) -> list[float]:
    """The rewards of different networks, by one seed, in the order in which a search tried them; failed ones have 0."""
    firsts: dict[str, float] = {}
    for row in _document(run)["tried"]:
        firsts.setdefault(row["network"], row["reward"] or 0.0)
    return list(firsts.values())


def compared(done: dict[str, list[RunDirectory]]) -> dict[str, Any]:
    """Of each strategy: what its searches' first choices are worth, and how much more than random search's.

    Means are at 95 %; differences are between searches from the same seed.
    """
    first = {name: [_document(run)["finalists"][0] for run in runs] for name, runs in done.items()}
    results = {name: [row["reward"] for row in rows] for name, rows in first.items()}
    table = {}
    for name, rewards in results.items():
        table[name] = {
            "rewards": rewards,
            "mean": _interval(rewards),
            "accuracy": float(np.mean([row["accuracy"] for row in first[name]])),
            "multiply_adds": [row["cost"] for row in first[name]],
            "chosen_by": [max(rewards_in_turn(run)) for run in done[name]],
        }
        if "random" in results and name != "random":
            table[name]["better_than_random"] = _interval(np.subtract(rewards, results["random"]))
    return table


def _interval(values: Sequence[float]) -> list[float]:
    """Mean, and the bounds of Student's t at 95 %; NaN for one value alone."""
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95) if len(values) > 1 else (np.nan, np.nan)
    return [float(np.mean(values)), float(low), float(high)]


def print_compared(table: dict[str, Any]) -> None:
    """A line a strategy."""
    for name, row in table.items():
        line = "  {:<10} {} searches, mean reward {:.4f} ({:.4f} to {:.4f})".format(
            name, len(row["rewards"]), *row["mean"]
        )
        if "better_than_random" in row:
            line += ", random {:+.4f} ({:+.4f} to {:+.4f})".format(*row["better_than_random"])
        print(line, flush=True)


def picture(done: dict[str, list[RunDirectory]]) -> bytes:
    """Reward over networks trained, as PNG."""
    from scaling_search.analysis.figures import render, search_progress

    rows = [
        {"strategy": name, "seed": seed, "networks": networks, "reward": reward}
        for name, runs in done.items()
        for seed, run in enumerate(runs)
        for networks, reward in enumerate(rewards_in_turn(run), 1)
    ]
    return render(search_progress(pd.DataFrame(rows)), "png")


def peers(options: argparse.Namespace, done: dict[str, list[RunDirectory]]) -> dict[str, Any]:
    """What is known before any search, shrunk to the target of the searches: cost, accuracy, and reward at 95 %."""
    from scaling_search.cost import cost_of_scale
    from scaling_search.family import load_family
    from scaling_search.networks.mnasnet import EFFICIENTNET_B0, MOBILENET_V2
    from scaling_search.rule import Scale
    from scaling_search.search.nas.result import Objective
    from scaling_search.search.nas.space import load_space

    document = _document(next(iter(done.values()))[0])
    nas: Any = next(iter(done.values()))[0].config()
    objective = Objective(document["target"], nas.weight)
    space = load_space(nas.space)
    frame: Any = load_family(space.family, nas.family_options)
    num_classes = next(iter(document["networks"].values()))["num_classes"]
    small = (f"resolution={frame.resolution}", f"dropout={frame.dropout}")
    mobile, b0 = (f"architecture={one}" for one in (MOBILENET_V2, EFFICIENTNET_B0))
    known = {
        "mobilenet_v2": ("mobilenet_v2", small, frame.depth),
        "efficientnet_b0": ("efficientnet_b0", (*small, f"drop_connect={frame.drop_connect}"), frame.depth),
        "mobilenet_v2-in-the-frame": (space.family, (mobile, *nas.family_options), 1.0),
        "efficientnet_b0-in-the-frame": (space.family, (b0, *nas.family_options), 1.0),
    }
    table = {}
    for name, (family_name, fields, depth) in list(known.items())[: 1 if options.smoke else None]:
        family = load_family(family_name, fields)
        scales = [Scale(depth, width / 100) for width in range(5, 401)]
        costs = [cost_of_scale(family, scale, num_classes, frame.resolution)[0] for scale in scales]
        best = min(range(len(scales)), key=lambda index: abs(costs[index].multiply_adds - objective.target))
        scale, cost = scales[best], costs[best]
        words = [
            *("train", "--family", family_name, "--family-options", *fields, "--name", f"peer-{name}"),
            *("--depth", str(scale.depth), "--width", str(scale.width), "--seeds", str(options.peer_seeds)),
        ]
        run = _run(options, f"peer-{name}", words)
        accuracies = [record["outcome"]["accuracy"] for record in run.records()]
        table[name] = {
            "width": scale.width,
            "multiply_adds": cost.multiply_adds,
            "parameters": cost.parameters,
            "accuracy": float(np.mean(accuracies)),
            "mean": _interval([objective.reward(accuracy, cost.multiply_adds) for accuracy in accuracies]),
        }
    return table


def scored(folder: Path, done: dict[str, list[RunDirectory]], count: int) -> dict[str, Any]:
    """Rank correlation of each score before training with the accuracy of one seed, over networks drawn at random.

    Intervals are at 95 % (Bonett and Wright, 2000). Scores are kept in scores.json, network by network, and made with
    the values and images of the search that tried the network first.
    """
    from scaling_search.data import load

    # Those of a strategy's first proposals which are random are so of every strategy; random's are all.
    runs = done.get("random", next(iter(done.values())))
    chosen: dict[str, tuple[RunDirectory, float]] = {}
    networks: dict[str, Any] = {}
    for run in runs:
        document = _document(run)
        networks |= document["networks"]
        for row in document["tried"]:
            if row["accuracy"] is not None:
                chosen.setdefault(row["network"], (run, row["accuracy"]))
    chosen = dict(list(chosen.items())[:count])
    file = folder / "scores.json"
    known: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.is_file() else {}
    judge = partial(_scores, images=load(runs[0].config().data))
    for name, (run, _) in chosen.items():
        if name not in known:
            known[name] = judge(networks[name], run)
            write_atomically(file, json.dumps(known).encode())
    accuracies = [accuracy for _, accuracy in chosen.values()]
    judges = {score: [known[name][score] for name in chosen] for score in next(iter(known.values()))}
    judges |= {cost: [networks[name][cost] for name in chosen] for cost in ("multiply_adds", "parameters")}
    return {score: _correlation(values, accuracies) for score, values in judges.items()}


def _scores(network: dict[str, Any], run: RunDirectory, images: Any) -> dict[str, float]:
    import jax.numpy as jnp
    from flax import nnx

    from scaling_search.data import prepare
    from scaling_search.family import load_family
    from scaling_search.search.nas.zero_cost import SCORES
    from scaling_search.trial import network_from_dict

    one, config = network_from_dict(network), run.config()
    prepared = prepare(images, config.split, one.input_resolution, "validation")
    # Images lie class by class where a folder of them was read.
    batch = np.random.default_rng(config.seed).choice(len(prepared.train_images), 32, replace=False)
    normal = (prepared.train_images[batch].astype(np.float32) - prepared.mean) / prepared.std
    built = load_family(one.family, one.options).build(one.scale, one.num_classes, rngs=nnx.Rngs(config.seed))
    labels = jnp.asarray(prepared.train_labels[batch])
    return {score: judge(built, jnp.asarray(normal), labels) for score, judge in SCORES.items()}


def _correlation(values: Sequence[float], accuracies: Sequence[float]) -> dict[str, Any]:
    rank = float(stats.spearmanr(values, accuracies).statistic)
    half = 1.96 * np.sqrt((1 + rank**2 / 2) / max(1, len(values) - 3))
    bounds = np.tanh([np.arctanh(np.clip(rank, -0.999, 0.999)) + side * half for side in (-1, 1)])
    return {"spearman": rank, "interval": bounds.tolist(), "networks": len(values)}


def _document(run: RunDirectory) -> dict[str, Any]:
    document = run.document("nas")
    assert document is not None
    return document


if __name__ == "__main__":
    main()
