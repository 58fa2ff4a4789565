"""Everything that `run.sh` measures, each part in processes of its own and within its time; see `run.sh` for the usage.

A part that fails leaves its reason in the table and in device.json, and the others go on. Loads no JAX.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.device.processes import ROOT, EndedError, Process, TimeUpError

LIMITS = {"float32": 2e-3, "bfloat16": 3e-2}
"""Relative error that a device may have, in answers and in gradients."""
OF_CPU = 1.5
"""In bfloat16, how many times the CPU's own error in gradients a device's may be."""
HEURISTIC = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"
"""No kernel is chosen by timing: the fastest to compile, and the same choice every time."""
NETWORKS = ("efficientnet_b0", "resnet50")
PEERS = ("timm compiled", "timm eager")
FLOPS_PER_MULTIPLY_ADD = 6
SECONDS = 360
"""What all may take together; parts get more where more is given."""


class Session:
    """Where results go, and how much time is left."""

    def __init__(self, out: Path, began: float, seconds: float, cpu: bool, small: bool) -> None:
        self.out, self.until, self.cpu, self.small = out, began + seconds, cpu, small
        self.patience = max(1.0, seconds / SECONDS)
        self.scratch = Path(tempfile.mkdtemp(prefix="scaling-search-device-"))
        self.results: dict[str, Any] = {"problems": {}, "machine": _machine()}

    def environment(self, cache: str, **more: str) -> dict[str, str]:
        """Of a process that uses the device; programs compiled with one `cache` are found by others with it."""
        return {
            "JAX_COMPILATION_CACHE_DIR": str(self.scratch / "cache" / cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            # The device first, and the CPU as the reference.
            **({"JAX_PLATFORMS": "cpu"} if self.cpu else {}),
            **more,
        }

    def process(self, name: str, words: list[str], environment: dict[str, str]) -> Process:
        return Process(words, environment, self.scratch / f"{name.replace(' ', '_').replace('/', '_')}.log")

    def problem(self, where: str, error: Exception | str) -> None:
        self.results["problems"][where] = f"{type(error).__name__}: {error}" if isinstance(error, Exception) else error
        print(f"  {where}: {self.results['problems'][where]}", flush=True)

    def keep(self) -> None:
        """Writes what is known by now, and everything that processes wrote on stderr."""
        beside = self.out / "device.json.part"
        beside.write_text(json.dumps(self.results, indent=1) + "\n")
        beside.replace(self.out / "device.json")
        logs = sorted(self.scratch.glob("*.log"))
        text = "".join(f"==== {log.stem}\n{log.read_text(errors='replace')[-60_000:]}\n" for log in logs)
        (self.out / "stderr.txt").write_text(text)

    def left(self, wanted: float) -> float:
        """The time `wanted` seconds from now, more where there is more for all, or the end of all."""
        return min(self.until, time.time() + wanted * self.patience)


def _machine() -> dict[str, Any]:
    found: dict[str, Any] = {"python": sys.version.split()[0], "cores": len(os.sched_getaffinity(0))}
    for package in ("jax", "flax", "torch", "timm", "ray"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        found["gpus"] = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    return found


def start_agreement(session: Session) -> dict[str, Process]:
    networks = {"efficientnet_tiny": (16, 8)} if session.small else {}
    networks = networks or dict.fromkeys(("efficientnet_b0", "resnet50", "mobilenet_v2"), (64, 16))
    return {
        name: session.process(
            f"agreement {name}",
            ["-m", "tests.device.agreement", name, str(pixels), str(batch)],
            session.environment("agreement", XLA_FLAGS=HEURISTIC),
        )
        for name, (pixels, batch) in networks.items()
    }


def finish_agreement(session: Session, processes: dict[str, Process], wanted: float) -> None:
    until = session.left(wanted)
    rows = session.results["agreement"] = []
    print("\nagreement with the CPU: relative error of answers, of gradients, and of gradients block by block")
    for name, process in processes.items():
        try:
            for _ in range(4):
                answer = process.answer(until)
                limit = LIMITS[answer["precision"]]
                gradients = max(limit, OF_CPU * answer.get("cpu_gradients", 0))
                within = answer["answers"] <= limit and answer.get("blocks", answer["gradients"]) <= gradients
                rows.append({"network": name, **answer, "limits": [limit, gradients], "within": within})
                print(
                    f"  {name:<18}{answer['padding']:<10}  {answer['precision']:<9}{answer['answers']:10.1e}"
                    f"{answer['gradients']:10.1e}{answer.get('blocks', answer['gradients']):10.1e}   "
                    f"{'within' if within else 'BEYOND'} {limit:g} and {gradients:.1e}",
                    flush=True,
                )
        except Exception as error:
            session.problem(f"agreement {name}", error)
        process.end()
    session.keep()


def _start_side(session: Session, network: str, side: str) -> Process:
    pixels, batch = (16, 8) if session.small else (224, 256)
    return session.process(
        f"steps {network} {side}",
        ["-m", "tests.device.steps", side, network, str(pixels), str(batch)],
        session.environment(f"steps {network} {side}"),
    )


def start_steps(session: Session) -> dict[tuple[str, str], Process]:
    """Has every side compile."""
    # The peers first, as they have the longest way to go on one core.
    wanted = [(network, side) for side in ("timm compiled", "ours") for network in NETWORKS]
    if session.small:
        wanted = [("efficientnet_tiny", "ours")]
    return {key: _start_side(session, *key) for key in wanted}


def finish_steps(session: Session, processes: dict[tuple[str, str], Process], wanted: float) -> None:
    """Waits until all sides are ready, or the time is up, and has each make steps in turn, by network."""
    until = session.left(wanted)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    batch, seconds = (8, 0.3) if session.small else (256, 3.0)
    for key, process in processes.items():
        try:
            rows[key] = process.answer(until)
        except Exception as error:
            session.problem(f"steps {' '.join(key)}", error)
            process.end()
    for network, _ in [key for key in processes if key[1] == "timm compiled" and key not in rows]:
        with contextlib.suppress(TimeUpError, EndedError):
            processes[network, "timm eager"] = _start_side(session, network, "timm eager")
            rows[network, "timm eager"] = processes[network, "timm eager"].answer(session.left(30))
    for network in dict.fromkeys(network for network, _ in rows):
        for key in [key for key in rows if key[0] == network]:
            try:
                rows[key] |= _measured(processes[key], batch, session.left(60), seconds)
            except Exception as error:
                session.problem(f"steps {' '.join(key)}", error)
            # One side's memory at a time.
            processes[key].end()
        _show_steps(network, {side: row for (name, side), row in rows.items() if name == network})
        session.results["steps"] = [
            {"network": key[0], "side": key[1], "batch": batch, **row} for key, row in rows.items()
        ]
        session.keep()


def _measured(process: Process, batch: int, until: float, seconds: float) -> dict[str, Any]:
    process.tell("1")
    first = process.answer(until)
    process.tell("3")
    once = process.answer(until)["seconds"] / 3
    readings = []
    for _ in range(3):
        count = max(1, round(seconds / 3 / once))
        process.tell(str(count))
        answer = process.answer(until)
        readings.append(batch * count / answer["seconds"])
    rate = statistics.median(readings)
    return {
        **answer,
        "first_step": first["seconds"],
        "images_per_second": rate,
        "range": [min(readings), max(readings)],
    }


def _show_steps(network: str, rows: dict[str, dict[str, Any]]) -> None:
    adds = next((row["multiply_adds"] for row in rows.values() if "multiply_adds" in row), None)
    peak = next((row["peak_flops"] for row in rows.values() if row.get("peak_flops")), None)
    peer = max((row.get("images_per_second", 0) for side, row in rows.items() if side in PEERS), default=0)
    print(f"\ntraining step of {network}\n  {'':<26}{'images/s':>10}{'of timm':>9}{'MFU':>8}{'GiB':>7}{'ready s':>9}")
    for side, row in rows.items():
        rate = row.get("images_per_second")
        if rate is None:
            continue
        row["of_peer"] = rate / peer if peer else None
        row["utilisation"] = FLOPS_PER_MULTIPLY_ADD * adds * rate / peak if adds and peak else None
        shown = [f"{rate:10.1f}", f"{row['of_peer']:9.2f}" if peer else f"{'-':>9}"]
        shown.append(f"{100 * row['utilisation']:7.1f}%" if row["utilisation"] else f"{'-':>8}")
        shown.append(f"{row['memory'] / 2**30:7.1f}" if row.get("memory") else f"{'-':>7}")
        print(f"  {side:<26}{''.join(shown)}{row['ready']:9.1f}", flush=True)


def start_going_on(session: Session) -> Process:
    # Sums in one order each time, so that what was stopped can end to the bit as what was not.
    flags = f"{HEURISTIC} --xla_gpu_deterministic_ops=true"
    environment = session.environment("going on", **({} if session.cpu else {"XLA_FLAGS": flags}))
    return session.process("going on", ["-m", "tests.device.going_on", "1" if session.small else "10"], environment)


def finish_going_on(session: Session, process: Process, wanted: float) -> None:
    try:
        found = session.results["going_on"] = process.answer(session.left(wanted))
        print(
            f"\nlosses of trainings at two rates together and alone: {found['alone']:.1e} apart; of trainings stopped "
            f"after {found['steps_done']} of {found['steps']} steps, then gone on with, and not stopped: "
            f"{found['gone_on']:.1e}",
            flush=True,
        )
    finally:
        process.end()


def trainings(session: Session, wanted: float) -> None:
    """STEP 1's trainings a minute, each way in turn, beside those of two cores of this machine's CPU."""
    window = 1.0 if session.small else 8.0
    cores = sorted(os.sched_getaffinity(0))
    many = len(cores) - 4
    ways = {
        "one seed at a time": ("single", 1),
        "seeds together": ("together", 1),
        "4 trials share the device": ("together", 4),
    }
    if many > 4:
        ways[f"{many} trials share the device"] = ("together", many)
    if session.cpu:
        ways = {"a trial per core": ("together", 1 if session.small else len(cores))}
    end, rows = session.left(wanted), []
    print(f"\nSTEP 1 of the default run, trainings a minute\n  {'':<28}{'with compiling':>15}{'training alone':>16}")

    def measured(name: str, started: list[Process], until: float) -> None:
        try:
            row = {"how": name, **_by_the_minute(_answers(started, until))}
        except Exception as error:
            session.problem(f"trainings, {name}", error)
            return
        rows.append(row)
        print(f"  {name:<28}{row['per_minute']:15.1f}{row['per_minute_training']:16.1f}", flush=True)
        session.results["trainings"] = rows
        session.keep()

    # The device leaves most cores alone, so that two of them train beside it, as long as all ways take.
    long = min(wanted, 5 * window)
    beside = [] if session.cpu else _start_trainings(session, "2 cores", "together", 2, long, cores[-2:])
    for name, (how, count) in ways.items():
        started = _start_trainings(session, name, how, count, window, cores if session.cpu else None)
        measured(name, started, min(end, session.left(3 * window + 25)))
    if beside:
        measured("2 cores of the CPU beside it", beside, end)


def _start_trainings(
    session: Session, name: str, how: str, count: int, window: float, cores: Sequence[int] | None
) -> list[Process]:
    """Processes that train for `window` seconds each, on the device or each on one of the CPU's cores."""
    flags = {} if session.small else {"XLA_FLAGS": "" if cores else HEURISTIC}
    environment = session.environment(f"trainings {name}", **flags)
    if cores:
        environment |= {"JAX_PLATFORMS": "cpu"}
    elif count > 1:
        environment |= {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / count:.3f}", "XLA_PYTHON_CLIENT_PREALLOCATE": "true"}
    epochs = 1 if session.small else 10
    words = ["-m", "tests.device.trainings", how, str(window)]
    started = []
    for share in range(count):
        core = [str(cores[share])] if cores else []
        part = [*words, str(share), str(count), str(epochs), *core]
        started.append(session.process(f"trainings {name} {share}", part, environment))
    return started


