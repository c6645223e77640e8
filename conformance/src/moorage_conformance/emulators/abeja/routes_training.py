"""Training: definitions, their versions and jobs."""

import io
import re
import secrets
import zipfile
from typing import Any

from .._incoming import json_object
from .call import Call, Route, optional_text, page_of, text_of, texts_of, without_archived
from .errors import bad_request, not_found
from .state import ORGANIZATION_ID, Definition, Wire, found, newest_first

_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b")
_T = "/organizations/{organization}/training/definitions"
_N = f"{_T}/{{definition}}"
_V = f"{_N}/versions/{{version}}"
_J = f"{_N}/jobs/{{job}}"

_INSTANCE_TYPE = re.compile(r"(?:cpu|gpu)(?::[abcd])?-\d+(?:\.\d+)?")
# Which image is taken where none is named is an assumption.
_IMAGE = "abeja-inc/all-gpu:19.10"
_FINAL = frozenset({"Stopped", "Complete", "Failed"})


def definition_of(call: Call) -> Definition:
    """Return the definition that a path names."""
    return call.world.definition(call["definition"])


def archived(call: Call, wire: Wire, noun: str, *, value: bool) -> Wire:
    """Archive something, or take it back, and return what is said about that."""
    wire.update(archived=value, modified_at=call.world.stamp())
    return {"message": f"{noun} {'archived' if value else 'unarchived'}"}


# Definitions --------------------------------------------------------------------------------------


async def create_definition(call: Call) -> Wire:
    """Make a definition; its name is unique."""
    name = text_of(await call.body(), "name")
    world = call.world
    if name in world.definitions:
        raise bad_request(f"training job definition {name} already exists", field="name")
    made = world.stamp()
    definition = Definition(
        {
            "job_definition_id": world.number(),
            "organization_id": ORGANIZATION_ID,
            "name": name,
            "archived": False,
            "tensorboard_count": 0,
            "created_at": made,
            "modified_at": made,
        }
    )
    world.definitions[name] = definition
    return definition.seen()


async def get_definitions(call: Call) -> Wire:
    """List them by pages."""
    definitions = [definition.seen() for definition in call.world.definitions.values()]
    return _page(call, without_archived(call, newest_first(definitions)), 50)


def _page(call: Call, items: list[Wire], limit: int) -> Wire:
    page, offset, limit = page_of(call, items, limit)
    return {"entries": page, "offset": offset, "limit": limit, "total": len(items)}


async def get_definition(call: Call) -> Wire:
    """Show one, with its jobs where the query asks for them."""
    definition = definition_of(call)
    jobs = [_look(definition, job_id) for job_id in definition.jobs]
    return {**definition.seen(), "jobs": jobs if call.flag("include_jobs") else None}


async def delete_definition(call: Call) -> Wire:
    """Delete one."""
    definition = definition_of(call)
    del call.world.definitions[definition.wire["name"]]
    return {"message": f"{definition.wire['name']} deleted"}


async def archive_definition(call: Call) -> Wire:
    """Archive one."""
    definition = definition_of(call)
    return archived(call, definition.wire, definition.wire["name"], value=True)


async def unarchive_definition(call: Call) -> Wire:
    """Take one back from the archive."""
    definition = definition_of(call)
    return archived(call, definition.wire, definition.wire["name"], value=False)


# Versions -----------------------------------------------------------------------------------------


async def create_version(call: Call) -> Wire:
    """Take the source of a version: a zip or a gzipped tar, whatever its part is called."""
    definition, world = definition_of(call), call.world
    async with call.form("source_code") as form:
        if "source_code" not in form.files or "parameters" not in form.texts:
            raise bad_request("the parts source_code and parameters are required")
        content = form.files["source_code"].content
        with content.path.open("rb") as file:
            if not file.read(4).startswith(_ARCHIVES):
                raise bad_request("source_code is neither a zip nor a gzipped tar")
        parameters = json_object(form.texts["parameters"].encode())
        version = _new_version(call, definition, parameters)
        world.store.keep(_source_key(version), content)
        return version


