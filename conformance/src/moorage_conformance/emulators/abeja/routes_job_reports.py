"""What a training job that runs elsewhere says of itself, by a token of its own."""

from typing import Any

from .call import Call, Route, optional_text
from .errors import ApiError, bad_request
from .routes_training import definition_of, result_key
from .state import TRAINING_STATES, Definition, Wire, found, stamp

_J = "/organizations/{organization}/training/definitions/{definition}/jobs/{job}"
_MOST_BYTES = 1024 * 1024


def _of(call: Call) -> tuple[Definition, Wire]:
    definition = definition_of(call)
    return definition, found(definition.jobs, "training job", call["job"])


def _moment(body: dict[str, Any], name: str) -> str | None:
    text = optional_text(body, name)
    if text is None:
        return None
    return stamp(Call.moment_of(name, text))


async def put_status(call: Call) -> Wire:
    """Take a state, with when it began or ended."""
    definition, job = _of(call)
    body = await call.body()
    status = body.get("status")
    if status not in TRAINING_STATES:
        raise bad_request(f"{status} is not a state of a training job", field="status")
    times = {name: _moment(body, name) for name in ("start_time", "completion_time")}
    definition.courses[job["id"]] = call.world.course(status)
    job.update(
        {name: told for name, told in times.items() if told is not None},
        status=status,
        modified_at=call.world.stamp(),
    )
    return job


async def post_logs(call: Call) -> Wire:
    """Take lines, at most a mebibyte of them at once; there is no call that reads them."""
    definition, job = _of(call)
    if len(await call.request.read()) > _MOST_BYTES:
        raise ApiError(413, "there are more lines than can be taken at once")
    lines = (await call.body()).get("logs")
    if not isinstance(lines, list) or not all(
        isinstance(line, dict) and isinstance(line.get("message"), str) for line in lines
    ):
        raise bad_request("logs must be a list of lines", field="logs")
    definition.job_lines.setdefault(job["id"], []).extend(line["message"] for line in lines)
    return {"message": f"{len(lines)} lines of {job['id']} taken"}


async def post_result(call: Call) -> Wire:
    """Tell where the archive with the results is to be put."""
    _, job = _of(call)
    return {"uri": call.world.store.sign("PUT", result_key(job))}


ROUTES: list[Route] = [
    ("PUT", f"{_J}/status", put_status),
    ("POST", f"{_J}/logs", post_logs),
    ("POST", f"{_J}/result", post_result),
]
