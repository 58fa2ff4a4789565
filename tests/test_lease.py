"""Two processes on one run elsewhere, of which one holds the lease."""

import os
import platform
import re
import time
from dataclasses import replace

import pytest

from scaling_search import lease
from scaling_search.errors import UserError
from scaling_search.lease import Holder, held, holder
from scaling_search.places import Remote, inside
from tests.runners.observing import wait_until


@pytest.fixture
def run(memory_store):
    return Remote("memory://bucket/runs/one")


def written(run, number, **changes):
    """A lease as another process would have written it."""
    other = replace(Holder("elsewhere", 7, time.time() + 60, "theirs"), **changes)
    (run / "lease" / f"{number:08d}").write_bytes(other.content)
    return other


def test_the_second_is_told_who_holds_it_and_when_it_ends(run):
    with held(run):
        me = holder(run)
        assert (me.machine, me.process) == (platform.node(), os.getpid())
        with pytest.raises(UserError) as raised, held(run):
            pass
    assert re.fullmatch(
        rf"another process is working on {run}: process {os.getpid()} of {re.escape(platform.node())}; wait for it, or "
        r"give another --name; if it has died, its lease ends at \d\d:\d\d:\d\d, in 1[12]\d seconds",
        str(raised.value),
    )
    assert holder(run) is None and inside(run / "lease") == []


def test_that_of_a_driver_that_died_ends_by_itself(run):
    written(run, 3, until=time.time() - 1)
    assert holder(run) is None
    with held(run):
        assert [one.name for one in inside(run / "lease")] == ["00000004"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"until": 1e999}', b"\xff", None])
def test_one_that_nobody_can_have_written_keeps_nobody_out(run, content):
    written(run, 1, until=time.time() + 10**9)
    if content is not None:
        (run / "lease" / "00000001").write_bytes(content)
    with held(run):
        assert holder(run).process == os.getpid()


def test_it_is_renewed_while_its_holder_works(run, monkeypatch):
    monkeypatch.setattr(lease, "RENEWED_EVERY", 0.01)
    with held(run) as check:
        first = holder(run).until
        wait_until(lambda: holder(run).until > first, seconds=20)
        assert holder(run).until > first
        check()


def test_a_holder_that_slept_too_long_is_told_that_another_took_over(run, monkeypatch):
    monkeypatch.setattr(lease, "RENEWED_EVERY", 0.01)
    with (
        pytest.raises(UserError, match=r"^the lease of memory://\S+ was lost: .*; run the same command again"),
        held(run) as check,
    ):
        other = written(run, 2)
        wait_until(lambda: _lost(check), seconds=20)
    assert holder(run) == other


def _lost(check):
    try:
        check()
    except UserError:
        return True
    return False


def test_without_conditional_puts_the_last_who_writes_has_it(run, monkeypatch):
    monkeypatch.setattr(Remote, "create", Remote.write_bytes)
    others = []
    monkeypatch.setattr(time, "sleep", lambda _: others.append(written(run, 1)))
    with pytest.raises(UserError, match=r"another process is working on \S+: process 7 of elsewhere"), held(run):
        pass
    monkeypatch.setattr(time, "sleep", lambda _: None)
    written(run, 1, until=0.0)
    with held(run):
        assert holder(run).process == os.getpid()


def test_with_them_nobody_waits(run, monkeypatch):
    monkeypatch.setattr(time, "sleep", None)
    with held(run):
        pass


def test_of_two_that_find_it_free_one_creates_it(run, monkeypatch):
    numbers = lease._numbers

    def meanwhile(run):
        found = numbers(run)
        if not found:
            written(run, 1)
        return found

    # Between the look and the put.
    monkeypatch.setattr(lease, "_numbers", meanwhile)
    with pytest.raises(UserError, match="process 7 of elsewhere"), held(run):
        pass


def test_of_two_that_create_leases_of_different_numbers_one_gives_way(run, monkeypatch):
    numbers = lease._numbers
    # One that ended, and was removed by its holder, when another had looked already.
    found = iter([[1]])
    monkeypatch.setattr(lease, "_numbers", lambda run: next(found, None) or numbers(run))
    written(run, 3)
    with pytest.raises(UserError, match="process 7 of elsewhere"), held(run):
        pass
    assert [one.name for one in inside(run / "lease")] == ["00000003"]
