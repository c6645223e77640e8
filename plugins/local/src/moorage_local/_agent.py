"""The agent of one home: the process that does what deployments and jobs ask for.

`python -m moorage_local._agent HOME`, run by the supervisor. There is one at a time; when it is
killed, the supervisor starts the next one, which takes everything over. When its supervisor is
killed, it starts another one and ends, so that the next agent is that one's. When nothing runs
and nothing is wanted, both end.
"""

import asyncio
import contextlib
import functools
import os
import resource
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from moorage.errors import MoorageError, UnavailableError

from . import _deployment_records as records
from . import _unit
from ._agent_log import report
from ._database import Database
from ._home import Home
from ._keeper import Keeper
from ._rollout import AgentContext, in_thread
from ._runner import end_leftovers
from ._scheduler import Scheduler
from ._supervisor import AGENT_ANSWER, AGENT_STARTED, Supervisor, parent_supervisor
from ._supervisor_errors import SupervisorError

_LOOK_S = 0.5  # between two looks at the records, if nobody pokes
_LOCK_LIMIT_S = 60.0  # for the agent before to end
_TAKE_OVER_S = 5.0
_THREADS = 32
_OPEN_FILES = 65_536
_PRUNE_S = 60.0
_UNPACKED_S = 300.0  # that an unpacked app stays after its last use
_STRAY_GRACE_S = 5.0


