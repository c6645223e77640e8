"""Tasks: how BentoML lets calls of a service run in the background."""

import re
import uuid
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from moorage.plugin import Clock

from .runner import Runner
from .state_deployments import Deployment

_PATH = re.compile(r"(/.+)/(submit|status|get|retry|cancel)")
_METHODS = {
    "submit": "POST",
    "status": "GET",
    "get": "GET",
    "retry": "POST",
    "cancel": "PUT",
}
_STATUSES = {
    "queued": "in_progress",
    "running": "in_progress",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "canceled",
}


class Task(msgspec.Struct, frozen=True):
    """One call in the background."""

    id: str
    name: str
    value: Any
    job: str
    created_at: datetime


class Tasks:
    """The tasks of all deployments."""

    def __init__(self, runner: Runner, clock: Clock) -> None:
        self._runner = runner
        self._clock = clock
        self._tasks: dict[str, Task] = {}

    async def answer(
        self, request: web.Request, deployment: Deployment, path: str
    ) -> web.Response | None:
        """Answer a request that is about a task; return `None` for any other.

        The path of a job by itself is the app's own, which may have a route of that name.
        """
        found = _PATH.fullmatch(path)
        route = None if found is None else _route(deployment, found[1])
        if found is None or route is None:
            return None
        action = found[2]
        if request.method != _METHODS[action]:
            return _reply({"error": "Method Not Allowed"}, 405)
        if action == "submit":
            value = _value(route, await request.read())
            return _begun(await self._submit(deployment, route["name"], value))
        task_id = request.query.get("task_id")
        if not task_id:
            return _reply({"error": "task_id is required"}, 400)
        known = self._tasks.get(f"{deployment.uid}/{task_id}")
        if known is None:
            return _reply({"error": "task_id not found"}, 404)
        if action == "status":
            return await self._status(known)
        if action == "cancel":
            await self._runner.cancel(known.job)
            return await self._status(known)
        result = await self._result(known)
        if action == "retry" and result.status != 400:
            again = await self._submit(deployment, known.name, known.value)
            return _begun(again)
        return result

    async def _submit(self, deployment: Deployment, name: str, value: Any) -> Task:
        job = await self._runner.submit(deployment, name, value)
        made = Task(uuid.uuid4().hex, name, value, job, self._clock.now())
        self._tasks[f"{deployment.uid}/{made.id}"] = made
        return made

    async def _status(self, task: Task) -> web.Response:
        job = await self._runner.job(task.job)
        return _reply(
            {
                "task_id": task.id,
                "status": _STATUSES.get(job.state, "failed"),
                "created_at": task.created_at.isoformat(),
                "executed_at": job.started_at.isoformat() if job.started_at else None,
            }
        )

    async def _result(self, task: Task) -> web.Response:
        job = await self._runner.job(task.job)
        if not job.state.terminal or job.state == "cancelled":
            return _reply({"error": f"task {task.id} is not completed yet"}, 400)
        if job.state == "succeeded":
            return _reply(job.output)
        return _reply({"error": job.message}, 422)


def _route(deployment: Deployment, route: str) -> dict[str, Any] | None:
    """Return what the bento says of a task."""
    for each in deployment.schema.get("routes") or ():
        if each.get("route") == route and each.get("is_task"):
            found: dict[str, Any] = each
            return found
    return None


def _value(route: dict[str, Any], body: bytes) -> Any:
    """Return the input of a job: the one parameter `input` where the task has that."""
    try:
        content = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError:
        content = {}
    parameters = (route.get("input") or {}).get("properties") or {}
    if "input" in parameters and isinstance(content, dict):
        return content.get("input")
    return content


def _begun(task: Task) -> web.Response:
    return _reply({"task_id": task.id, "status": "in_progress"})


def _reply(content: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(content), content_type="application/json"
    )
