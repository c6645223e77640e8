"""Runs the suite's probe app inside the process of a fake: its service and its jobs."""

from __future__ import annotations

import builtins
import contextlib
import threading
import traceback
import types
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote


class CancelledRunError(Exception):
    """Ends a job that naps."""


class _Pathless:
    """What the app's `Path(__file__).with_name(...)` finds: the files that were pushed."""

    def __init__(self, files: Mapping[str, bytes], name: str = "") -> None:
        self._files = files
        self._name = name

    def with_name(self, name: str) -> _Pathless:
        return _Pathless(self._files, name)

    def read_text(self) -> str:
        return self._files[self._name].decode()


def _load(
    files: Mapping[str, bytes],
    name: str,
    env: Mapping[str, str],
    say: Callable[[str], object],
    cancelled: threading.Event,
) -> dict[str, Any]:
    class Event:
        def wait(self, seconds: float) -> None:
            if cancelled.wait(seconds):
                raise CancelledRunError

    def spoken(*words: object, **_: object) -> None:
        say(" ".join(map(str, words)))

    found = {
        "os": types.SimpleNamespace(environ=dict(env)),
        "pathlib": types.SimpleNamespace(Path=lambda _: _Pathless(files)),
        "threading": types.SimpleNamespace(Event=Event),
    }

    def load(module: str, *rest: Any) -> Any:
        return found.get(module) or builtins.__import__(module, *rest)

    space: dict[str, Any] = {
        "__builtins__": {**vars(builtins), "print": spoken, "__import__": load},
        "__file__": name,
        "__name__": name.removesuffix(".py"),
    }
    exec(compile(files[name], name, "exec"), space)
    return space


class ProbeApp:
    """The probe as a service."""

    def __init__(
        self, files: Mapping[str, bytes], env: Mapping[str, str], say: Callable[[str], object]
    ) -> None:
        self._app = _load(files, "probe_app.py", env, say, threading.Event())["app"]

    async def answer(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        path, _, query = target.partition("?")
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "query_string": query.encode(),
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in headers],
        }
        await self._app(scope, receive, send)
        content = b"".join(message.get("body", b"") for message in sent)
        told = [(k.decode(), v.decode()) for k, v in sent[0]["headers"]]
        return sent[0]["status"], told, content


class ProbeRun:
    """One run of one of the probe's jobs, in a thread."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        entrypoint: str,
        value: Any,
        *,
        env: Mapping[str, str],
        say: Callable[[str], object],
        ended: Callable[[str, Any], object],
        timeout: float | None,
        retries: int,
    ) -> None:
        self.cancelled = threading.Event()
        self.attempts = 0
        self._timer = threading.Timer(timeout, self.cancelled.set) if timeout else None
        self._asked = False

        def run() -> None:
            state, output = "failed", None
            while state == "failed" and self.attempts <= retries and not self.cancelled.is_set():
                self.attempts += 1
                try:
                    jobs = _load(files, "probe_jobs.py", env, say, self.cancelled)
                    call = jobs[entrypoint]
                    state, output = "succeeded", call() if value is None else call(value)
                except CancelledRunError:
                    state = "cancelled" if self._asked else "failed"
                except Exception:  # noqa: BLE001  # whatever a job raises stands in its log
                    for line in traceback.format_exc().splitlines():
                        say(line)
            if self._timer is not None:
                self._timer.cancel()
            ended(state, output)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def cancel(self) -> None:
        self._asked = True
        self.cancelled.set()

    def join(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._thread.join(10)
