"""Deployments, code versions, endpoints and triggers."""

from typing import Any

from .call import (
    Call,
    Route,
    number_of,
    optional_text,
    text_of,
    texts_of,
)
from .errors import bad_request, not_found
from .state import ORGANIZATION_ID, Deployment, Version, Wire, found, newest_first

_O = "/organizations/{organization}"
_D = f"{_O}/deployments/{{deployment}}"


def _of(call: Call) -> Deployment:
    return call.world.deployment(call["deployment"])


def _seen(deployment: Deployment) -> Wire:
    return {
        **deployment.wire,
        "runs": [run.wire for run in deployment.runs.values()],
        "services": [service.wire for service in deployment.services.values()],
        "triggers": list(deployment.triggers.values()),
        "endpoints": list(deployment.endpoints.values()),
        "model_id": None,
    }


# Deployments --------------------------------------------------------------------------------------


async def create_deployment(call: Call) -> Wire:
    """Make a deployment; a name that is taken is refused, as for versions."""
    body = await call.body()
    name = text_of(body, "name")
    world = call.world
    if any(other.wire["name"] == name for other in world.deployments.values()):
        raise bad_request(f"deployment {name} already exists", field="name")
    made = world.stamp()
    deployment = Deployment(
        {
            "deployment_id": world.number(),
            "name": name,
            "description": optional_text(body, "description"),
            "creator": world.creator,
            "default_environment": texts_of(body, "default_environment"),
            "created_at": made,
            "modified_at": made,
        }
    )
    world.deployments[deployment.id] = deployment
    return _seen(deployment)


async def get_deployments(call: Call) -> Wire:
    """List them all: this listing has no pages."""
    return {"entries": [_seen(d) for d in newest_first(list(call.world.deployments.values()))]}


async def get_deployment(call: Call) -> Wire:
    """Show one."""
    return _seen(_of(call))


async def patch_deployment(call: Call) -> Wire:
    """Change its name and its environment; the description stays."""
    body = await call.body(optional=True)
    deployment = _of(call)
    name = optional_text(body, "name")
    if name is not None:
        others = call.world.deployments.values()
        if any(other.wire["name"] == name for other in others if other is not deployment):
            raise bad_request(f"deployment {name} already exists", field="name")
        deployment.wire["name"] = name
    if body.get("default_environment") is not None:
        deployment.wire["default_environment"] = texts_of(body, "default_environment")
    deployment.wire["modified_at"] = call.world.stamp()
    return _seen(deployment)


async def delete_deployment(call: Call) -> Wire:
    """Delete one that has no service; what the platform does with services is not known."""
    deployment = _of(call)
    if deployment.services:
        raise bad_request(f"deployment {deployment.id} has services")
    for version in deployment.versions.values():
        call.world.store.delete(version.key)
    del call.world.deployments[deployment.id]
    return {"message": f"{deployment.id} deleted"}


# Code versions ------------------------------------------------------------------------------------


async def create_version(call: Call) -> Wire:
    """Make a version and tell where its archive goes."""
    version = await _new_version(call)
    return {**version.wire, "upload_url": call.world.store.sign("PUT", version.key)}


async def create_version_from_template(call: Call) -> Wire:
    """Make a version that the platform fills itself."""
    body = await call.body()
    if not isinstance(body.get("template_id"), int):
        raise bad_request("template_id is required", field="template_id")
    version = await _new_version(call)
    return version.wire


async def create_version_from_git(call: Call) -> Wire:
    """Make a version that the platform fetches itself; nothing is fetched here."""
    text_of(await call.body(), "git_url")
    version = await _new_version(call, handler="main:handler")
    return version.wire


async def _new_version(call: Call, handler: str | None = None) -> Version:
    body = await call.body()
    deployment, world = _of(call), call.world
    name = text_of(body, "version")
    if any(other.wire["version"] == name for other in deployment.versions.values()):
        raise bad_request(f"version {name} already exists", field="version")
    made = world.stamp()
    version = Version(
        {
            "deployment_id": deployment.id,
            "version": name,
            "version_id": world.id("ver"),
            "handler": (optional_text(body, "handler") or handler) or text_of(body, "handler"),
            "image": text_of(body, "image"),
            "user_parameters": texts_of(body, "user_parameters"),
            "created_at": made,
            "modified_at": made,
        }
    )
    deployment.versions[version.id] = version
    return version


async def get_versions(call: Call) -> Wire:
    """List all versions of a deployment and who made them: this listing has no pages."""
    versions = newest_first(list(_of(call).versions.values()))
    return {"entries": [{**v.wire, "creator": call.world.creator} for v in versions]}


async def get_version(call: Call) -> Wire:
    """Show one."""
    return _of(call).version(call["version"]).wire


async def delete_version(call: Call) -> Wire:
    """Delete one that no service uses; what the platform does otherwise is not known."""
    deployment = _of(call)
    version = deployment.version(call["version"])
    if any(service.version is version for service in deployment.services.values()):
        raise bad_request(f"version {version.id} is used by a service")
    call.world.store.delete(version.key)
    del deployment.versions[version.id]
    return {"message": f"{version.id} deleted"}


async def download_version(call: Call) -> Wire:
    """Tell where its archive is."""
    version = _of(call).version(call["version"])
    if version.key not in call.world.store.objects:
        raise not_found("source of version", version.id)
    return {"download_uri": call.world.store.sign("GET", version.key)}


