"""Brings one revision of a deployment up: from stored content to an app that answers."""

import asyncio
import contextlib
import math
import os
import socket
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from moorage.errors import MoorageError
from moorage.plugin import DeploymentState

from . import _deployment_records as records
from . import _unit
from ._apps import App, UnhealthyError, count_workers, find_app, serving_command, variables
from ._database import Database
from ._deployment_options import DeploymentLimits, parse_options
from ._deployment_records import DeploymentRecord, RevisionRecord
from ._endpoint import HOST
from ._environments import BuildError, Environment, Environments
from ._home import Home
from ._log_files import LogWriter, last_seq, records_before
from ._supervisor import Program, ProgramStatus, Supervisor
from ._supervisor_errors import RefusedError, SupervisorError
from ._unit import Unit, UnitEnd, UnitKind
from ._workdirs import Workdirs

if TYPE_CHECKING:
    from ._gateway import Gateway, Upstream

T = TypeVar("T")

# An app that ends within this time after its start counts as having failed to start; the
# supervisor repeats that after 1, 2 and 3 seconds, then gives up.
_SETTLE_S = 10
_START_RETRIES = 3
_STOP_MARGIN_S = 15  # beyond what the app may take: for the tree, the log and the database
_RUNNER_START_S = 0.5  # after which it is worth asking the supervisor why there is none
_SHOWN_LINES = 6
_LONGEST_WORDS = 600


