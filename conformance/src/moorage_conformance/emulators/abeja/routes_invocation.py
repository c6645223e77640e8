"""Calling services, on the organization's own host."""

import asyncio

from aiohttp import web

from moorage.errors import MoorageError, NotFoundError

from .._forwarding import answer_of
from .call import Call, Route
from .errors import not_found, runtime_error
from .routes_services import READY
from .state import Service


async def call_service(call: Call) -> web.Response:
    """Call one service."""
    deployment = call.world.deployment(call["deployment"])
    return await _answer(call, deployment.service(call["service"]))


async def call_endpoint(call: Call) -> web.Response:
    """Call the service that a name stands for; `default` where none is given."""
    deployment = call.world.deployment(call["deployment"])
    endpoint = deployment.endpoint(call.get("alias", "default"))
    service = deployment.services.get(endpoint["service_id"])
    if service is None:
        raise not_found("service", endpoint["service_id"])
    return await _answer(call, service)


async def _answer(call: Call, service: Service) -> web.Response:
    if service.course.current != READY:
        return runtime_error(503, "service unavailable")
    apps = call.world.apps
    if apps is None:
        return runtime_error(503, "the emulator runs nothing: start it with --run-apps")
    request = call.request
    body = await request.read()
    target = f"/?{request.query_string}" if request.query_string else "/"
    headers = [
        (name, value) for name, value in request.headers.items() if name.lower() != "authorization"
    ]
    try:
        reply = await asyncio.to_thread(
            apps.call, service.id, request.method, target, headers=headers, body=body or None
        )
    except NotFoundError:
        return runtime_error(503, "service unavailable")
    except MoorageError as exc:
        service.log.add(exc.message, call.world.now())
        return runtime_error(500, "unexpected error occurred")
    return answer_of(reply)


ROUTES: list[Route] = [
    (method, path, handler)
    for method in ("GET", "POST", "PUT")
    for path, handler in (
        ("/deployments/{deployment}", call_endpoint),
        ("/deployments/{deployment}/services/{service}", call_service),
        ("/deployments/{deployment}/{alias}", call_endpoint),
    )
]
