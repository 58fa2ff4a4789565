"""What can be seen of processes, their files and sockets, and the screen."""

import contextlib
import ipaddress
import os
import signal
import sys
import tempfile
import time
from pathlib import Path


def wait_until(true, seconds):
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.1)


def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]


def temporary_files(pid):
    """What the run of a process keeps in the folder for temporary files."""
    return list(Path(tempfile.gettempdir()).glob(f"ss-{pid}-*"))


@contextlib.contextmanager
def screen():
    """All that this process and its children write to stdout and stderr in the body, when it is over."""
    shown = {}
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(tempfile.TemporaryFile("w+")) for name in ("stdout", "stderr")}
        kept = {number: os.dup(number) for number in (1, 2)}
        streams = {
            name: stack.enter_context(open(number, "w", closefd=False))
            for name, number in (("stdout", 1), ("stderr", 2))
        }
        for number, file in zip((1, 2), files.values(), strict=True):
            os.dup2(file.fileno(), number)
        with contextlib.redirect_stdout(streams["stdout"]), contextlib.redirect_stderr(streams["stderr"]):
            try:
                yield shown
            finally:
                for stream in streams.values():
                    stream.flush()
                for number, copy in kept.items():
                    os.dup2(copy, number)
                    os.close(copy)
                for name, file in files.items():
                    file.seek(0)
                    shown[name] = file.read()


def descendants(pid):
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            number, _, rest = stat.read_text().partition(" (")
            parents[int(number)] = int(rest.rpartition(") ")[2].split()[1])
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new}
        found |= new
    return found


def alive(pids):
    def runs(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0] != "Z"
        except OSError:
            return False

    return {pid for pid in pids if runs(pid)}


def listening(pids):
    """Addresses on which processes accept TCP connections."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(str(descriptor.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and f"socket:[{columns[9]}]" in inodes:
                found.add(dotted(columns[1].split(":")[0]))
    return found


def dotted(address):
    """An address as /proc/net has it, in words of the machine's byte order; an IPv4 one in IPv6 as the former."""
    packed = b"".join(int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8))
    ip = ipaddress.ip_address(packed)
    if ip.version == 6:
        ip = ip.ipv4_mapped or ("127.0.0.1" if ip.is_loopback else ip)
    return str(ip)
