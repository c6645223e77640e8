"""Which request is answered by whom."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from .._incoming import Malformed
from . import (
    routes_buckets,
    routes_channels,
    routes_datasets,
    routes_deployments,
    routes_files,
    routes_invocation,
    routes_job_reports,
    routes_models,
    routes_notebooks,
    routes_registry,
    routes_runs,
    routes_secrets,
    routes_security,
    routes_services,
    routes_training,
)
from .call import Call, Handler
from .errors import ApiError, bad_request
from .state import (
    BEARER,
    DATASOURCE_ID,
    DATASOURCE_SECRET,
    ORGANIZATION_ID,
    ORGANIZATION_NAME,
    TOKEN,
    USER_ID,
    World,
)

_MODULES = (
    routes_deployments,
    routes_services,
    routes_runs,
    routes_secrets,
    routes_channels,
    routes_files,
    routes_buckets,
    routes_training,
    routes_job_reports,
    routes_models,
    routes_notebooks,
    routes_registry,
    routes_datasets,
    routes_security,
)
_MAX_BODY_BYTES = 2 * 1024**3
_PARAMETERS = web.RequestKey("parameters", dict)
_SLASHES = re.compile("/{2,}")


def api(world: World) -> web.Application:
    """Return the web application of the API.

    A request whose host begins with the organization is one to a service; this is decided by the
    host alone, never by the path.
    """
    application = web.Application(client_max_size=_MAX_BODY_BYTES)
    invocation = service_host(world)

    @web.middleware
    async def by_host(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        if request.host.partition(".")[0] in {ORGANIZATION_ID, ORGANIZATION_NAME}:
            return await _dispatched(invocation, request)
        if "//" in request.path:  # of a base URL with a slash at its end
            path = _SLASHES.sub("/", request.rel_url.raw_path)
            target = request.rel_url.with_path(path, encoded=True, keep_query=True)
            return await _dispatched(application, request.clone(rel_url=target))
        response: web.StreamResponse = await handler(request)
        return response

    application.middlewares.append(by_host)
    application.middlewares.append(_refusals)
    for module in _MODULES:
        for method, path, handler in module.ROUTES:
            application.router.add_route(method, path, _answering(world, handler))
    application.router.add_get("/organizations/{organization}", _answering(world, _organization))
    return application


def service_host(world: World) -> web.Application:
    """Return the web application of the organization's own host, on which services are called."""
    application = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_refusals])
    for method, path, handler in routes_invocation.ROUTES:
        application.router.add_route(method, path, _answering(world, handler))
    return application


async def _organization(call: Call) -> dict[str, Any]:
    return {**call.world.envelope, "id": ORGANIZATION_ID, "name": ORGANIZATION_NAME}


async def _dispatched(application: web.Application, request: web.Request) -> web.StreamResponse:
    """Answer a request with another application, or under another path, than it came to."""
    found = await application.router.resolve(request)
    request[_PARAMETERS] = dict(found)
    return await _refusals(request, found.handler)


@web.middleware
async def _refusals(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
    """Put every refusal into the platform's words."""
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except ApiError as exc:
        return exc.response()
    except Malformed as exc:
        return bad_request(str(exc)).response()
    except web.HTTPException as exc:
        return ApiError(exc.status, f"{request.method} {request.path}: {exc.reason}").response()


def _answering(world: World, handler: Handler) -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.StreamResponse:
        _check_credentials(world, request)
        parameters: Mapping[str, str] = request.get(_PARAMETERS) or dict(request.match_info)
        organization = parameters.get("organization")
        if organization not in {None, ORGANIZATION_ID, ORGANIZATION_NAME}:
            raise ApiError(404, f"organization {organization} is not found")
        answered = await handler(Call(world, request, parameters))
        if isinstance(answered, web.StreamResponse):
            return answered
        return web.json_response(answered)

    return answer


def _check_credentials(world: World, request: web.Request) -> None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and (value == BEARER or value in world.job_tokens):
        return  # code of a job calls with the job's own token
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            pair = ""
        if pair in {f"user-{USER_ID}:{TOKEN}", f"datasource-{DATASOURCE_ID}:{DATASOURCE_SECRET}"}:
            return
    raise ApiError(401, "the credentials are missing or wrong")
