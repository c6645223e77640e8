"""Jobs: each has a thread that runs it as a process, as often as it may fail."""

import threading
from collections.abc import Mapping
from typing import Any

from ._artifacts import App
from ._logs import Log
from ._moments import now
from ._programs import CrashedError, Program


class Job:
    """One job."""

    def __init__(
        self,
        number: int,
        new: Mapping[str, Any],
        app: App,
        env: Mapping[str, str],
    ) -> None:
        self.id = f"job-{number}"
        self.log = Log()
        self.status = "waiting"
        self._new = new
        self._app = app
        self._env = env
        self._output: Any = None
        self._reason = ""
        self._runs = 0
        self._created = now()
        self._started: str | None = None
        self._ended: str | None = None
        self._program: Program | None = None
        self._aborted = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name=f"fake-{self.id}", daemon=True)

    def begin(self) -> None:
        """Run it."""
        self._thread.start()

    @property
    def going(self) -> bool:
        """Whether it has not ended."""
        return self._ended is None

    def uses(self, *, artifact: str = "", secret: str = "") -> bool:
        """Return whether it still needs something."""
        return self.going and (artifact == self._new["artifact"] or secret in self._new["secrets"])

    def shown(self, *, output: bool = True) -> dict[str, Any]:
        """Return it in the API's words."""
        return {
            "id": self.id,
            "status": self.status,
            "entrypoint": self._new["entrypoint"],
            "artifact": self._new["artifact"],
            "output": self._output if output else None,
            "reason": self._reason,
            "runs": self._runs,
            "key": self._new["key"],
            "created": self._created,
            "started": self._started,
            "ended": self._ended,
        }

    def abort(self) -> None:
        """Ask for its end."""
        with self._lock:
            self._aborted = True
            if self._program is not None:
                self._program.kill()

    def close(self) -> None:
        """End it and wait for that, at the end of the fake."""
        self.abort()
        self._thread.join()

    def _work(self) -> None:
        for _ in range(1 + self._new["retries"]):
            if self._run_once():
                self._end("completed", "")
                return
            if self._aborted:
                break
        self._end("aborted" if self._aborted else "errored", self._reason)

    def _run_once(self) -> bool:
        handler = self._app.manifest.jobs[self._new["entrypoint"]].handler
        with self._lock:
            if self._aborted:
                self._reason = "aborted before it began"
                return False
            self._runs += 1
            self._started = now()
            self._program = program = Program(
                "job",
                self._app.directory,
                handler,
                env=self._env,
                log=self.log,
                source=f"{self.id}-{self._runs}",
            )
            self.status = "active"
        overrun = threading.Event()
        timer = _timer(self._new["time_limit"], overrun, program)
        try:
            self._output = program.run(self._new["input"])
        except CrashedError as exc:
            self._reason = "aborted" if self._aborted else str(exc)
            if overrun.is_set():
                self._reason = f"it took longer than {self._new['time_limit']:g} s"
            return False
        finally:
            timer.cancel()
        return True

    def _end(self, status: str, reason: str) -> None:
        self._reason = reason
        self._ended = now()
        self.status = status
        self.log.finish("finished")


def _timer(seconds: float | None, overrun: threading.Event, program: Program) -> threading.Timer:
    """Return a timer that ends a program, and runs unless there is no limit."""

    def end() -> None:
        overrun.set()
        program.kill()

    timer = threading.Timer(seconds or 0.0, end)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    return timer
