"""Running the declared process of a release that is no portable app."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from moorage.errors import NotFoundError, OperationFailedError, UnavailableError
from moorage.plugin import Reply

from .._forwarding import forwarded
from .releases import Process

_PATIENCE_S = 60.0
_GRACE_S = 5.0
_LARGEST_OUTPUT = 4000


class ProcessRunner:
    """Processes by the id of their space; each is started by its first request.

    There is no image: the command runs in the unpacked release, with the Python that runs the
    emulator first on `PATH`, and `PORT` says where to listen instead of the declared port.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._apps: dict[str, _App] = {}

    def deploy(self, space_id: str, directory: Path, process: Process | None) -> None:
        """Let a space stand for a process, which replaces what it stood for."""
        with self._lock:
            before = self._apps.pop(space_id, None)
            self._apps[space_id] = _App(directory, process)
        if before is not None:
            before.end()

    def remove(self, space_id: str) -> None:
        """End the process of a space."""
        with self._lock:
            app = self._apps.pop(space_id, None)
        if app is not None:
            app.end()

    def call(
        self,
        space_id: str,
        method: str,
        target: str,
        *,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
    ) -> Reply:
        """Send a request to the process of a space and return what it answers.

        Raises:
            NotFoundError: Nothing is deployed, or nothing of it answers requests.
            OperationFailedError: It does not start.
            UnavailableError: It does not answer.
        """
        with self._lock:
            app = self._apps.get(space_id)
        if app is None:
            raise NotFoundError("nothing is deployed here")
        return app.call(method, target, headers, body)

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            apps, self._apps = list(self._apps.values()), {}
        for app in apps:
            app.end()


class _App:
    """One process."""

    def __init__(self, directory: Path, process: Process | None) -> None:
        self._directory = directory
        self._process = process
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._port = 0

    def call(
        self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes | None
    ) -> Reply:
        with self._lock:
            if self._running is None or self._running.poll() is not None:
                self._start()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_S)
        try:
            connection.request(method, target, body, forwarded(headers))
            reply = connection.getresponse()
            lines = tuple((name.lower(), value) for name, value in reply.getheaders())
            return Reply(status=reply.status, headers=lines, content=reply.read())
        except (OSError, http.client.HTTPException) as exc:
            raise UnavailableError(f"the process does not answer: {exc}") from exc
        finally:
            connection.close()

    def end(self) -> None:
        with self._lock:
            running, self._running = self._running, None
            output, self._output = self._output, None
        if output is not None:
            output.close()
        if running is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(running.pid, number)
            except ProcessLookupError:
                break
            try:
                running.wait(_GRACE_S)
                break
            except subprocess.TimeoutExpired:
                continue
        running.wait()

    def _start(self) -> None:
        if self._process is None:
            raise NotFoundError("no process of the release answers requests")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        if self._output is not None:
            self._output.close()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # read while the process runs
        self._running = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {self._process.command}"],
            cwd=self._directory,
            env={**os.environ, "PATH": path, "PORT": str(self._port)},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + _PATIENCE_S
        while not self._healthy():
            if self._running.poll() is not None or time.monotonic() > deadline:
                raise OperationFailedError(f"the process does not start: {self._said()}")
            time.sleep(0.05)

    def _healthy(self) -> bool:
        check = self._process.health_check if self._process else None
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=1)
        try:
            connection.connect()
            if check is None:
                return True
            connection.request("GET", check)
            return connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _said(self) -> str:
        if self._output is None:
            return ""
        self._output.seek(0)
        return self._output.read()[-_LARGEST_OUTPUT:].decode("utf-8", "replace")
