"""`python -m tests.fuzz TARGET --inputs N --seed S`, or `all`; `python -m tests.fuzz TARGET --replay FILE`.

Exits with 1 where there are findings. Needs no network, no pytest and no Hypothesis; `--engine atheris`, which follows
coverage, is for one target at a time and needs `pip install -e '.[fuzz]'`.
"""

import argparse
import importlib.util
import os
import sys
import warnings
from pathlib import Path

from tests.fuzz.campaign import campaign
from tests.fuzz.targets import TARGETS, made


def main() -> None:
    """Parses the command line and carries it out."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=["all", *TARGETS])
    parser.add_argument("--inputs", type=int, default=100_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other inputs")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which it ends, whatever is left")
    parser.add_argument("--out", type=Path, help="a folder for what is found and a summary")
    parser.add_argument("--engine", choices=["own", "atheris"], default="own")
    parser.add_argument("--replay", type=Path, help="reads this file by the target, and nothing else")
    options = parser.parse_args()
    if options.replay:
        warnings.simplefilter("ignore")
        made(options.target)[0](options.replay.read_bytes())
        return
    if options.engine == "atheris":
        from tests.fuzz.by_coverage import fuzz

        fuzz(options.target, options.inputs, options.seed, options.out)
        return
    # An accelerator's driver takes more address space than a process may have here.
    os.environ["JAX_PLATFORMS"] = "cpu"
    names = [options.target] if options.target != "all" else [*TARGETS]
    for name in [name for name in names if not has(TARGETS[name].needs)]:
        print(f"{name} is left out, as it needs {TARGETS[name].needs}", file=sys.stderr)
        names.remove(name)
    shares = sum(TARGETS[name].share for name in names)
    targets = {name: max(1, round(options.inputs * TARGETS[name].share / shares)) for name in names}
    tallies = campaign(targets, options.seed, options.processes, options.seconds, options.out)
    for name, tally in tallies.items():
        each = f"{1e6 * tally.seconds / tally.inputs:.0f} us each" if tally.inputs else ""
        print(f"{name:14} {tally.inputs:>12,} inputs  {each:>14}  {len(tally.findings)} findings")
    found = sum(len(tally.findings) for tally in tallies.values())
    print(f"{'all':14} {sum(tally.inputs for tally in tallies.values()):>12,} inputs  {found} findings")
    sys.exit(found > 0)


def has(package: str) -> bool:
    """Whether a package is installed."""
    return not package or importlib.util.find_spec(package) is not None


if __name__ == "__main__":
    main()