def _answers(processes: list[Process], until: float) -> list[dict[str, Any]]:
    try:
        return [process.answer(until) for process in processes]
    finally:
        for process in processes:
            process.end()


def _by_the_minute(found: list[dict[str, Any]]) -> dict[str, Any]:
    spent = [one["phases"].get("train", 0) + one["phases"].get("evaluate", 0) for one in found]
    done = [one["trainings"] for one in found]
    return {
        "per_minute": sum(60 * number / one["seconds"] for number, one in zip(done, found, strict=True)),
        "per_minute_training": sum(
            60 * number / seconds for number, seconds in zip(done, spent, strict=True) if seconds
        ),
        "processes": found,
    }


def start_run(session: Session) -> subprocess.Popen[str]:
    """`scaling-search run --phi 1 --quick` through Ray, four trials to a device."""
    options = ["--gpus-per-trial", "0" if session.cpu else "0.25", "--runs", str(session.scratch / "runs"), "--timings"]
    if session.small:
        options += ["--recipe.epochs", "1", "--training-budget", "1e8"]
    code = "from scaling_search.cli import main; main()"
    environment = session.environment("run") | {"XLA_FLAGS": "", "PYTHONWARNINGS": "ignore"}
    # Each trial takes its share of the memory at its start, and leaves the most to what else is compiled meanwhile.
    environment |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "true", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.05"}
    with open(session.scratch / "run.log", "wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-c", code, "run", "--phi", "1", "--quick", *options],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def finish_run(session: Session, process: subprocess.Popen[str], began: float, wanted: float) -> None:
    """Waits for the run to end, and has it end in order where its time is up."""
    log = session.scratch / "run.log"
    try:
        until = min(session.until, began + wanted * session.patience)
        printed, _ = process.communicate(timeout=max(5.0, until - time.time()))
    except subprocess.TimeoutExpired:
        printed = ""
        process.terminate()
        # What Ray started may hold the pipe open a while longer.
        with contextlib.suppress(subprocess.TimeoutExpired):
            printed, _ = process.communicate(timeout=10)
        process.kill()
    seconds = time.time() - began
    records = [json.loads(file.read_text()) for file in (session.scratch / "runs").glob("*/trials/*.json")]
    statuses = [record["outcome"]["status"] for record in records]
    session.results["run"] = {
        "seconds": seconds,
        "exit_status": process.returncode,
        "trainings": {status: statuses.count(status) for status in dict.fromkeys(statuses)},
        "devices": sorted({record["outcome"]["device"] for record in records}),
        "precisions": sorted({str(record["outcome"]["precision"]) for record in records}),
        "images_per_second": [record["outcome"]["images_per_second"] for record in records],
        "reasons": sorted({str(record["outcome"]["reason"]) for record in records} - {"None"})[:3],
        "tables": printed[-6000:],
        "timings": log.read_text(errors="replace")[-2500:],
    }
    counts = session.results["run"]["trainings"]
    print(f"\nrun --phi 1 --quick: exit status {process.returncode} after {seconds:.1f} s, {counts}")
    print(f"on {session.results['run']['devices']}\n{printed[-1500:]}", flush=True)
    if process.returncode:
        session.problem("run", log.read_text(errors="replace").strip()[-400:])


