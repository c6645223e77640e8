"""Deployments: each has a thread of its own, which makes one change after the other."""

import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any

from ._artifacts import App
from ._logs import Log
from ._moments import now
from ._programs import CrashedError, Program

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
        self._gone = gone
        self._program: Program | None = None
        self._serving: tuple[dict[str, Any], int] | None = None
        self._changes: SimpleQueue[Callable[[], bool]] = SimpleQueue()
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
        self._set("rolling_out" if self._program else "accepted")
        revision = self.revision
        self._changes.put(lambda: self._roll_out(spec, revision, app, env, operation))

    def start(self, app: App, env: Mapping[str, str], operation: Operation) -> None:
        """Begin to run what is defined."""
        self._set("accepted")
        spec, revision = self.spec, self.revision
        self._changes.put(lambda: self._roll_out(spec, revision, app, env, operation))

    def halt(self, operation: Operation) -> None:
        """Begin to run nothing."""
        self._set("halting")
        self._changes.put(lambda: self._halt(operation))

    def remove(self, operation: Operation) -> None:
        """Begin to be gone."""
        self._set("removing")
        self._changes.put(lambda: self._remove(operation))

    def close(self) -> None:
        """End what runs, at the end of the fake."""
        self._changes.put(self._close)
        self._thread.join()

    def _work(self) -> None:
        while self._changes.get()():
            pass

    def _set(self, status: str, reason: str = "") -> None:
        self.status = status
        self.reason = reason
        self.updated = now()

    def _roll_out(
        self,
        spec: dict[str, Any],
        revision: int,
        app: App,
        env: Mapping[str, str],
        operation: Operation,
    ) -> bool:
        self._set("rolling_out")
        service = app.manifest.service
        target = service.app if service else ""
        source = f"{self.name}-{revision}"
        program = Program("serve", app.directory, target, env=env, log=self.log, source=source)
        try:
            program.wait_ready()
            if service is not None and service.health is not None:
                answer = program.call("GET", service.health, (), b"")
                if answer.status >= 400:
                    raise CrashedError(f"{service.health} answers {answer.status}")
        except CrashedError as exc:
            program.retire()
            self._fail(operation, str(exc))
            return True
        before, self._program = self._program, program
        self._serving = (spec, revision)
        self._set("live")
        if before is not None:
            before.retire()
        operation.status = "done"
        return True

    def _fail(self, operation: Operation, reason: str) -> None:
        """Go on with what served before, if anything did."""
        if self._serving is not None and self._program is not None:
            self.spec, self.revision = self._serving
            self._set("live")
        else:
            self._set("crashed", reason)
        operation.reason = reason
        operation.status = "failed"

    def _halt(self, operation: Operation) -> bool:
        self._end_program()
        self._set("halted")
        operation.status = "done"
        return True

    def _remove(self, operation: Operation) -> bool:
        self._end_program()
        self._gone()
        self.status = "removed"
        self.log.finish("deleted")
        operation.status = "done"
        return False

    def _close(self) -> bool:
        self._end_program()
        self.log.finish("deleted")
        return False

    def _end_program(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            program.retire()
