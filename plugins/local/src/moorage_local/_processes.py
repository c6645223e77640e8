"""Processes: telling one from another that got the same number, finding trees, ending them.

On Linux everything comes from `/proc`; elsewhere from `ps`, which every POSIX system has.
"""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Self

import msgspec

_PROC = Path("/proc")
_HAS_PROC = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class ProcessIdentity(msgspec.Struct, frozen=True, order=True):
    """One process, told from every other one that has had or will have its number.

    Its text, `PID@STARTED`, is what is stored.
    """

    pid: int
    """Its number."""

    started: str
    """When it started, in a form that is only good for comparing; differs after a reboot."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the stored form."""
        pid, _, started = text.partition("@")
        return cls(int(pid), started)

    def __str__(self) -> str:
        return f"{self.pid}@{self.started}"


class ProcessEntry(msgspec.Struct, frozen=True):
    """A process as the table of processes shows it."""

    identity: ProcessIdentity
    parent: int
    group: int
    session: int
    """The session's number; `0` where the system does not tell."""


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a running process; `None` for one that is gone or a zombie."""
    entry = _entry(pid)
    return entry.identity if entry else None


def current() -> ProcessIdentity:
    """Return the identity of this process."""
    identity = identify(os.getpid())
    if identity is None:
        msg = "the table of processes does not show this process"
        raise OSError(msg)
    return identity


def is_alive(identity: ProcessIdentity) -> bool:
    """Return whether this very process still runs; a zombie does not."""
    return identify(identity.pid) == identity


def processes() -> dict[int, ProcessEntry]:
    """Return every process that runs now, by number, without zombies."""
    if not _HAS_PROC:
        return _ps_entries(["-ax"])
    entries = {}
    for name in os.listdir(_PROC):  # noqa: PTH208  # a third of the time of iterating over paths
        if name.isdigit() and (entry := _entry(int(name))) is not None:
            entries[entry.identity.pid] = entry
    return entries


def command_line(pid: int) -> str:
    """Return how a process was called; nothing for one that is gone."""
    if _HAS_PROC:
        content = _read(_PROC / str(pid) / "cmdline") or b""
        return os.fsdecode(content.replace(b"\0", b" "))
    ran = subprocess.run(
        ["ps", "-ww", "-p", str(pid), "-o", "command="],
        capture_output=True,
        check=False,  # it fails when it finds none
    )
    return os.fsdecode(ran.stdout)


def find_tree(root: int) -> list[ProcessIdentity]:
    """Return the processes that descend from this one or share its session, itself included.

    A descendant that was orphaned is found by the session that `root` leads; one that has also
    begun a session of its own is found only by its environment, see `find_marked`.
    """
    table = processes()
    children: dict[int, list[int]] = {}
    for entry in table.values():
        children.setdefault(entry.parent, []).append(entry.identity.pid)
    found: dict[int, ProcessIdentity] = {}
    queue = [root, *(pid for pid, entry in table.items() if root in (entry.session, entry.group))]
    while queue:
        pid = queue.pop(0)
        if pid in found:
            continue
        if pid in table:
            found[pid] = table[pid].identity
        queue.extend(children.get(pid, ()))
    return list(found.values())


def find_marked(variable: str, value: str | None = None) -> list[ProcessIdentity]:
    """Return the processes that were started with this environment variable.

    A process inherits it from its parent, so that it finds what no longer hangs on any tree.
    Other users' processes are not seen, and systems without `/proc` show none.

    Args:
        variable: The name.
        value: What it must be; `None` accepts every value.
    """
    if not _HAS_PROC:
        return []
    wanted = f"{variable}=".encode() + (value.encode() + b"\0" if value is not None else b"")
    found = []
    for name in os.listdir(_PROC):  # noqa: PTH208  # a third of the time of iterating over paths
        if not name.isdigit():
            continue
        content = _read(_PROC / name / "environ")
        # The first variable has no zero byte before it.
        if content is None or not (content.startswith(wanted) or b"\0" + wanted in content):
            continue
        if (identity := identify(int(name))) is not None:
            found.append(identity)
    return found


def send_signal(identity: ProcessIdentity, number: int) -> bool:
    """Send a signal to this very process; return whether it was there."""
    try:
        if hasattr(os, "pidfd_open"):
            # The descriptor holds on to one process, so that checking and sending cannot be
            # split by another process that takes over the number.
            descriptor = os.pidfd_open(identity.pid)
            try:
                if not is_alive(identity):
                    return False
                signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)
        else:
            if not is_alive(identity):
                return False
            os.kill(identity.pid, number)
    except ProcessLookupError:
        return False
    return True


def end(
    find: Callable[[], Collection[ProcessIdentity]],
    *,
    grace: float = 0.0,
    limit: float = 10.0,
) -> bool:
    """End all the processes that `find` returns, until it returns none.

    It is asked again and again, since processes that fork may escape one look.

    Args:
        find: Returns who is left; may return the caller, who is spared.
        grace: Seconds between asking them to end and killing them.
        limit: Seconds after which killing is given up.

    Returns:
        Whether none is left.
    """
    me = os.getpid()

    def left() -> list[ProcessIdentity]:
        return [identity for identity in find() if identity.pid != me]

    began = time.monotonic()
    asked: set[ProcessIdentity] = set()
    pause = 0.005
    while remaining := left():
        elapsed = time.monotonic() - began
        if elapsed > grace + limit:
            return False
        for identity in remaining:
            if elapsed >= grace:
                send_signal(identity, signal.SIGKILL)
            elif identity not in asked:
                asked.add(identity)
                send_signal(identity, signal.SIGTERM)
        time.sleep(pause)
        pause = min(pause * 2, 0.1)
    return True


def end_identities(identities: Iterable[ProcessIdentity], *, grace: float = 0.0) -> bool:
    """End these processes with everything that hangs on them; see `end`."""
    roots = list(identities)
    known: set[ProcessIdentity] = set()

    def find() -> list[ProcessIdentity]:
        # A root that has died leaves children that are no longer found through it, so that
        # everybody once seen stays on the list.
        for root in roots:
            if is_alive(root):
                known.update(find_tree(root.pid))
        for identity in list(known):
            if is_alive(identity):
                known.update(find_tree(identity.pid))
        return [identity for identity in known if is_alive(identity)]

    return end(find, grace=grace)


def adopt_orphans() -> bool:
    """Make orphaned descendants children of this process instead of the system's first process.

    Then nothing that a child starts can leave the tree, whatever sessions it begins. Returns
    whether the system can do that; Linux can.
    """
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> bool:
    """Have this process killed when the thread that started it ends; Linux can."""
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> bool:
    if not _HAS_PROC:
        return False
    import ctypes  # loads a shared library, which most callers never need

    return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)


@functools.cache
def _boot() -> str:
    """Return what tells this run of the system from all others."""
    content = _read(_PROC / "sys/kernel/random/boot_id")
    return content.decode("ascii", "replace").strip()[:8] if content else ""


def _entry(pid: int) -> ProcessEntry | None:
    if not _HAS_PROC:
        return _ps_entries(["-p", str(pid)]).get(pid)
    content = _read(_PROC / str(pid) / "stat")
    if content is None:
        return None
    # The program's name is in brackets and may itself hold brackets and blanks.
    fields = content[content.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    started = f"{_boot()}.{int(fields[19])}"
    return ProcessEntry(
        ProcessIdentity(pid, started), int(fields[1]), int(fields[2]), int(fields[3])
    )


def _ps_entries(selection: list[str]) -> dict[int, ProcessEntry]:
    columns = "pid=,ppid=,pgid=,stat=,lstart="
    ran = subprocess.run(
        ["ps", *selection, "-o", columns],
        capture_output=True,
        check=False,  # it fails when it finds none
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    )
    entries = {}
    for line in ran.stdout.decode("utf-8", "replace").splitlines():
        pid, parent, group, state, *started = line.split()
        if state.startswith("Z"):
            continue
        identity = ProcessIdentity(int(pid), "-".join(started))
        entries[int(pid)] = ProcessEntry(identity, int(parent), int(group), 0)
    return entries


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile, or belongs to somebody else
        return None