def _source_key(version: Wire) -> str:
    return f"{version['job_definition_id']}/{version['job_definition_version']}/source"


async def create_version_from_git(call: Call) -> Wire:
    """Make a version that the platform fetches itself; nothing is fetched here."""
    body = await call.body()
    text_of(body, "git_url")
    return _new_version(call, definition_of(call), body)


def _new_version(call: Call, definition: Definition, parameters: dict[str, Any]) -> Wire:
    number = 1 + max(definition.versions, default=0)
    made = call.world.stamp()
    environment = texts_of(parameters, "environment")
    version: Wire = {
        "job_definition_id": definition.wire["job_definition_id"],
        "job_definition_version": number,
        "handler": text_of(parameters, "handler"),
        "image": optional_text(parameters, "image") or _IMAGE,
        "environment": environment,
        "user_parameters": environment,
        "datasets": parameters.get("datasets") or {},
        "description": optional_text(parameters, "description") or "",
        "archived": False,
        "created_at": made,
        "modified_at": made,
    }
    definition.versions[number] = version
    return version


def _version_of(call: Call) -> Wire:
    text = call["version"]
    versions = {str(number): version for number, version in definition_of(call).versions.items()}
    return found(versions, "version", text)


async def get_versions(call: Call) -> Wire:
    """List them all."""
    versions = newest_first(list(definition_of(call).versions.values()))
    return {"entries": without_archived(call, versions), "total": len(versions)}


async def get_version(call: Call) -> Wire:
    """Show one."""
    return _version_of(call)


async def patch_version(call: Call) -> Wire:
    """Change its description."""
    version = _version_of(call)
    description = optional_text(await call.body(), "description")
    version.update(description=description, modified_at=call.world.stamp())
    return version


async def archive_version(call: Call) -> Wire:
    """Archive one."""
    return archived(call, _version_of(call), call["version"], value=True)


async def unarchive_version(call: Call) -> Wire:
    """Take one back from the archive."""
    return archived(call, _version_of(call), call["version"], value=False)


async def delete_version(call: Call) -> Wire:
    """Delete one."""
    version = _version_of(call)
    del definition_of(call).versions[version["job_definition_version"]]
    call.world.store.delete(_source_key(version))
    return {"message": f"{call['version']} deleted"}


async def get_source(call: Call) -> Wire:
    """Tell where its source is."""
    key = _source_key(_version_of(call))
    if key not in call.world.store.objects:
        raise not_found("source of version", call["version"])
    return {"download_uri": call.world.store.sign("GET", key)}


# Jobs ---------------------------------------------------------------------------------------------


async def create_job(call: Call) -> Wire:
    """Begin a job. It trains nothing: it goes through its states and leaves a small result."""
    body = await call.body(optional=True)
    definition, version, world = definition_of(call), _version_of(call), call.world
    instance_type = optional_text(body, "instance_type") or "cpu-1"
    if not _INSTANCE_TYPE.fullmatch(instance_type):
        raise bad_request(f"{instance_type} is not an instance type", field="instance_type")
    made, job_id = world.stamp(), world.number()
    environment = {**version["environment"], **texts_of(body, "environment")}
    job: Wire = {
        "id": job_id,
        "training_job_id": job_id,
        "job_definition_id": definition.wire["job_definition_id"],
        "job_definition_version": version["job_definition_version"],
        "status": "Pending",
        "status_message": None,
        "exec_env": optional_text(body, "exec_env") or "cloud",
        "instance_type": instance_type,
        "environment": environment,
        "user_parameters": environment,
        "datasets": body.get("datasets") or {},
        "description": optional_text(body, "description"),
        "statistics": None,
        "archived": False,
        "creator": world.creator,
        "start_time": None,
        "completion_time": None,
        "created_at": made,
        "modified_at": made,
    }
    definition.jobs[job_id] = job
    if job["exec_env"] != "local":
        definition.courses[job_id] = world.course("Pending", "Active", "Complete")
        return dict(job)
    definition.courses[job_id] = world.course("Pending")  # it says itself how far it is
    token = f"job-{secrets.token_hex(16)}"
    world.job_tokens.add(token)
    return {**job, "token": token}


