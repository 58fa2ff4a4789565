"""Kills the processes of a run at random, again and again, and says what was lost.

    python -m tests.faults.kills                  50 kills, over as many runs as that takes

Victims are the driver, a process that trains, and two of Ray's servers: the raylet and the control service. Where the
driver is killed, or Ray died twice, the same command is run again. In the end every record, table and file of weights
must be that of a run that nobody harmed, and no record may have been written twice.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.faults.harm import SERVERS, end, numbers_of, processes_of, start, to_the_end
from tests.runners.observing import alive, descendants, wait_until

VICTIMS = ("driver", "worker", *SERVERS)


def records(runs):
    """When each finished trial was recorded, less those that crashed, which are tried again."""
    found = {}
    for file in (Path(runs) / "small" / "trials").glob("*.json"):
        if json.loads(file.read_text())["outcome"]["status"] == "ok":
            found[file.name] = file.stat().st_mtime_ns
    return found


def harm(run, pause, chance, kinds, killed):
    """Kills processes of a run, of the kinds that are left, one after another. Says whether it ended well."""
    until = time.monotonic() + chance.uniform(0, pause)
    while run.poll() is None:
        time.sleep(0.1)
        if killed.total() == len(kinds) or time.monotonic() < until:
            continue
        kind = kinds[killed.total()]
        found = processes_of(run)
        # Where a server dies before anything is trained, Ray cannot be started, which ends the run in a line.
        if not {kind, "worker"} <= found.keys():
            continue
        processes = descendants(run.pid)
        with suppress(ProcessLookupError):
            os.kill(chance.choice(found[kind]), signal.SIGKILL)
            killed[kind] += 1
            print(f"{killed.total()}: {kind}", file=sys.stderr, flush=True)
        if kind == "driver":
            run.wait()
            wait_until(lambda processes=processes: not alive(processes), seconds=15)
            assert not alive(processes), "a run that was killed left processes"
        until = time.monotonic() + chance.uniform(0, pause)
    return run.returncode == 0


def one_run(runs, epochs, pause, chance, kinds, killed, cores=1):
    """Has one run end in spite of all kills. Returns how often it was begun and how often Ray's death ended it.

    Each training has so many cores.
    """
    begun, ended, before = 0, 0, {}
    while True:
        begun += 1
        run = start(runs, epochs, cores)
        try:
            well = harm(run, pause, chance, kinds, killed)
            said = run.stdout.read()
        finally:
            end(run)
        now = records(runs)
        assert before.items() <= now.items(), "a finished trial was lost or trained again"
        before = now
        if well and len(now) == 4:
            return begun, ended
        if run.returncode not in (0, -signal.SIGKILL):
            last = said.strip().splitlines()[-1]
            assert run.returncode == 1 and "run the same command again to go on" in last, said
            ended += 1


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=1500)
    parser.add_argument("--pause", type=float, default=20.0, help="seconds between two kills, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    chance, killed, begun, ended, runs = random.Random(options.seed), Counter(), 0, 0, 0
    kinds = chance.choices(VICTIMS, k=options.kills)
    with tempfile.TemporaryDirectory() as place:
        to_the_end(f"{place}/whole", options.epochs)
        expected = numbers_of(f"{place}/whole")
        while killed.total() < options.kills:
            runs += 1
            counts = one_run(f"{place}/{runs}", options.epochs, options.pause, chance, kinds, killed)
            begun, ended = begun + counts[0], ended + counts[1]
            assert numbers_of(f"{place}/{runs}") == expected, "the numbers are others than without kills"
            by_kind = ", ".join(f"{killed[kind]} {kind}" for kind in VICTIMS)
            print(
                f"{killed.total()} kills ({by_kind}) over {runs} runs of 4 trainings, begun {begun} times; Ray's death "
                f"ended {ended}; no record lost or written twice; records, tables and weights as without kills",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