class Agent:
    """The agent."""

    def __init__(self, home: Home, database: Database) -> None:
        self._home = home
        self._database = database
        self._supervisor = Supervisor(home)
        self._parent = parent_supervisor()
        self._context = AgentContext(home, database, self._supervisor)
        self._keepers: dict[str, Keeper] = {}
        self._generations: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._wake_jobs = asyncio.Event()
        self._ending = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._scheduler = Scheduler(home, database, self._supervisor, wake=self._wake_from_thread)
        self._idle_since: float | None = None
        self._pruned_at = 0.0

    async def run(self) -> None:
        """Work until told to end, or until there is nothing to do."""
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS))
        _raise_file_limit()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end)
        try:
            if not self._is_orphan():
                await self._work()
        finally:
            if self._is_orphan() and not self._ending.is_set() and is_home(self._home.path):
                await in_thread(lambda: self._supervisor.revive(self._parent))

    async def _work(self) -> None:
        await self._end_strays()
        await self._take_over()
        server = await self._listen()
        report(AGENT_STARTED)
        jobs = asyncio.ensure_future(self._run_jobs())
        try:
            while not self._ending.is_set():
                self._wake.clear()
                if self._is_orphan():
                    break
                if not is_home(self._home.path):
                    # Whoever removed it wants nothing of it to run any more.
                    _end_supervisor()
                    break
                idle = False
                try:
                    await self._look()
                    idle = self._is_idle()
                except MoorageError as exc:
                    # Another process keeps the database locked, or the disk is full.
                    report(str(exc))
                if idle and await self._leave(server):
                    break
                if not server.is_serving():
                    server = await self._listen()
                await self._wait()
        finally:
            server.close()
            jobs.cancel()
            await asyncio.gather(jobs, return_exceptions=True)
            await in_thread(self._scheduler.close)
            await asyncio.gather(*(keeper.close() for keeper in self._keepers.values()))
            await (await self._context.gateway()).close_all()

    async def _take_over(self) -> None:
        """Serve again what is there, before anybody is told that there is an agent."""
        await self._look()
        waiting = [asyncio.ensure_future(k.taken_over.wait()) for k in self._keepers.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=_TAKE_OVER_S)
        for task in waiting:
            task.cancel()

    async def _look(self) -> None:
        """Have a keeper for each deployment, and tell those whose record has changed."""
        with self._database.read() as connection:
            found = records.all_deployments(connection)
        for record in found:
            keeper = self._keepers.get(record.id)
            if keeper is None:
                self._keepers[record.id] = Keeper(self._context, record)
            elif self._generations.get(record.id) != record.generation:
                keeper.wake()
            self._generations[record.id] = record.generation
        for deployment_id, keeper in list(self._keepers.items()):
            if keeper.task.done():
                del self._keepers[deployment_id]
                self._generations.pop(deployment_id, None)
        if self._loop.time() > self._pruned_at:
            self._pruned_at = self._loop.time() + _PRUNE_S
            await in_thread(lambda: self._prune(_UNPACKED_S))

    def _prune(self, unpacked_s: float) -> None:
        """Remove unpacked apps and environments that nobody needs."""
        with self._database.read() as connection:
            digests = records.digests_in_use(connection)
            units = [row["id"] for row in connection.execute("SELECT id FROM units").fetchall()]
            used = {_unit.read(connection, unit_id).argv[0] for unit_id in units}
        with contextlib.suppress(MoorageError, OSError):
            self._context.workdirs.prune(digests, unused_s=unpacked_s)
        with contextlib.suppress(MoorageError, OSError):
            self._context.environments.prune(used)

    async def _run_jobs(self) -> None:
        while True:
            self._wake_jobs.clear()
            try:
                pause = await in_thread(self._scheduler.step)
            except Exception as exc:  # noqa: BLE001  # one surprise must not end all jobs to come
                report(f"jobs: {exc!r}")
                pause = 1.0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake_jobs.wait()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._wake.wait()

    def _wake_from_thread(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the agent is ending
            self._loop.call_soon_threadsafe(self._wake_jobs.set)

    def _end(self) -> None:
        self._ending.set()
        self._wake.set()

    # -- its own life ----------------------------------------------------------------------

    async def _end_strays(self) -> None:
        """End what is left of deployments that are gone, and of supervisors before this one."""
        with self._database.read() as connection:
            strays = records.units_without_deployment(connection)

        def end(unit_id: str) -> None:
            with self._database.write() as connection:
                _unit.retire(connection, unit_id)
                status = _unit.read_status(connection, unit_id)
            end_leftovers(unit_id, status, grace=_STRAY_GRACE_S)
            with self._database.write() as connection:
                _unit.delete(connection, unit_id)

        for unit_id in strays:
            await in_thread(functools.partial(end, unit_id))

    async def _listen(self) -> asyncio.Server:
        path = self._supervisor.agent_socket
        path.unlink(missing_ok=True)
        return await asyncio.start_unix_server(self._answer, path)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), 5.0)
            if line == b"wake\n":
                self._wake.set()
                self._wake_jobs.set()
                for keeper in self._keepers.values():
                    keeper.wake()
            if line in (b"wake\n", b"ping\n"):
                writer.write(AGENT_ANSWER)
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # whoever asked is gone
        finally:
            writer.close()

    def _is_orphan(self) -> bool:
        """Return whether the supervisor is gone, maybe since before this agent could begin."""
        return self._parent is None or os.getppid() != self._parent

    def _is_idle(self) -> bool:
        """Return whether there has been nothing to do for as long as the settings say."""
        if self._has_work():
            self._idle_since = None
            return False
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        return now - self._idle_since >= self._supervisor.idle_timeout()

    def _has_work(self) -> bool:
        if any(keeper.busy for keeper in self._keepers.values()):
            return True
        with self._database.read() as connection:
            wanted = connection.execute(
                "SELECT 1 FROM deployments WHERE running OR deleting OR observed < generation"
                " UNION ALL SELECT 1 FROM units LIMIT 1"
            ).fetchone()
        return wanted is not None or self._scheduler.busy

    async def _leave(self, server: asyncio.Server) -> bool:
        """End the supervisor, and so this agent, unless something has come up."""
        lock = contextlib.ExitStack()
        try:
            lock.enter_context(self._supervisor.changing(timeout=0.0))
        except UnavailableError:
            return False  # somebody is about to start something
        with lock:
            # Whoever pokes from now on finds nobody, and waits for the lock. What was poked for
            # before is in the records.
            server.close()
            self._supervisor.agent_socket.unlink(missing_ok=True)
            if self._has_work():
                return False
            await in_thread(lambda: self._prune(0.0))
            _end_supervisor()
            # The lock is kept until the supervisor is known to be on its way out.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10.0):
                    while not self._ending.is_set():
                        # It looks at what it is to do once a second, and when it is asked.
                        with contextlib.suppress(SupervisorError):
                            await in_thread(self._supervisor.statuses)
                        await asyncio.sleep(0.02)
            return True


def main(arguments: list[str]) -> int:
    """Run the agent of the home that the command line names; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m moorage_local._agent HOME\n")
        return 2
    if not is_home(Path(arguments[0])):
        _end_supervisor()
        return 0
    home = Home(arguments[0])
    with home.lock("agent", timeout=_LOCK_LIMIT_S), contextlib.closing(Database(home)) as database:
        asyncio.run(_run(home, database))
    return 0


def is_home(path: Path) -> bool:
    """Return whether the home is still there; opening one makes it."""
    return (path / "home.json").exists()


def _end_supervisor() -> None:
    """Have the supervisor end, and with it this agent."""
    if (supervisor := parent_supervisor()) is not None:
        os.kill(supervisor, signal.SIGTERM)


def _raise_file_limit() -> None:
    """Allow as many connections as the system does: each request has two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _run(home: Home, database: Database) -> None:
    await Agent(home, database).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
