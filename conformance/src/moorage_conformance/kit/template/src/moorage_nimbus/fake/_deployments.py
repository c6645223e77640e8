"""Deployments: each has a thread of its own, which makes one change after the other."""

import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any

from ._artifacts import App
from ._logs import Log
from ._moments import now
from ._programs import CrashedError, Program

Change = Callable[[int], None]
"""What the thread does; it gets the number of the request, to see whether it is still the last."""

MACHINES = ("small", "medium", "large")
MOST_REPLICAS = 10


class Operation:
    """One change: how far it is."""

    def __init__(self, number: int, deployment: "Deployment") -> None:
        self.id = f"op-{number}"
        self.deployment = deployment
        self.status = "running"
        self.reason = ""

    def shown(self) -> dict[str, Any]:
        """Return it in the API's words."""
        there = self.deployment.status != "removed"
        return {
            "id": self.id,
            "status": self.status,
            "reason": self.reason,
            "poll_after": 0.05 if self.status == "running" else None,
            "deployment": self.deployment.shown() if there else None,
        }


class Deployment:
    """One deployment. Its owner holds the lock when it changes what is asked for."""

    def __init__(self, number: int, name: str, gone: Callable[[], None]) -> None:
        self.id = f"dep-{number}"
        self.name = name
        self.spec: dict[str, Any] = {}
        self.status = "accepted"
        self.reason = ""
        self.revision = 0
        self.log = Log()
        self.created = self.updated = now()
        self.removal: Operation | None = None
        self._gone = gone
        self._program: Program | None = None
        self._serving: tuple[dict[str, Any], int] | None = None
        self._asked = 0
        self._changes: SimpleQueue[tuple[int, Change, Operation] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"fake-{name}", daemon=True)
        self._thread.start()

    def shown(self) -> dict[str, Any]:
        """Return it in the API's words."""
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "reason": self.reason,
            "spec": self.spec,
            "revision": str(self.revision),
            "ready": (self.spec.get("replicas") or 1) if self._program else 0,
            "created": self.created,
            "updated": self.updated,
        }

    @property
    def program(self) -> Program | None:
        """What answers requests now."""
        return self._program

    def replace(
        self, spec: dict[str, Any], app: App, env: Mapping[str, str], operation: Operation
    ) -> None:
        """Begin to run something else, or to run at all."""
        self.spec = spec
        self.revision += 1
        self._begin(
            "rolling_out" if self._program else "accepted", self._rolling(app, env), operation
        )

    def start(self, app: App, env: Mapping[str, str], operation: Operation) -> None:
        """Begin to run what is defined."""
        self._begin("accepted", self._rolling(app, env), operation)

    def halt(self, operation: Operation) -> None:
        """Begin to run nothing."""
        self._begin("halting", self._halt, operation)

    def remove(self, operation: Operation) -> None:
        """Begin to be gone; nothing can be asked for after that."""
        self.removal = operation
        self._begin("removing", self._remove, operation)

    def close(self) -> None:
        """End what runs, at the end of the fake."""
        self._changes.put(None)
        self._thread.join()

    def _begin(self, status: str, change: Change, operation: Operation) -> None:
        """Put a change behind those that are under way."""
        self._asked += 1
        self._set(self._asked, status)
        self._changes.put((self._asked, change, operation))

    def _set(self, number: int, status: str, reason: str = "") -> None:
        """Tell what became of a change, unless another one has been asked for since."""
        if number == self._asked:
            self.status, self.reason, self.updated = status, reason, now()

    def _work(self) -> None:
        while (asked := self._changes.get()) is not None:
            number, change, operation = asked
            try:
                change(number)
            except CrashedError as exc:
                operation.reason, operation.status = str(exc), "failed"
            else:
                operation.status = "done"
            if self.status == "removed":
                return
        self._end_program()
        self.log.finish("deleted")

    def _rolling(self, app: App, env: Mapping[str, str]) -> Change:
        spec, revision = self.spec, self.revision
        return lambda number: self._roll_out(number, spec, revision, app, env)

    def _roll_out(
        self,
        number: int,
        spec: dict[str, Any],
        revision: int,
        app: App,
        env: Mapping[str, str],
    ) -> None:
        self._set(number, "rolling_out")
        try:
            program = self._started(app, env, f"{self.name}-{revision}")
        except CrashedError as exc:
            if number == self._asked:
                self._go_back(number, str(exc))
            raise
        before, self._program = self._program, program
        self._serving = (spec, revision)
        self._set(number, "live")
        if before is not None:
            before.retire()

    def _started(self, app: App, env: Mapping[str, str], source: str) -> Program:
        """Return a program that is ready to serve.

        Raises:
            CrashedError: It is not, and has been ended.
        """
        service = app.manifest.service
        target = service.app if service else ""
        program = Program("serve", app.directory, target, env=env, log=self.log, source=source)
        try:
            program.wait_ready()
            if service is not None and service.health is not None:
                answer = program.call("GET", service.health, (), b"")
                if answer.status >= 400:
                    raise CrashedError(f"{service.health} answers {answer.status}")
        except CrashedError:
            program.end()
            raise
        return program

    def _go_back(self, number: int, reason: str) -> None:
        """Go on with what served before, if anything did."""
        if self._serving is not None and self._program is not None:
            self.spec, self.revision = self._serving
            self._set(number, "live")
        else:
            self._set(number, "crashed", reason)

    def _halt(self, number: int) -> None:
        self._end_program()
        self._set(number, "halted")

    def _remove(self, _number: int) -> None:
        self._end_program()
        self._gone()
        self.status = "removed"
        self.log.finish("deleted")

    def _end_program(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            program.retire()