class RolloutError(Exception):
    """The revision cannot be brought up; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class AgentContext:
    """What the parts of one agent share."""

    def __init__(self, home: Home, database: Database, supervisor: Supervisor) -> None:
        self.home = home
        self.database = database
        self.supervisor = supervisor
        # It takes longer to import than everything else together, and is needed only when there
        # is an app to ask.
        self._gateway = asyncio.ensure_future(in_thread(_make_gateway))
        self._programs: dict[str, ProgramStatus] = {}
        self._programs_at = -math.inf
        self._programs_lock = asyncio.Lock()
        self.environments = Environments(home)
        self.workdirs = Workdirs(home, database)

    async def gateway(self) -> "Gateway":
        """Return the gateway, as soon as it can be used."""
        return await asyncio.shield(self._gateway)

    async def programs(self, *, age: float = 0.0) -> dict[str, ProgramStatus]:
        """Return how the units are, as the supervisor sees it.

        Args:
            age: Seconds that the answer may be old, to share one question among many.

        Raises:
            SupervisorError: It cannot be asked.
        """
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        async with self._programs_lock:
            if self._programs_at < asked_at - age:
                begun_at = loop.time()
                self._programs = await in_thread(self.supervisor.statuses)
                self._programs_at = begun_at
            return self._programs

    def log_directory(self, deployment_id: str) -> Path:
        """Return where the log of a deployment is."""
        return self.home.deployment(deployment_id) / "logs"

    def open_log(self, deployment_id: str, source: str, limits: DeploymentLimits) -> LogWriter:
        """Open the log of a deployment, for what the provider itself has to say.

        Raises:
            OSError: It cannot be written.
        """
        return LogWriter(
            self.log_directory(deployment_id),
            source=source,
            segment_bytes=limits.log_segment_bytes,
            segments=limits.log_segments,
        )


class Serving:
    """A revision that is up.

    Attributes:
        number: Of the revision.
        unit_id: What it runs as.
        upstream: What requests are passed to.
        health: Path that tells how it is.
        limits: What it is held to.
        runner: Number of the process that runs it, as last seen; a change tells of a restart. 0
            if it was seen to have ended, `None` if it was never seen.
    """

    def __init__(
        self,
        revision: RevisionRecord,
        unit: Unit,
        upstream: "Upstream",
        *,
        health: str | None,
    ) -> None:
        self.number = revision.number
        self.unit_id = unit.id
        self.upstream = upstream
        self.health = health
        self.limits = revision.limits
        self.runner: int | None = None


class Rollout:
    """One attempt to bring a revision up."""

    def __init__(
        self, context: AgentContext, record: DeploymentRecord, revision: RevisionRecord
    ) -> None:
        self._context = context
        self._record = record
        self._revision = revision
        self._options = parse_options(revision.spec.options)
        self.unit_id: str | None = None
        """What was started, as soon as there is something that has to be stopped."""

    async def run(self) -> Serving:
        """Return when the revision answers; nothing is switched to it yet.

        Raises:
            RolloutError: It cannot be brought up.
            PortTakenError: Another program listens on the deployment's port.
            SupervisorError: The supervisor was lost, which says nothing about the revision.
        """
        context, revision = self._context, self._revision
        try:
            app = await in_thread(
                lambda: find_app(
                    context.workdirs,
                    revision.artifact_digest,
                    f"artifact {revision.spec.artifact}",
                )
            )
            directory = await in_thread(lambda: context.workdirs.ensure(app.digest))
            environment = await self._environment(app, directory)
            return await self._start(app, directory, environment)
        except (BuildError, RefusedError, UnhealthyError) as exc:
            raise RolloutError(str(exc)) from exc
        except MoorageError as exc:
            raise RolloutError(exc.message) from exc
        except OSError as exc:
            where = f" ({exc.filename})" if exc.filename else ""
            raise RolloutError(f"{exc.strerror or exc}{where}") from exc

    async def _environment(self, app: App, directory: Path) -> Environment:
        context = self._context
        cancelled = threading.Event()

        def build() -> Environment:
            log = context.open_log(self._record.id, "build", self._revision.limits)
            with contextlib.closing(log):
                return context.environments.ensure(
                    directory,
                    digest=app.digest,
                    python=app.python,
                    requirements=app.requirements,
                    log=lambda line: log.write("event", [line]),
                    cancelled=cancelled,
                )

        return await in_thread(build, cancelled)

    async def _start(self, app: App, directory: Path, environment: Environment) -> Serving:
        context, record, revision = self._context, self._record, self._revision
        unit_id = f"{record.name[:24]}-{revision.number}-{uuid.uuid4().hex[:10]}"
        workers = revision.spec.replicas or 1
        port = _free_port() if app.is_bento else 0
        path = context.supervisor.unit_socket(unit_id)
        unit = Unit(
            id=unit_id,
            kind=UnitKind.APP,
            owner=record.id,
            argv=serving_command(
                app,
                environment,
                socket=path,
                port=port,
                workers=workers,
            ),
            cwd=str(directory),
            env={
                "PORT": str(record.port),
                **variables(environment, os.environ.get("PATH", os.defpath)),
                **revision.spec.env,
                "MOORAGE_DEPLOYMENT": record.name,
                "MOORAGE_REVISION": str(revision.number),
            },
            secrets=revision.spec.secrets,
            log_directory=str(context.log_directory(record.id)),
            source=f"revision-{revision.number}",
            log_segment_bytes=revision.limits.log_segment_bytes,
            log_segments=revision.limits.log_segments,
            stop_timeout=revision.limits.stop_timeout,
            poke=str(context.supervisor.agent_socket),
        )
        begin = await in_thread(lambda: last_seq(Path(unit.log_directory)))
        self.unit_id = unit_id
        began = asyncio.get_running_loop().time()
        await in_thread(lambda: self._store(unit))
        await in_thread(lambda: context.supervisor.start(_program(unit)))
        gateway = await context.gateway()
        from ._gateway import Upstream
        from ._health import wait_until_healthy

        await gateway.open(record.id, record.name, record.port, self._options.hosts)
        upstream = Upstream(unit_id, port=port) if app.is_bento else Upstream(unit_id, path=path)
        try:
            await wait_until_healthy(
                upstream,
                app.health,
                limit=revision.limits.health_timeout,
                missing=lambda: 0 if app.is_bento else max(0, workers - count_workers(path)),
                ended=lambda: self._end(unit, began),
            )
        except UnhealthyError as exc:
            await upstream.close()
            words = await in_thread(lambda: last_words(unit, begin))
            raise RolloutError(f"{exc}{words}") from exc
        except BaseException:
            await upstream.close()
            raise
        return Serving(revision, unit, upstream, health=app.health)

    def _store(self, unit: Unit) -> None:
        with self._context.database.write() as connection:
            _unit.insert(connection, unit)
            records.set_unit(connection, self._revision.id, unit.id)
            records.set_state(
                connection, self._record, DeploymentState.DEPLOYING, "starting the app"
            )

    async def _end(self, unit: Unit, began: float) -> str | None:
        """Tell how the app ended, if it did; a runner that was killed is started again.

        Raises:
            SupervisorError: The supervisor was lost.
        """
        with self._context.database.read() as connection:
            status = _unit.read_status(connection, unit.id)
        if status.end is not None:
            if status.end is UnitEnd.STOPPED:
                # Not by us: its supervisor was killed, or is being shut down.
                raise SupervisorError("the app was stopped")
            return status.message or "ended"
        if status.runner is None and asyncio.get_running_loop().time() - began > _RUNNER_START_S:
            supervisor = self._context.supervisor
            program = (await self._context.programs()).get(unit.id)
            said = supervisor.said(unit.id).splitlines()
            if program is None:
                raise SupervisorError("the supervisor does not know the app")
            if program.state == "FATAL" or (program.pid == 0 and said):
                return f"could not be run ({said[-1] if said else 'no runner'})"
        return None


def _make_gateway() -> "Gateway":
    from . import _health  # will be needed together with the gateway
    from ._gateway import Gateway

    del _health
    return Gateway()


def restore(context: AgentContext, revision: RevisionRecord, unit: Unit, app: App) -> Serving:
    """Return a revision that an earlier agent has brought up; the gateway has to be there."""
    from ._gateway import Upstream

    if app.is_bento:
        port = int(unit.argv[unit.argv.index("--port") + 1])
        upstream = Upstream(unit.id, port=port)
    else:
        upstream = Upstream(unit.id, path=context.supervisor.unit_socket(unit.id))
    return Serving(revision, unit, upstream, health=app.health)


def last_words(unit: Unit, after: int) -> str:
    """Return the last lines that an app wrote to stderr, as they end a message."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        for stored in records_before(Path(unit.log_directory), None):
            if stored.seq <= after or len(lines) == _SHOWN_LINES:
                break
            if stored.source == unit.source and stored.stream == "stderr":
                lines.insert(0, stored.message)
    words = "\n".join(lines).strip()
    return f":\n{words[-_LONGEST_WORDS:]}" if words else ""


async def in_thread(call: Callable[[], T], cancelled: threading.Event | None = None) -> T:
    """Run what blocks in a thread.

    Args:
        call: What.
        cancelled: Set when the task is cancelled; the thread is then waited for, so that
            whatever it holds is free again.
    """
    future = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if cancelled is not None:
            cancelled.set()
        with contextlib.suppress(Exception):  # nobody is interested any more
            await future
        raise


def _program(unit: Unit) -> Program:
    return Program(
        name=unit.id,
        restart=True,
        settle_s=_SETTLE_S,
        retries=_START_RETRIES,
        stop_wait_s=round(unit.stop_timeout) + _STOP_MARGIN_S,
    )


def _free_port() -> int:
    with contextlib.closing(socket.socket(socket.AF_INET)) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
