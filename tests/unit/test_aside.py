"""One thing done in another thread."""

from __future__ import annotations

import threading

import pytest

from moorage.plugin._aside import Aside


def test_done_elsewhere() -> None:
    """Each thing is done in the one other thread, in order, and its result handed over."""
    here = threading.get_ident()
    with Aside[int]("moorage-test") as aside:
        found = []
        for number in range(3):
            aside.begin(lambda number=number: threading.get_ident() * 10 + number)
            assert aside.busy
            found.append(aside.end())
            assert not aside.busy
    assert {value // 10 for value in found} != {here}
    assert len({value // 10 for value in found}) == 1
    assert [value % 10 for value in found] == [0, 1, 2]


def test_failure() -> None:
    """An error is raised where the result is asked for, and the next thing is done."""
    with Aside[float]("moorage-test") as aside:
        aside.begin(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            aside.end()
        aside.begin(lambda: 1 / 2)
        assert aside.end() == 0.5


def test_closed_while_busy() -> None:
    """Closing waits for what is being done; nothing is started for nothing."""
    gate, done = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(20)
        done.set()

    with Aside[None]("moorage-test") as aside:
        assert "moorage-test" not in {thread.name for thread in threading.enumerate()}
        aside.begin(work)
        gate.set()
    assert done.is_set()
    aside.close()
    assert "moorage-test" not in {thread.name for thread in threading.enumerate()}
