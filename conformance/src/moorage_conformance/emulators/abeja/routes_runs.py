"""Runs: a code version, called once with an input."""

import asyncio
import base64
import mimetypes
from typing import Any

import msgspec

from moorage import Job, JobState

from .call import Call, Route, number_of, text_of, texts_of
from .container import submit_run
from .datalake import add_file
from .errors import ApiError, bad_request
from .logs import ascending, descending
from .state import Deployment, Run, Wire, World, found

_D = "/organizations/{organization}/deployments/{deployment}"
_R = f"{_D}/runs/{{run}}"
_DATALAKE = "$datalake:1"

_STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
_REAL = {
    JobState.QUEUED: "PENDING",
    JobState.RUNNING: "RUNNING",
    JobState.SUCCEEDED: "SUCCEEDED",
    JobState.FAILED: "FAILED",
}


async def create_run(call: Call) -> Wire:
    """Make a run and begin it."""
    body = await call.body()
    world = call.world
    deployment = world.deployment(call["deployment"])
    version = deployment.wanted_version(text_of(body, "version_id"))
    input_data, output_template = body.get("input_data"), body.get("output_template")
    value, missing = _input_of(world, input_data)
    if output_template is not None:
        _channel_of(output_template)
    made = world.stamp()
    retries = number_of(body, "retry_count", 5, most=9)
    wire: Wire = {
        "deployment_id": deployment.id,
        "models": world.models_of(body),
        "model_version": version.wire["version"],
        "model_version_id": version.id,
        "input_data": input_data,
        "output_template": output_template,
        "retry_count": retries,
        "run_id": world.id("run"),
        "status": _STATES[0],
        "user_env_vars": texts_of(body, "environment"),
        "distribution": number_of(body, "distribution", 0, most=1_000_000),
        "created_at": made,
        "modified_at": made,
    }
    outcome = "SUCCEEDED" if version.key in world.store.objects and not missing else "FAILED"
    run = Run(wire, version, world.course(*_STATES, outcome))
    deployment.runs[run.id] = run
    if missing:
        run.log.add(f"the input cannot be fetched: {missing}", world.now())
    elif world.apps is not None:
        run.job_id = await submit_run(
            world, deployment, version, value, wire["user_env_vars"], retries, run.id
        )
    return dict(wire)


def _input_of(world: World, input_data: Any) -> tuple[dict[str, Any], str]:
    """Return what the container is given, and what it lacks.

    A file is fetched by the container and not when the run is made, so that a missing one lets the
    run fail.
    """
    if input_data is None:
        return {}, ""
    if not isinstance(input_data, dict | list):
        raise bad_request("input_data must be an object", field="input_data")
    if isinstance(input_data, dict) and _DATALAKE in input_data:
        channel_id, _, file_id = str(input_data[_DATALAKE]).partition("/")
        try:
            file = found(world.channel(channel_id).files, "file", file_id)
        except ApiError as exc:
            return {}, exc.description
        content = world.store.objects.get(file_id)
        return {
            "content_type": file["content_type"] or "application/octet-stream",
            "metadata": file["metadata"],
            "body": base64.b64encode(content.path.read_bytes() if content else b"").decode("ascii"),
        }, ""
    return {
        "content_type": "application/json",
        "metadata": {},
        "body": base64.b64encode(msgspec.json.encode(input_data)).decode("ascii"),
    }, ""


def _channel_of(output_template: Any) -> str:
    channel_id = output_template.get(_DATALAKE) if isinstance(output_template, dict) else None
    if not isinstance(channel_id, str):
        raise bad_request("output_template names no channel", field="output_template")
    return channel_id  # whether it is there shows when the output is stored


# Looking at runs ----------------------------------------------------------------------------------


def _of(call: Call) -> tuple[Deployment, Run]:
    deployment = call.world.deployment(call["deployment"])
    return deployment, found(deployment.runs, "run", call["run"])


async def _look(world: World, run: Run) -> Wire:
    """Bring a run up to date and return it."""
    if run.job_id is None or world.apps is None:
        run.wire["status"] = run.course.look()
        return run.wire
    if not run.finished:
        job = await asyncio.to_thread(world.apps.job, run.job_id)
        await _read(world, run)
        if job.state.terminal:
            _finish(world, run, job)
        run.wire["status"] = _REAL.get(job.state, "FAILED")
    return run.wire


async def _read(world: World, run: Run) -> None:
    if run.job_id is not None and world.apps is not None and not run.finished:
        records = await asyncio.to_thread(world.apps.job_log, run.job_id)
        run.log.take(records, world.now())


def _finish(world: World, run: Run, job: Job) -> None:
    if run.finished:
        return
    run.finished = True
    run.wire["modified_at"] = world.stamp()
    template = run.wire["output_template"]
    if job.state is JobState.SUCCEEDED and template is not None:
        _store_output(world, run, _channel_of(template), job.output)


def _store_output(world: World, run: Run, channel_id: str, output: dict[str, Any]) -> None:
    """Put what the handler returned into the channel, under the name that the platform gives it."""
    extension = mimetypes.guess_extension(output["content_type"]) or ""
    metadata = {
        f"x-abeja-meta-{name}": value
        for name, value in output["metadata"].items()
        if not name.startswith("x-")
    }
    metadata["x-abeja-meta-filename"] = f"{run.id}_0{extension}"
    try:
        add_file(
            world,
            world.channel(channel_id),
            base64.b64decode(output["body"]),
            content_type=output["content_type"],
            metadata=metadata,
            conflict_target="filename",
        )
    except ApiError as exc:
        run.log.add(f"the output cannot be stored: {exc.description}", world.now())


async def get_run(call: Call) -> Wire:
    """Show one."""
    return await _look(call.world, _of(call)[1])


async def get_runs(call: Call) -> Wire:
    """List runs by pages, newest first unless asked for otherwise."""
    world = call.world
    deployment = world.deployment(call["deployment"])
    runs = list(deployment.runs.values())
    if not call.flag("scan_forward"):
        runs.reverse()
    token = call.text("next_page_token")
    begin = 0
    if token is not None:
        ids = [f"p-{run.id}" for run in runs]
        if token not in ids:
            raise bad_request(f"{token} is not a token of this list")
        begin = ids.index(token) + 1  # after that run, whatever was begun meanwhile
    page = runs[begin : begin + world.run_page]
    more = begin + world.run_page < len(runs)
    entries = [await _look(world, run) for run in page]
    return {"entries": entries, "next_page_token": f"p-{page[-1].id}" if more else None}


async def get_logs(call: Call) -> Wire:
    """Answer the ascending family."""
    _, run = _of(call)
    await _read(call.world, run)
    return ascending(call, run.log.events)


async def get_recent_logs(call: Call) -> Wire:
    """Answer the descending family."""
    _, run = _of(call)
    await _read(call.world, run)
    return descending(call, run.log.events)


ROUTES: list[Route] = [
    ("POST", f"{_D}/runs", create_run),
    ("GET", f"{_D}/runs", get_runs),
    ("GET", f"{_D}/runs/", get_runs),
    ("GET", _R, get_run),
    ("GET", f"{_R}/logs", get_logs),
    ("GET", f"{_R}/recentlogs", get_recent_logs),
]
