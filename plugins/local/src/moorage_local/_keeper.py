"""Keeps one deployment as it is wanted.

A keeper compares the deployment's record with what it finds and does what is missing, again and
again. All it remembers can be found out anew, so that an agent which was killed at any moment is
followed by one that goes on.
"""

import asyncio
import contextlib
import shutil
import signal
import traceback
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from moorage.errors import MoorageError
from moorage.plugin import DeploymentState, OperationState

from . import _deployment_records as records
from . import _processes, _unit
from ._agent_log import report
from ._apps import find_app
from ._deployment_options import DeploymentLimits, parse_options
from ._deployment_records import DeploymentRecord
from ._endpoint import PortTakenError
from ._rollout import AgentContext, Rollout, RolloutError, Serving, in_thread, restore
from ._runner import end_leftovers
from ._supervisor_errors import RefusedError, SupervisorError
from ._unit import UnitStatus

if TYPE_CHECKING:
    from ._gateway import Front, Upstream

_WATCH_S = 0.5  # between two looks at a unit that serves
_SUSPECT_S = 0.05  # between two looks at one that was started again
_RETRY_S = 1.0  # before what failed for a passing reason is tried again
_HEALTH_S = 3.0  # between two questions about the health of an app that serves
_ILL_S = 1.0  # the same, when it has not been well
_HEALTH_FAILURES = 3  # in a row, after which it is called degraded
_REPEAT_S = 0.5  # between two requests to a runner to end
_CRASH_WINDOW_S = 300.0
_MOST_CRASHES = 8  # within the window; more make it pointless to start it again
_STOP_MARGIN_S = 15.0  # beyond what an app may take to end


