"""Services: what runs a code version."""

from .call import (
    Call,
    Route,
    flag_of,
    number_of,
    optional_text,
    text_of,
    texts_of,
)
from .container import read_container, start_container, stop_container
from .errors import bad_request
from .logs import ascending, descending
from .state import Deployment, Service, Version, Wire, World, newest_first

_D = "/organizations/{organization}/deployments/{deployment}"
_S = f"{_D}/services/{{service}}"

# Of the states only IN_PROGRESS and READY are documented; the other two are assumptions.
IN_PROGRESS = "IN_PROGRESS"
READY = "READY"
STOPPED = "STOPPED"
FAILED = "FAILED"

_MOST = 300


def _of(call: Call) -> tuple[Deployment, Service]:
    deployment = call.world.deployment(call["deployment"])
    return deployment, deployment.service(call["service"])


def _starting(world: World, version: Version) -> tuple[str, ...]:
    """Return the states of a start: a version without code cannot come up."""
    outcome = READY if version.key in world.store.objects else FAILED
    return IN_PROGRESS, outcome


async def create_service(call: Call) -> Wire:
    """Make a service and begin to start it."""
    body = await call.body()
    world = call.world
    deployment = world.deployment(call["deployment"])
    version = deployment.wanted_version(text_of(body, "version_id"))
    number = number_of(body, "instance_number", 1, least=1, most=_MOST)
    made = world.stamp()
    environment = texts_of(body, "environment")
    wire: Wire = {
        "service_id": world.id("ser"),
        "deployment_id": deployment.id,
        "models": world.models_of(body),
        "model_version": version.wire["version"],
        "model_version_id": version.id,
        "status": IN_PROGRESS,
        "instance_number": number,
        "min_instance_number": number_of(body, "min_instance_number", number, most=_MOST),
        "max_instance_number": number_of(body, "max_instance_number", 2 * number, most=2 * _MOST),
        "enable_autoscale": flag_of(body, "enable_autoscale", default=True),
        "instance_type": optional_text(body, "instance_type") or "cpu-0.25",
        "metrics_url": f"https://metrics.example.com/sb/{world.number()}",
        "record_channel_id": optional_text(body, "record_channel_id"),
        "user_env_vars": environment,
        "merged_env_vars": {**deployment.wire["default_environment"], **environment},
        "created_at": made,
        "modified_at": made,
    }
    _check_bounds(wire)
    service = Service(wire, version, world.course(*_starting(world, version)))
    deployment.services[service.id] = service
    service.log.add("service starts", world.now())
    await _start(world, deployment, service)
    return dict(wire)


async def _start(world: World, deployment: Deployment, service: Service) -> None:
    if not await start_container(world, deployment, service):
        service.course = world.course(IN_PROGRESS, FAILED)


def _check_bounds(wire: Wire) -> None:
    low, number, high = (
        wire[name] for name in ("min_instance_number", "instance_number", "max_instance_number")
    )
    if not low <= number <= high:
        raise bad_request("instance_number must be between min_instance_number and its maximum")


async def get_services(call: Call) -> Wire:
    """List them all: this listing has no pages."""
    services = call.world.deployment(call["deployment"]).services.values()
    return {"entries": [service.seen() for service in newest_first(list(services))]}


async def get_service(call: Call) -> Wire:
    """Show one."""
    return _of(call)[1].seen()


async def update_service(call: Call) -> Wire:
    """Change the numbers of instances, which restarts it; what else is sent is ignored."""
    body = await call.body(optional=True)
    world = call.world
    _, service = _of(call)
    changed = dict(service.wire)
    for name in ("instance_number", "min_instance_number", "max_instance_number"):
        if name in body:
            changed[name] = number_of(body, name, changed[name], most=2 * _MOST)
    changed["enable_autoscale"] = flag_of(
        body, "enable_autoscale", default=changed["enable_autoscale"]
    )
    _check_bounds(changed)
    service.wire.update(changed, modified_at=world.stamp(), service_process_type="multi")
    if service.course.current != STOPPED:
        service.course = world.course(*_starting(world, service.version))
        service.wire["status"] = IN_PROGRESS
    return dict(service.wire)


async def delete_service(call: Call) -> Wire:
    """Delete one at once. What points to it then leads nowhere."""
    deployment, service = _of(call)
    del deployment.services[service.id]
    await stop_container(call.world, service)
    return {"message": f"{service.id} deleted"}


async def start_service(call: Call) -> Wire:
    """Begin to start one that is stopped."""
    world = call.world
    deployment, service = _of(call)
    if service.course.current not in {STOPPED, FAILED}:
        raise bad_request(f"service {service.id} is running")
    service.course = world.course(*_starting(world, service.version))
    service.wire["modified_at"] = world.stamp()
    await _start(world, deployment, service)
    return {"message": f"{service.id} started"}


async def stop_service(call: Call) -> Wire:
    """Begin to stop one that runs."""
    _, service = _of(call)
    world = call.world
    current = service.course.current
    if current == STOPPED:
        raise bad_request(f"service {service.id} is not running")
    service.course = world.course(current, STOPPED)
    service.wire["modified_at"] = world.stamp()
    await stop_container(world, service)
    return {"message": f"{service.id} stopped"}


# Logs ---------------------------------------------------------------------------------------------


async def _events(call: Call) -> list[Wire]:
    service = _of(call)[1]
    await read_container(call.world, service)
    return service.log.events


async def get_logs(call: Call) -> Wire:
    """Answer the ascending family."""
    return ascending(call, await _events(call))


async def get_recent_logs(call: Call) -> Wire:
    """Answer the descending family."""
    return descending(call, await _events(call))


ROUTES: list[Route] = [
    ("POST", f"{_D}/services", create_service),
    ("GET", f"{_D}/services", get_services),
    ("GET", _S, get_service),
    ("PATCH", _S, update_service),
    ("DELETE", _S, delete_service),
    ("POST", f"{_S}/start", start_service),
    ("POST", f"{_S}/stop", stop_service),
    ("GET", f"{_S}/logs", get_logs),
    ("GET", f"{_S}/recentlogs", get_recent_logs),
]