def main() -> None:
    """Measures the parts asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--began", type=float, default=time.time())
    parser.add_argument("--seconds", type=float, default=SECONDS, help="what all may take together")
    parser.add_argument("--parts", nargs="+", default=["agreement", "going_on", "run", "steps", "trainings"])
    parser.add_argument("--small", action="store_true", help="small networks, to try the script out")
    parser.add_argument("--cpu", action="store_true", help="use the CPU alone")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    session = Session(given.out, given.began, given.seconds, given.cpu, given.small)

    print(json.dumps(session.results["machine"]), flush=True)

    def guarded(part: str, work: Callable[[], Any]) -> Any:
        if part.partition(" ")[0] not in given.parts:
            return None
        try:
            began = time.time()
            found = work()
            session.results.setdefault("seconds", {})[part] = time.time() - began
            return found
        except Exception as error:
            session.problem(part, error)
        finally:
            session.keep()

    # What is mostly compiled, on the CPU, goes side by side: the run trains for few of its seconds. Steps and trainings
    # that are timed have the device to themselves.
    began = time.time()
    running = guarded("run started", lambda: start_run(session))
    comparing = guarded("agreement started", lambda: start_agreement(session)) or {}
    going_on = guarded("going_on started", lambda: start_going_on(session))
    stepping = guarded("steps started", lambda: start_steps(session)) or {}
    try:
        if running is not None:
            guarded("run", lambda: finish_run(session, running, began, 185))
        guarded("agreement", lambda: finish_agreement(session, comparing, max(10, began + 110 - time.time())))
        if going_on is not None:
            guarded("going_on", lambda: finish_going_on(session, going_on, max(10, began + 150 - time.time())))
        guarded("steps", lambda: finish_steps(session, stepping, max(10, began + 180 - time.time())))
    finally:
        for process in (*comparing.values(), *stepping.values(), *([going_on] if going_on else [])):
            process.end()
    guarded("trainings", lambda: trainings(session, 115))
    session.results["took"] = time.time() - given.began
    session.keep()
    shutil.rmtree(session.scratch, ignore_errors=True)
    problems = len(session.results["problems"])
    print(f"\n{session.results['took']:.0f} s in all; {problems} problems; {given.out}/device.json")


if __name__ == "__main__":
    main()
