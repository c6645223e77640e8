"""Digests that are computed beside a transfer."""

from __future__ import annotations

import hashlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.plugin import Hasher

LARGE = 300 * 1024  # so much is hashed by a thread


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "moorage-hash"]


@given(sizes=st.lists(st.sampled_from([0, 1, 1000, LARGE - 50_000, LARGE, 2 * LARGE]), max_size=8))
def test_digests(sizes: list[int]) -> None:
    """Large and small blocks in any order give the digests of all of them."""
    whole = b""
    with Hasher("sha256", "md5") as hasher:
        for number, size in enumerate(sizes):
            block = bytes([number]) * size
            whole += block
            hasher.update(block)
        found = hasher.digests()

    assert found == {
        "sha256": hashlib.sha256(whole).hexdigest(),
        "md5": hashlib.md5(whole).hexdigest(),
    }
    assert threads() == []


def test_two_buffers() -> None:
    """A buffer may be filled anew once another one was given, and after `settle`."""
    buffers = [bytearray(LARGE), bytearray(LARGE)]
    expected = hashlib.sha256()
    with Hasher("sha256") as hasher:
        for number in range(40):
            buffer = buffers[number % 2]
            buffer[:] = bytes([number]) * LARGE
            expected.update(buffer)
            hasher.update(memoryview(buffer))
        hasher.settle()
        buffers[1].clear()  # nothing holds it any more
        assert hasher.digests() == {"sha256": expected.hexdigest()}


def test_restart() -> None:
    """What came before is forgotten, also what is hashed just then."""
    with Hasher("sha256") as hasher:
        hasher.update(b"x" * LARGE)
        hasher.restart()
        hasher.update(b"y" * LARGE)
        assert hasher.digests()["sha256"] == hashlib.sha256(b"y" * LARGE).hexdigest()


def test_no_thread_for_little() -> None:
    """Small blocks, and any where nothing is to be computed, need none."""
    with Hasher("sha256") as hasher, Hasher() as idle:
        hasher.update(b"x" * 1000)
        idle.update(b"x" * LARGE)
        assert threads() == []
        hasher.update(b"x" * LARGE)
        assert threads() == ["moorage-hash"]
        assert idle.digests() == {}


def test_unknown() -> None:
    """An algorithm that cannot be computed is said at once."""
    with pytest.raises(ValueError, match="nonesuch"):
        Hasher("nonesuch")


def test_failure() -> None:
    """A block that cannot be hashed is an error of whoever gave it, and the thread goes on."""
    with Hasher("sha256") as hasher:
        hasher.update(memoryview(bytes(2 * LARGE))[::2])
        with pytest.raises(BufferError):
            hasher.settle()
        hasher.update(b"x" * LARGE)
        assert hasher.digests()["sha256"] == hashlib.sha256(b"x" * LARGE).hexdigest()
    hasher.close()
    assert threads() == []


def test_ended_within_a_block() -> None:
    """Whoever leaves by an error leaves no thread behind."""
    with pytest.raises(KeyboardInterrupt), Hasher("sha256") as hasher:
        hasher.update(b"x" * LARGE)
        raise KeyboardInterrupt
    assert threads() == []