class Keeper:
    """The keeper of one deployment.

    Attributes:
        deployment_id: Whose.
        taken_over: Set when what an earlier agent left has been taken over, as far as possible.
        task: Its work; done when the deployment is gone.
    """

    def __init__(self, context: AgentContext, record: DeploymentRecord) -> None:
        self.deployment_id = record.id
        self._name = record.name
        self._context = context
        self._wake = asyncio.Event()
        self._serving: Serving | None = None
        self.taken_over = asyncio.Event()
        self._took_over = False
        self._retirements: set[asyncio.Task[None]] = set()
        self._limits = DeploymentLimits()
        self._health_due = 0.0
        self._health_failures = 0
        self._crashes: list[float] = []
        self.task = asyncio.ensure_future(self._run())

    @property
    def busy(self) -> bool:
        """Whether something is still being stopped."""
        return bool(self._retirements)

    def wake(self) -> None:
        """Have it look at the record again."""
        self._wake.set()

    async def close(self) -> None:
        """End its work; what runs goes on."""
        tasks = [self.task, *self._retirements]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._serving is not None:
            await self._serving.upstream.close()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                record = self._record()
                if record is None:
                    break
                pause = await self._step(record)
            except (SupervisorError, MoorageError, OSError) as exc:
                self.taken_over.set()
                # The supervisor is being replaced, or the disk is full, or the like.
                report(f"deployment {self._name}: {exc}")
                pause = _RETRY_S
            except Exception:  # noqa: BLE001  # a defect must not leave a deployment without keeper
                report(traceback.format_exc())
                pause = _RETRY_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    def _record(self) -> DeploymentRecord | None:
        with self._context.database.read() as connection:
            return records.deployment_with_id(connection, self.deployment_id)

    async def _step(self, record: DeploymentRecord) -> float | None:
        """Do what is to be done next; return the seconds until the next look."""
        if not self._took_over:
            await self._take_over(record)
            self._took_over = True
            self.taken_over.set()
        if record.deleting:
            await self._delete(record)
            return 0.0
        if record.observed < record.generation:
            work = self._bring_up(record) if record.running else self._bring_down(record)
            return await self._unless_changed(record, work)
        if record.running:
            return await self._watch(record)
        return None

    async def _unless_changed(
        self, record: DeploymentRecord, work: Coroutine[Any, Any, float]
    ) -> float:
        """Do this, unless something else is wanted before it is done."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                waiter = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
                waiter.cancel()
                if not task.done() and self._wake.is_set():
                    self._wake.clear()
                    found = self._record()
                    if found is None or found.generation != record.generation:
                        return 0.0
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    # -- after a start of the agent --------------------------------------------------------

    async def _take_over(self, record: DeploymentRecord) -> None:
        """Find out what an earlier agent left: take over what serves, end the rest."""
        with self._context.database.read() as connection:
            units = records.units_of(connection, record.id)
            serving = (
                records.revision(connection, record.id, record.revision)
                if record.revision is not None
                else None
            )
        if serving is not None and serving.unit in units and record.running:
            program = (await self._context.programs()).get(serving.unit)
            if program is not None and not program.ended:
                with self._context.database.read() as connection:
                    unit = _unit.read(connection, serving.unit)
                app = await in_thread(
                    lambda: find_app(
                        self._context.workdirs, serving.artifact_digest, "the artifact"
                    )
                )
                await self._context.gateway()
                self._serving = restore(self._context, serving, unit, app)
                self._limits = serving.limits
                units.remove(serving.unit)
        for unit_id in units:
            self._retire(unit_id)
        if self._serving is not None:
            with contextlib.suppress(PortTakenError):
                front = await self._open(record)
                front.current = self._serving.upstream

    # -- what is wanted --------------------------------------------------------------------

    async def _bring_up(self, record: DeploymentRecord) -> float:
        """Have the wanted revision serve."""
        serving = self._serving
        try:
            if serving is not None and serving.number == record.wanted:
                front = await self._open(record)
                front.current = serving.upstream
            else:
                serving = await self._roll_out(record, record.wanted)
        except RolloutError as exc:
            await self._fail(record, exc.message)
        except PortTakenError as exc:
            await self._fail(record, str(exc))
        else:
            await self._finish(record, serving)
        return 0.0

    async def _roll_out(self, record: DeploymentRecord, number: int) -> Serving:
        """Bring a revision up, and have it take the requests of the one that serves.

        Raises:
            RolloutError: It does not come up.
            PortTakenError: Another program listens on the deployment's port.
        """
        with self._context.database.read() as connection:
            revision = records.revision(connection, record.id, number)
        if revision is None:
            raise RolloutError(f"there is no revision {number} any more")
        self._limits = revision.limits
        rollout = Rollout(self._context, record, revision)
        try:
            serving = await rollout.run()
            await self._switch(record, serving)
        except BaseException:
            # Called off, perhaps in the very moment of the switch.
            before = self._serving
            if rollout.unit_id is not None and (
                before is None or before.unit_id != rollout.unit_id
            ):
                self._retire(rollout.unit_id, stop_timeout=revision.limits.stop_timeout)
            raise
        return serving

    async def _switch(self, record: DeploymentRecord, serving: Serving) -> None:
        """Have a revision that answers get the requests from now on."""
        front = await self._open(record)
        before, self._serving = self._serving, serving
        front.current = serving.upstream
        self._health_failures = 0
        self._crashes.clear()

        def write() -> None:
            with self._context.database.write() as connection:
                records.set_serving(connection, record, serving.number)

        try:
            await in_thread(write)
        finally:
            if before is not None:
                self._retire_serving(before)

    async def _finish(self, record: DeploymentRecord, serving: Serving) -> None:
        """Write that what was wanted is so."""

        def write() -> None:
            with self._context.database.write() as connection:
                records.set_state(connection, record, DeploymentState.READY, "ready")
                records.conclude(connection, record, OperationState.SUCCEEDED)
                records.release_revisions(connection, record.id)

        await in_thread(write)
        self._log(f"revision {serving.number} serves")

    async def _fail(self, record: DeploymentRecord, reason: str) -> None:
        """Write that the wanted revision does not come up; one that serves goes on."""
        message = f"revision {record.wanted} failed: {reason}"
        serving = self._serving
        # One that has served until the supervisor or the machine went down is restored later.
        lost = serving is None and record.revision not in (None, record.wanted)
        self._log(message)
        if (
            serving is None
            and (front := (await self._context.gateway()).get(record.id)) is not None
        ):
            front.absence = "its revision failed to start"

        def write() -> None:
            with self._context.database.write() as connection:
                records.set_failed(connection, record, reason)
                if serving is not None:
                    state, phase, said = self._steady(record, serving, reason)
                    records.set_state(connection, record, state, phase, said)
                elif lost:
                    degraded = DeploymentState.DEGRADED
                    records.set_state(connection, record, degraded, "restoring", message)
                else:
                    records.set_serving(connection, record, None)
                    records.set_state(connection, record, DeploymentState.FAILED, "failed", message)
                records.conclude(connection, record, OperationState.FAILED, message)
                records.release_revisions(connection, record.id)

        await in_thread(write)

    async def _bring_down(self, record: DeploymentRecord) -> float:
        """Have nothing run."""
        await self._end_everything(record.id, "it is stopped")

        def write() -> None:
            with self._context.database.write() as connection:
                records.set_serving(connection, record, None)
                records.set_state(connection, record, DeploymentState.STOPPED, "stopped")
                records.conclude(connection, record, OperationState.SUCCEEDED)
                records.release_revisions(connection, record.id)

        await in_thread(write)
        return 0.0

    async def _delete(self, record: DeploymentRecord) -> None:
        """Leave nothing of the deployment."""
        await self._end_everything(record.id, "it is deleted")

        def remove() -> None:
            shutil.rmtree(self._context.home.deployment(record.id), ignore_errors=True)
            with self._context.database.write() as connection:
                records.delete_deployment(connection, record.id)

        await in_thread(remove)

    async def _end_everything(self, deployment_id: str, absence: str) -> None:
        front = (await self._context.gateway()).get(deployment_id)
        if front is not None:
            front.absence = absence
            front.current = None
        if self._serving is not None:
            serving, self._serving = self._serving, None
            self._retire_serving(serving)
        while self._retirements:
            await asyncio.wait(set(self._retirements))
        await (await self._context.gateway()).close(deployment_id)

    # -- what serves -----------------------------------------------------------------------

    async def _watch(self, record: DeploymentRecord) -> float | None:
        """Look after what serves; return the seconds until the next look."""
        serving = self._serving
        if serving is None:
            if record.state is DeploymentState.FAILED:
                return None  # until somebody changes or starts it
            return await self._unless_changed(record, self._repair(record))
        if (await self._context.gateway()).get(record.id) is None:
            return await self._reopen(record, serving)
        program = (await self._context.programs(age=_WATCH_S / 2)).get(serving.unit_id)
        if program is None or program.state == "STOPPED":
            # The answer may be older than the unit: somebody else may have asked for it before.
            program = (await self._context.programs()).get(serving.unit_id)
        if program is None or program.state == "STOPPED":
            await self._lose(serving, "the supervisor has lost its app")
            return 0.0
        if program.state == "FATAL":
            await self._give_up(record, serving)
            return 0.0
        if serving.runner not in (program.pid, None) and await self._has_crashed_too_often(
            record, serving
        ):
            return 0.0
        if program.pid == 0:
            serving.runner = 0
            await self._degrade(
                record, "restarting", f"the app {self._ending(serving)} and is being started again"
            )
            return _SUSPECT_S
        if serving.runner != program.pid:
            # It was started again since the last look, or this is the first one.
            flaw = await self._probe(serving)
            if flaw is not None:
                await self._degrade(record, "restarting", f"the app was started again: {flaw}")
                return _SUSPECT_S
            serving.runner = program.pid
            self._health_failures = 0
        elif not await self._is_healthy(record, serving):
            return _WATCH_S
        await self._set(record, *self._steady(record, serving))
        return _WATCH_S

    async def _has_crashed_too_often(self, record: DeploymentRecord, serving: Serving) -> bool:
        """Note a crash; give up where it is one too many, though each came after a while."""
        if serving.runner == 0:
            return False  # noted already
        now = asyncio.get_running_loop().time()
        self._crashes = [*(at for at in self._crashes if now - at < _CRASH_WINDOW_S), now]
        if len(self._crashes) <= _MOST_CRASHES:
            return False
        await self._give_up(record, serving)
        return True

    async def _is_healthy(self, record: DeploymentRecord, serving: Serving) -> bool:
        """Ask the app for its health, where it has a path for that and it is time."""
        loop = asyncio.get_running_loop()
        if serving.health is None:
            return True
        if loop.time() < self._health_due:
            return self._health_failures < _HEALTH_FAILURES
        flaw = await self._probe(serving)
        self._health_due = loop.time() + (_ILL_S if flaw else _HEALTH_S)
        self._health_failures = self._health_failures + 1 if flaw else 0
        if flaw is not None and self._health_failures >= _HEALTH_FAILURES:
            await self._degrade(record, "unhealthy", f"the app is not healthy: {flaw}")
        return self._health_failures < _HEALTH_FAILURES

    async def _probe(self, serving: Serving) -> str | None:
        from ._health import probe  # there is an app, so the gateway is there

        return await probe(serving.upstream, serving.health)

    async def _repair(self, record: DeploymentRecord) -> float:
        """Have what should serve do so again, after the supervisor or the machine went down."""
        number = record.revision if record.revision is not None else record.wanted
        await self._set(record, DeploymentState.DEPLOYING, "restoring", "the app is being restored")
        try:
            serving = await self._roll_out(record, number)
        except PortTakenError as exc:
            message = f"the app cannot be restored now: {exc}"
            await self._set(record, DeploymentState.DEGRADED, "restoring", message)
            return _RETRY_S
        except RolloutError as exc:
            message = f"revision {number} could not be restored: {exc.message}"

            def write() -> None:
                with self._context.database.write() as connection:
                    records.set_serving(connection, record, None)
                    records.set_state(connection, record, DeploymentState.FAILED, "failed", message)

            await in_thread(write)
            return 0.0
        await self._set(record, *self._steady(record, serving))
        return 0.0

    async def _reopen(self, record: DeploymentRecord, serving: Serving) -> float:
        """Listen again, after the port was taken by somebody else."""
        try:
            front = await self._open(record)
        except PortTakenError as exc:
            await self._degrade(record, "unreachable", f"the deployment cannot be called: {exc}")
            return _RETRY_S
        front.current = serving.upstream
        return 0.0

    async def _give_up(self, record: DeploymentRecord, serving: Serving) -> None:
        """Call a deployment failed whose app has crashed again and again."""
        message = f"the app {self._ending(serving)}, again and again"
        front = (await self._context.gateway()).get(record.id)
        if front is not None:
            front.absence = "its app has crashed again and again"
            front.current = None
        self._log(message)

        def write() -> None:
            with self._context.database.write() as connection:
                records.set_serving(connection, record, None)
                records.set_state(connection, record, DeploymentState.FAILED, "crashed", message)

        await in_thread(write)
        self._serving = None
        self._retire_serving(serving)

    async def _lose(self, serving: Serving, why: str) -> None:
        self._log(f"revision {serving.number}: {why}")
        front = (await self._context.gateway()).get(self.deployment_id)
        if front is not None:
            front.absence = "its app is being restored"
            front.current = None
        self._serving = None
        self._retire(serving.unit_id)
        await serving.upstream.close()

    async def _degrade(self, record: DeploymentRecord, phase: str, message: str) -> None:
        await self._set(record, DeploymentState.DEGRADED, phase, message)

    def _steady(
        self, record: DeploymentRecord, serving: Serving, flaw: str | None = None
    ) -> tuple[DeploymentState, str, str]:
        """Return the state of a deployment whose app is well."""
        if serving.number == record.wanted:
            return DeploymentState.READY, "ready", ""
        if flaw is None:
            with self._context.database.read() as connection:
                wanted = records.revision(connection, record.id, record.wanted)
            flaw = wanted.message if wanted else "it is gone"
        return (
            DeploymentState.DEGRADED,
            "serving an older revision",
            f"revision {serving.number} serves, because revision {record.wanted} failed: {flaw}",
        )

    def _ending(self, serving: Serving) -> str:
        with contextlib.suppress(MoorageError):
            return self._status(serving.unit_id).message or "ended"
        return "ended"

    # -- what is over ----------------------------------------------------------------------

    def _retire_serving(self, serving: Serving) -> None:
        self._retire(
            serving.unit_id,
            upstream=serving.upstream,
            drain_timeout=serving.limits.drain_timeout,
            stop_timeout=serving.limits.stop_timeout,
        )

    def _retire(
        self,
        unit_id: str,
        *,
        upstream: "Upstream | None" = None,
        drain_timeout: float = 0.0,
        stop_timeout: float = 10.0,
    ) -> None:
        """Stop a unit in the background, after it has answered its requests."""

        async def work() -> None:
            if upstream is not None:
                cut = await upstream.drain(drain_timeout)
                if cut:
                    self._log(
                        f"{cut} requests took longer than {drain_timeout:g} s and were cut off"
                    )
                await upstream.close()
            while True:
                try:
                    if await self._end_unit(unit_id, stop_timeout):
                        return
                except (RefusedError, SupervisorError, MoorageError, OSError) as exc:
                    report(f"deployment {self._name}: unit {unit_id}: {exc}")
                await asyncio.sleep(_RETRY_S)

        task = asyncio.ensure_future(work())
        self._retirements.add(task)
        task.add_done_callback(self._retirements.discard)

    async def _end_unit(self, unit_id: str, stop_timeout: float) -> bool:
        """End a unit and forget it; return whether that was possible."""
        supervisor = self._context.supervisor

        def retire() -> None:
            with self._context.database.write() as connection:
                _unit.retire(connection, unit_id)

        await in_thread(retire)
        with contextlib.suppress(SupervisorError, TimeoutError):
            await in_thread(lambda: supervisor.stop(unit_id))
            async with asyncio.timeout(stop_timeout + _STOP_MARGIN_S):
                pause, waited = 0.01, 0.0
                while True:
                    program = (await self._context.programs()).get(unit_id)
                    if program is None or program.ended:
                        break
                    if waited > _REPEAT_S and (runner := _processes.identify(program.pid)):
                        # A runner that was asked before it was a runner, between the supervisor's
                        # fork and exec, does not know.
                        _processes.send_signal(runner, signal.SIGTERM)
                        waited = 0.0
                    await asyncio.sleep(pause)
                    waited += pause
                    pause = min(pause * 1.5, 0.25)
        try:
            status = self._status(unit_id)
        except MoorageError:
            status = UnitStatus()
        # A unit of a supervisor that died has to be ended without one.
        await in_thread(lambda: end_leftovers(unit_id, status, grace=stop_timeout))
        if not await in_thread(lambda: supervisor.remove(unit_id)):
            return False

        def forget() -> None:
            with self._context.database.write() as connection:
                _unit.delete(connection, unit_id)
                records.release_revisions(connection, self.deployment_id)

        await in_thread(forget)
        return True

    # -- small things ----------------------------------------------------------------------

    async def _open(self, record: DeploymentRecord) -> "Front":
        hosts = parse_options(record.spec.options).hosts
        gateway = await self._context.gateway()
        return await gateway.open(record.id, record.name, record.port, hosts)

    async def _set(
        self, record: DeploymentRecord, state: DeploymentState, phase: str, message: str
    ) -> None:
        if (record.state, record.phase, record.message) == (state, phase, message):
            return

        def write() -> None:
            with self._context.database.write() as connection:
                records.set_state(connection, record, state, phase, message)

        await in_thread(write)

    def _status(self, unit_id: str) -> UnitStatus:
        with self._context.database.read() as connection:
            return _unit.read_status(connection, unit_id)

    def _log(self, line: str) -> None:
        with contextlib.suppress(OSError):  # the disk is full; what happens matters more
            log = self._context.open_log(self.deployment_id, "agent", self._limits)
            with contextlib.closing(log):
                log.write("event", line.splitlines())
