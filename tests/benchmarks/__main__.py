"""Measures each side of each ratio in one run and prints them: see docs/speed.md and docs/reliability.md.

    pip install -e '.[peer]'
    python -m tests.benchmarks                 step, search, programs and run; half an hour on two cores
    python -m tests.benchmarks step search     some of these, or of driver and records
    python -m tests.benchmarks driver --trials 10 100 1000 --trainable-seconds 0 0.1 1 --slots 8
    python -m tests.benchmarks records --records 10000
    python -m tests.benchmarks --smoke step    one short reading of each side, to see that it works

Figures also go into speed.json in the current folder.
"""

import argparse
import importlib.util
import json
import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scaling_search.atomic import write_atomically
from tests.benchmarks import driver, large, programs, search, steps

USUAL = ("step", "search", "programs", "run")
PARTS = (*USUAL, "driver", "records")
SMALLEST, SMALLEST_OF_PEERS = steps.Setting("efficientnet_tiny", 16, 4), steps.Setting("efficientnet_b0", 32, 4)
"""What --smoke trains."""


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; by default the first four"
    )
    parser.add_argument("--smoke", action="store_true", help="the smallest reading of each, to see that it works")
    parser.add_argument("--without-peer", action="store_true", help="of the training steps, only our own side")
    parser.add_argument("--setting", type=int, nargs="*", help="of the training steps, only these (0 to 8)")
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 100, 1000], help="of driver: trials in a run")
    parser.add_argument("--trainable-seconds", type=float, nargs="+", default=[0, 0.1, 1], help="of driver: a trial's")
    parser.add_argument("--slots", type=int, help="of driver: trials at a time, if not as many as there are cores")
    parser.add_argument("--sides", nargs="+", choices=driver.MEASURES, default=[*driver.MEASURES], help="of driver")
    parser.add_argument("--records", type=int, default=10_000, help="of records: how many, about")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    parts = options.parts or USUAL
    if not peer_is_there() and ("search" in parts or ("step" in parts and not options.without_peer)):
        parser.error("PyTorch and timm are not installed: pip install -e '.[peer]'")
    file, found = Path("speed.json"), {}
    if file.is_file():
        found = json.loads(file.read_text())
    found["measured"] = {"date": time.strftime("%Y-%m-%d"), "machine": machine()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in parts:
            for key, figures in MEASURES[part](folder, options):
                found[key] = figures
                write_atomically(file, (json.dumps(found, indent=1) + "\n").encode())


def _steps(folder: Path, options: argparse.Namespace) -> Any:
    chosen = options.setting or range(len(steps.SETTINGS))
    settings = [steps.SETTINGS[number] for number in chosen]
    sides = (*steps.OURS, *steps.PEERS)
    rounds, seconds, tries = 7, 3.0, 6
    if options.smoke:
        settings, sides = [SMALLEST if options.without_peer else SMALLEST_OF_PEERS], (steps.OURS[0], steps.PEERS[0])
        rounds, seconds, tries = 1, 0.1, 1
    if options.without_peer:
        sides = tuple(side for side in sides if side in steps.OURS)
    for setting in settings:
        figures = steps.compare(setting, str(folder / "xla"), rounds=rounds, seconds=seconds, sides=sides, tries=tries)
        print(f"\n{setting}: images a second, median (range) of {rounds}")
        for side, rate in figures["images_per_second"].items():
            low, high = figures["range"][side]
            print(
                f"  {side:<19}{rate:8.1f}  ({low:.1f}-{high:.1f})   {figures['peak_gib'][side]:.2f} GiB"
                f"   first step after {sum(figures['start'][side].values()):.1f} s"
                f"   others' load at most {figures['foreign_load'][side]:.2f} cores"
            )
        for side, ratio in figures["ratio"].items():
            print(f"  {side} / {figures['peer']}: {ratio:.2f}; memory {figures['memory_ratio'][side]:.2f}", flush=True)
        yield f"step: {setting}", figures


def _search(folder: Path, options: argparse.Namespace) -> Any:
    small = ["--grid.step", "0.2", "--recipe.epochs", "1"] if options.smoke else []
    figures = search.compare(folder, *small)
    seconds = figures["seconds"]
    print(f"\nSTEP 1, {figures['trainings']} trainings of half-width B0s, by scaling-search and by Ray Tune and timm")
    for name, ratio in figures["ratio"].items():
        print(f"  {name}: {seconds[name]:.1f} s / {seconds['peer']:.1f} s = {ratio:.2f}")
    print(figures["where"], flush=True)
    yield "search", figures


def _programs(folder: Path, options: argparse.Namespace) -> Any:
    rate = programs.costing(100 if options.smoke else 2000)
    print(f"\ncosting: {rate['networks_per_second']:,.0f} EfficientNets a second")
    yield "costing", rate
    bulk = programs.costing_in_bulk(1000 if options.smoke else 100_000)
    print(f"costing in bulk: {bulk['networks_per_second']:,.0f} EfficientNets a second")
    yield "costing_in_bulk", bulk
    counts = programs.counting(2 if options.smoke else 1000)
    print(
        f"counted from the plan, alone and in bulk, as traced: {counts['equal']} of {counts['scales']} random scales",
        flush=True,
    )
    yield "counting", counts
    smallest = {"setting": SMALLEST, "rounds": 1, "sides": ["ours"]}
    found = programs.compiling(folder, **(smallest if options.smoke else {}))
    print("\nbefore the first step of B0 at 224 px, batch 16, seconds")
    for name, seconds in found.items():
        print(f"  {name:<17}" + "  ".join(f"{phase} {value:5.2f}" for phase, value in seconds.items()), flush=True)
    yield "compiling", found


def _run(folder: Path, options: argparse.Namespace) -> Any:
    figures = programs.default_run(folder)
    print(f"\nscaling-search run --phi 1, cold: {figures['seconds']:.0f} s", flush=True)
    yield "run", figures


def _driver(folder: Path, options: argparse.Namespace) -> Any:
    sizes = [(count, seconds) for seconds in options.trainable_seconds for count in options.trials]
    for trials, seconds in [(3, 0.0)] if options.smoke else sizes:
        figures = driver.compare(folder, trials, seconds, options.slots, options.sides)
        print(f"\n{trials} trials of {seconds:g} s: seconds in all and a trial; of a core and MB, by process")
        for side, found in figures.items():
            used = "  ".join(
                f"{name} {one['cpu']:.2f} s {one['mb']:.0f} MB" for name, one in found["processes"].items()
            )
            print(f"  {side:<5}{found['seconds']:8.1f}{found['a_trial']:8.4f}   {used}", flush=True)
        yield f"driver: {trials} trials of {seconds:g} s", figures


def _records(folder: Path, options: argparse.Namespace) -> Any:
    figures = large.compare(folder, 30 if options.smoke else options.records)
    print(f"\na run of {figures['records']} records, seconds of a core")
    for part in ("apart", "together"):
        print(f"  {part}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures[part].items()))
    print(f"  check: {figures['check']['check']:.2f}", flush=True)
    yield "records", figures


MEASURES = {
    "driver": _driver,
    "records": _records,
    "step": _steps,
    "search": _search,
    "programs": _programs,
    "run": _run,
}


def peer_is_there() -> bool:
    """Whether PyTorch and timm are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "timm"))


def machine() -> str:
    """The processor, its cores, and the versions compared."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    model = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "a CPU")
    wide = "AVX-512" if "avx512f" in text else "AVX2" if "avx2" in text else "no AVX2"
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("jax", *(("torch", "timm") if peer_is_there() else ()), "ray")
    )
    return f"{model} with {wide}, {os.cpu_count()} cores; {packages}"


if __name__ == "__main__":
    main()
