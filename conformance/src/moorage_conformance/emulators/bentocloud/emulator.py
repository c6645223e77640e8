"""The emulator as tests use it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import web

from moorage.plugin import Clock

from .._emulator import Emulator
from .._fault_script import StorageFault
from .._pace import AT_ONCE, Pace
from .behaviour import Behaviour
from .endpoints import endpoints
from .errors import MissingError
from .faults import Refusal, TailFault
from .pods import Log, Pod
from .resources import CLUSTERS
from .routes import api
from .state import State
from .state_deployments import Deployment

TOKEN = "emulator-token-0123456789"  # noqa: S105  # good for an emulator alone
"""The token that every emulator knows, unless it is given another one."""


class BentoCloudEmulator(Emulator):
    """A server that speaks the protocol of BentoML's cloud.

    It has three origins: the API and its WebSockets, the object store that signed URLs lead to,
    and the endpoints of deployments. A deployment that is made is `running` at once, or after the
    statuses before it, at the pace that was asked for.

    Attributes:
        behaviour: What can be one way or another; change it at any time.
        state: What it holds, which is made anew by each start. Look at it, and change it, within
            `call` alone.
    """

    provider: ClassVar[str] = "bentocloud"

    def __init__(
        self,
        *,
        port: int = 0,
        pace: Pace = AT_ONCE,
        clock: Clock | None = None,
        run_apps: bool = False,
        token: str = TOKEN,
        prefix: str = "",
        behaviour: Behaviour | None = None,
    ) -> None:
        """Prepare it; nothing listens yet.

        Args:
            port: Where the API listens; 0 takes a free one.
            pace: How fast deployments go through their statuses.
            clock: The time, which a test may bring.
            run_apps: Whether the bentos that are deployed really run.
            token: A token of the API that is good from the beginning.
            prefix: A path that the API is below, such as `/cloud`; WebSockets stay at the root.
            behaviour: What can be one way or another.
        """
        super().__init__(port=port, pace=pace, clock=clock, run_apps=run_apps)
        self.token = token
        self.prefix = prefix
        self.behaviour = behaviour or Behaviour()
        self.state: State

    def applications(self) -> Sequence[web.Application]:
        """Return the API, the object store, and the endpoints."""
        self.state = State(
            self.clock, self.behaviour, self.token, self.origin, self.apps, _OwnOrigins(self)
        )
        self.state.deployer.pace = self.pace
        shared = endpoints(self.state)
        shared.on_cleanup.append(self._close_runner)
        return api(self.state, self.prefix), self.state.storage.application(), shared

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings that connect a profile to it."""
        return {"endpoint": self.url + self.prefix, "token": self.token}

    # What happens inside --------------------------------------------------------------------------

    def destine(self, deployment: str, *states: str) -> None:
        """Decide which statuses the next change of a deployment leads through.

        Args:
            deployment: Its name; it need not exist yet.
            states: In order; the last one stays.
        """
        self.call(lambda: self.state.deployer.destine(deployment, states))

    def set_status(self, deployment: str, status: str) -> None:
        """Let a deployment have a status from now on."""
        self._change(deployment, lambda found: found.go([status], self.pace))

    def finish(self, deployment: str) -> None:
        """Bring a deployment to the last status that it goes to."""
        self._change(deployment, lambda found: found.finish())

    def scale(self, deployment: str, replicas: int, *, service: str | None = None) -> None:
        """Let a deployment have so many pods, as its load would."""
        self._change(deployment, lambda found: found.scale(replicas, service))

    def say(
        self,
        deployment: str,
        *lines: str | bytes,
        service: str | None = None,
        replica: int | None = None,
        container: str = "main",
    ) -> None:
        """Let pods write lines.

        Args:
            deployment: Whose.
            lines: What they write.
            service: Only those of this service.
            replica: Only this one of them, from 0.
            container: `"main"`, or `"builder"` for the pod that builds the image.
        """

        def write() -> None:
            for log in self._logs(deployment, service, replica, container):
                log.write(lines)

        self.call(write)

    def end_logs(self, deployment: str) -> None:
        """Let the logs of all pods of a deployment end, as if they had stopped."""

        def end() -> None:
            for log in self._logs(deployment, None, None, "main"):
                log.end()

        self.call(end)

    def pods(self, deployment: str) -> Sequence[str]:
        """Return the names of the pods that run a deployment now."""
        return self.call(lambda: [pod.name for pod in self._deployment(deployment).pods])

    def agree_to_login(self) -> None:
        """Do what somebody does in a browser to whom a login sent a code."""
        self.call(
            lambda: self.state.tokens.codes.update(dict.fromkeys(self.state.tokens.codes, True))
        )

    # What goes wrong inside -----------------------------------------------------------------------

    def fail(self, *faults: Refusal | StorageFault | TailFault) -> None:
        """Let something fail that comes next."""

        def add() -> None:
            for fault in faults:
                match fault:
                    case Refusal(endpoint=True):
                        self.state.endpoint_refusals.add(fault)
                    case Refusal():
                        self.state.refusals.add(fault)
                    case StorageFault():
                        self.state.storage.fail(fault)
                    case TailFault():
                        self.state.tail_faults.add(fault)

        self.call(add)

    def drop_tail(self, after_lines: int, *, times: int = 1) -> None:
        """Let the connections of the next log streams break after so many lines."""
        self.fail(TailFault(after_lines=after_lines, times=times))

    async def _close_runner(self, _application: web.Application) -> None:
        if self.state.runner is not None:
            await self.state.runner.close()

    def _deployment(self, name: str) -> Deployment:
        for cluster in CLUSTERS:
            found = self.state.deployer.deployments.get((cluster, name))
            if found is not None:
                return found
        raise MissingError("deployment", name)

    def _change(self, name: str, change: Callable[[Deployment], object]) -> None:
        def apply() -> None:
            change(self._deployment(name))
            self.state.deployer.changed.notify()

        self.call(apply)

    def _logs(
        self, name: str, service: str | None, replica: int | None, container: str
    ) -> Sequence[Log]:
        deployment = self._deployment(name)
        found: list[Pod] = deployment.pods
        if container == "builder":
            found = [] if deployment.builder is None else [deployment.builder]
        if service is not None:
            found = [pod for pod in found if pod.service == service]
        if replica is not None:
            found = found[replica : replica + 1]
        return [pod.log for pod in found]


class _OwnOrigins:
    """Origins for single deployments, beside the three of the emulator."""

    def __init__(self, emulator: BentoCloudEmulator) -> None:
        self._emulator = emulator

    async def open(self, deployment: Deployment) -> str:
        application = endpoints(self._emulator.state, deployment)
        return await self._emulator.open_origin(application)

    async def close(self, url: str) -> None:
        await self._emulator.close_origin(url)
