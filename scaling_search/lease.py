"""A lease on a run that lies where there are no locks: an object that says who works on the run, and until when.

    RUN/lease/NUMBER    {"token": ..., "machine": ..., "process": ..., "until": ...}

The highest number counts. Whoever finds none that has not ended creates the next one, which of two processes one can:
by a conditional put where the file system has it, else by what the object says a moment later. The driver renews its
lease while it works, and removes it in the end. That of a driver that died ends by itself, by the clock of whoever
reads it: the clocks of machines that share runs must agree to well within a lease.
"""

import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace

from scaling_search.errors import UserError, printable
from scaling_search.places import Remote
from scaling_search.plain import MALFORMED, from_json

SECONDS = 120.0
"""How long a lease lasts that is not renewed."""
RENEWED_EVERY = 20.0
"""Seconds."""
SETTLING = 2.0
"""Seconds after which of two processes that have written the same object the last one is known."""


_LONGEST = 3600.0
"""Seconds. A lease that is said to last longer has been damaged, or was written by the wrong clock."""


@dataclass(frozen=True)
class Holder:
    """Who works on a run."""

    machine: str
    process: int
    until: float
    """When the lease ends, in seconds since 1970."""
    token: str

    @property
    def content(self) -> bytes:
        """What the object holds."""
        return json.dumps(asdict(self)).encode()


def holder(run: Remote) -> Holder | None:
    """Who works on a run now, or None. Raises OSError where it cannot be read."""
    return _holding(run, _numbers(run))


@contextmanager
def held(run: Remote) -> Iterator[Callable[[], None]]:
    """Holds the lease of a run in the body. What is yielded raises UserError once it is lost.

    Raises UserError where another process holds it, or it cannot be reached.
    """
    number, me = _take(run)
    renewal = _Renewal(run, number, me)
    thread = threading.Thread(target=renewal.go_on, name="lease", daemon=True)
    thread.start()
    try:
        yield renewal.check
    finally:
        renewal.ended.set()
        thread.join()
        if not renewal.lost:
            with suppress(OSError):
                _object(run.hasty(), number).unlink(missing_ok=True)
    renewal.check()


def _take(run: Remote) -> tuple[int, Holder]:
    # Looked at once: what another creates from here on has the number that is tried.
    before = _numbers(run)
    if (now := _holding(run, before)) is not None:
        raise _in_use(run, now)
    number = before[-1] + 1 if before else 1
    place = _object(run, number)
    me = Holder(platform.node(), os.getpid(), time.time() + SECONDS, secrets.token_hex(8))
    try:
        place.create(me.content)
    except FileExistsError:
        raise _in_use(run, _read(place)) from None
    if not _refuses(place, me.content):
        time.sleep(SETTLING)
    if (now := _read(place)) != me:
        raise _in_use(run, now)
    for other in _numbers(run):
        if other != number and (now := _holding(run, [other])) is not None:
            # Who found another number free a moment ago. Of the two at least one sees both.
            place.unlink(missing_ok=True)
            raise _in_use(run, now)
        if other < number:
            _object(run, other).unlink(missing_ok=True)
    return number, me


def _holding(run: Remote, numbers: Sequence[int]) -> Holder | None:
    """Who holds the last of the leases, if it has not ended."""
    last = _read(_object(run, numbers[-1])) if numbers else None
    return last if last is not None and 0 < last.until - time.time() < _LONGEST else None


def _refuses(place: Remote, content: bytes) -> bool:
    """Whether the file system creates no object over another, which is then as it was."""
    try:
        place.create(content)
    except FileExistsError:
        return True
    return False


class _Renewal:
    """Renews a lease until it has ended."""

    def __init__(self, run: Remote, number: int, me: Holder) -> None:
        self._run, self._number, self._me = run, number, me
        self.ended = threading.Event()
        self.lost = False

    def go_on(self) -> None:
        while not self.lost and not self.ended.wait(RENEWED_EVERY):
            try:
                self._renew()
            except OSError:
                # The network may be back before the lease has ended.
                self.lost = time.time() > self._me.until

    def check(self) -> None:
        if self.lost:
            raise UserError(
                f"the lease of {self._run} was lost: the run could not be reached for {SECONDS:g} seconds",
                "finished trials are kept",
                "run the same command again to continue",
            )

    def _renew(self) -> None:
        place = _object(self._run, self._number)
        found = _read(place)
        if found is None or found.token != self._me.token or _numbers(self._run)[-1:] != [self._number]:
            self.lost = True
            return
        renewed = replace(self._me, until=time.time() + SECONDS)
        place.write_bytes(renewed.content)
        self._me = renewed


def _in_use(run: Remote, who: Holder | None) -> UserError:
    by = f": process {who.process} of {printable(who.machine)}" if who else ""
    left = min(max(0.0, who.until - time.time()), _LONGEST) if who else SECONDS
    ends = time.strftime("%H:%M:%S", time.localtime(time.time() + left))
    return UserError(
        f"another process is working on {run}{by}",
        hint=f"wait for it, or give another --name; if it has died, its lease ends at {ends}, in {left:.0f} seconds",
    )


def _numbers(run: Remote) -> list[int]:
    return sorted(int(one.name) for one in (run / "lease").iterdir() if one.name.isdecimal())


def _object(run: Remote, number: int) -> Remote:
    return run / "lease" / f"{number:08d}"


def _read(place: Remote) -> Holder | None:
    """What a lease says; None where it is gone, or somebody has damaged it."""
    try:
        tree = from_json(place.read_bytes())
        return Holder(str(tree["machine"]), int(tree["process"]), float(tree["until"]), str(tree["token"]))
    except (FileNotFoundError, *MALFORMED):
        return None