def _look(definition: Definition, job_id: str) -> Wire:
    job = found(definition.jobs, "training job", job_id)
    job["status"] = definition.courses[job_id].look()
    return job


def _timed(call: Call, job: Wire) -> Wire:
    """Return a job with the times that its state implies."""
    if job["status"] != "Pending" and job["start_time"] is None:
        job["start_time"] = call.world.stamp()
    if job["status"] in _FINAL and job["completion_time"] is None:
        job["completion_time"] = call.world.stamp()
    return job


async def get_jobs(call: Call) -> Wire:
    """List jobs by pages, newest first."""
    definition = definition_of(call)
    jobs = [_timed(call, _look(definition, job_id)) for job_id in reversed(definition.jobs)]
    return _page(call, without_archived(call, jobs), 10)


async def get_job(call: Call) -> Wire:
    """Show one."""
    return _timed(call, _look(definition_of(call), call["job"]))


async def stop_job(call: Call) -> Wire:
    """Stop one that has not ended."""
    definition = definition_of(call)
    job = _look(definition, call["job"])
    if job["status"] in _FINAL:
        raise bad_request(f"training job {job['id']} has ended")
    definition.courses[job["id"]] = call.world.course(job["status"], "Stopped")
    return {"message": f"{job['id']} stopped"}


def _job_of(call: Call) -> Wire:
    return found(definition_of(call).jobs, "training job", call["job"])


async def archive_job(call: Call) -> Wire:
    """Archive one."""
    return archived(
        call, found(definition_of(call).jobs, "training job", call["job"]), "job", value=True
    )


async def unarchive_job(call: Call) -> Wire:
    """Take one back from the archive."""
    return archived(
        call, found(definition_of(call).jobs, "training job", call["job"]), "job", value=False
    )


def result_key(job: Wire) -> str:
    """Return where the archive with the results of a job is."""
    return f"{job['id']}/result.zip"


async def get_result(call: Call) -> Wire:
    """Tell where the result of a job is, once it is complete."""
    job = _timed(call, _look(definition_of(call), call["job"]))
    if job["status"] != "Complete":
        return {"artifacts": {}}
    key = result_key(job)
    if key not in call.world.store.objects:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"{job['id']}/result.json", "{}")
        call.world.store.put(key, packed.getvalue())
    return {"artifacts": {"complete": {"uri": call.world.store.sign("GET", key)}}}


async def update_statistics(call: Call) -> Wire:
    """Keep what a job says of itself."""
    job = found(definition_of(call).jobs, "training job", call["job"])
    statistics = (await call.body()).get("statistics")
    if not isinstance(statistics, dict):
        raise bad_request("statistics must be an object", field="statistics")
    job.update(statistics=statistics, modified_at=call.world.stamp())
    return job


ROUTES: list[Route] = [
    *(
        (method, f"{_T}{slash}", handler)
        for slash in ("", "/")
        for method, handler in (
            ("POST", create_definition),
            ("GET", get_definitions),
        )
    ),
    ("GET", _N, get_definition),
    ("DELETE", _N, delete_definition),
    ("POST", f"{_N}/archive", archive_definition),
    ("POST", f"{_N}/unarchive", unarchive_definition),
    ("POST", f"{_N}/versions", create_version),
    ("GET", f"{_N}/versions", get_versions),
    ("POST", f"{_N}/git/versions", create_version_from_git),
    ("GET", _V, get_version),
    ("PATCH", _V, patch_version),
    ("DELETE", _V, delete_version),
    ("POST", f"{_V}/archive", archive_version),
    ("POST", f"{_V}/unarchive", unarchive_version),
    ("GET", f"{_V}/source", get_source),
    ("POST", f"{_V}/jobs", create_job),
    ("GET", f"{_N}/jobs", get_jobs),
    ("GET", _J, get_job),
    ("POST", f"{_J}/stop", stop_job),
    ("POST", f"{_J}/archive", archive_job),
    ("POST", f"{_J}/unarchive", unarchive_job),
    ("GET", f"{_J}/result", get_result),
    ("POST", f"{_J}/statistics", update_statistics),
]