# Endpoints ----------------------------------------------------------------------------------------


async def create_endpoint(call: Call) -> Wire:
    """Give a service a name by which it is called."""
    body = await call.body()
    deployment = _of(call)
    alias = optional_text(body, "custom_alias") or "default"
    if any(other["custom_alias"] == alias for other in deployment.endpoints.values()):
        raise bad_request(f"endpoint {alias} already exists", field="custom_alias")
    service_id = _service_named(deployment, body)
    endpoint = {
        "endpoint_id": call.world.id("pnt"),
        "custom_alias": alias,
        "service_id": service_id,
    }
    deployment.endpoints[endpoint["endpoint_id"]] = endpoint
    return endpoint


def _service_named(deployment: Deployment, body: dict[str, Any]) -> str:
    service_id = text_of(body, "service_id")
    if service_id not in deployment.services:
        raise bad_request(f"service {service_id} does not exist", field="service_id")
    return service_id


async def get_endpoints(call: Call) -> Wire:
    """List them all."""
    return {"entries": list(_of(call).endpoints.values())}


async def get_endpoint(call: Call) -> Wire:
    """Show one."""
    return _of(call).endpoint(call["endpoint"])


async def update_endpoint(call: Call) -> Wire:
    """Let one stand for another service from now on."""
    deployment = _of(call)
    endpoint = deployment.endpoint(call["endpoint"])
    endpoint["service_id"] = _service_named(deployment, await call.body())
    return {"message": f"{endpoint['endpoint_id']} updated"}


async def delete_endpoint(call: Call) -> Wire:
    """Delete one; its service goes on."""
    deployment = _of(call)
    endpoint = deployment.endpoint(call["endpoint"])
    del deployment.endpoints[endpoint["endpoint_id"]]
    return {"message": f"{endpoint['endpoint_id']} deleted"}


# Triggers -----------------------------------------------------------------------------------------


async def create_trigger(call: Call) -> Wire:
    """Make one; nothing arrives in the channels of an emulator by itself, so it never fires."""
    body = await call.body()
    deployment, world = _of(call), call.world
    version = deployment.versions.get(text_of(body, "version_id"))
    if version is None:
        raise bad_request(f"version {body['version_id']} does not exist", field="version_id")
    made = world.stamp()
    trigger = {
        "trigger_id": world.id("tri"),
        "organization_id": ORGANIZATION_ID,
        "deployment_id": deployment.id,
        "input_service_name": text_of(body, "input_service_name"),
        "input_service_id": text_of(body, "input_service_id"),
        "output_service_name": optional_text(body, "output_service_name"),
        "output_service_id": optional_text(body, "output_service_id"),
        "models": world.models_of(body),
        "model_version": version.wire["version"],
        "model_version_id": version.id,
        "retry_count": number_of(body, "retry_count", 5, most=9),
        "distribution": number_of(body, "distribution", 0),
        "user_env_vars": texts_of(body, "environment"),
        "created_at": made,
        "modified_at": made,
    }
    deployment.triggers[trigger["trigger_id"]] = trigger
    return trigger


async def get_triggers(call: Call) -> Wire:
    """List them all."""
    return {"entries": list(_of(call).triggers.values())}


async def get_trigger(call: Call) -> Wire:
    """Show one."""
    return found(_of(call).triggers, "trigger", call["trigger"])


async def delete_trigger(call: Call) -> Wire:
    """Delete one."""
    deployment = _of(call)
    trigger = found(deployment.triggers, "trigger", call["trigger"])
    del deployment.triggers[trigger["trigger_id"]]
    return {"message": f"{trigger['trigger_id']} deleted"}


async def get_trigger_runs(call: Call) -> Wire:
    """List what a trigger started."""
    found(_of(call).triggers, "trigger", call["trigger"])
    return {"entries": [], "next_page_token": None}


ROUTES: list[Route] = [
    ("POST", f"{_O}/deployments", create_deployment),
    ("GET", f"{_O}/deployments", get_deployments),
    ("GET", _D, get_deployment),
    ("PATCH", _D, patch_deployment),
    ("DELETE", _D, delete_deployment),
    ("POST", f"{_D}/versions", create_version),
    ("GET", f"{_D}/versions", get_versions),
    ("POST", f"{_D}/code_templates", create_version_from_template),
    ("POST", f"{_D}/git/versions", create_version_from_git),
    ("GET", f"{_D}/versions/{{version}}", get_version),
    ("DELETE", f"{_D}/versions/{{version}}", delete_version),
    ("GET", f"{_D}/versions/{{version}}/download", download_version),
    ("POST", f"{_D}/endpoints", create_endpoint),
    ("GET", f"{_D}/endpoints", get_endpoints),
    ("GET", f"{_D}/endpoints/{{endpoint}}", get_endpoint),
    ("PATCH", f"{_D}/endpoints/{{endpoint}}", update_endpoint),
    ("DELETE", f"{_D}/endpoints/{{endpoint}}", delete_endpoint),
    ("POST", f"{_D}/triggers", create_trigger),
    ("GET", f"{_D}/triggers", get_triggers),
    ("GET", f"{_D}/triggers/{{trigger}}", get_trigger),
    ("DELETE", f"{_D}/triggers/{{trigger}}", delete_trigger),
    ("GET", f"{_D}/triggers/{{trigger}}/runs", get_trigger_runs),
]
