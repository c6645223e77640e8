"""The endpoints of deployments, on an origin of their own."""

from aiohttp import web

from .errors import ApiError, answering_errors
from .routes_support import STATE, reply, state
from .state import State
from .state_deployments import READY, Deployment

HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
"""What every service answers."""


def endpoints(held: State) -> web.Application:
    """Return the application."""
    application = web.Application(
        middlewares=[answering_errors(held.behaviour, held.endpoint_refusals)],
        client_max_size=1 << 28,
    )
    application[STATE] = held
    application.router.add_route("*", "/{slug}{path:(/.*)?}", _call)
    return application


async def _call(request: web.Request) -> web.StreamResponse:
    held = state(request)
    deployment = _found(request)
    _check_token(request, deployment)
    held.deployer.wake(deployment)
    if deployment.status != READY:
        msg = f"deployment {deployment.name} does not run: it is {deployment.status}"
        raise ApiError(msg, 503)
    path = request.match_info["path"] or "/"
    if path in HEALTH:
        return web.Response()
    assert deployment.revision is not None  # noqa: S101  # it runs
    if path == "/schema.json":
        return reply((deployment.revision.main.bento.manifest or {}).get("schema") or {})
    msg = "this emulator runs no apps: start it with `run_apps=True` or `--run-apps`"
    raise ApiError(msg, 501)


def _found(request: web.Request) -> Deployment:
    for deployment in state(request).deployer.deployments.values():
        if deployment.slug == request.match_info["slug"]:
            return deployment
    raise ApiError("there is no such endpoint", 404)


def _check_token(request: web.Request, deployment: Deployment) -> None:
    """Refuse a call of a protected endpoint that brings no token."""
    assert deployment.revision is not None  # noqa: S101  # it was deployed
    if deployment.revision.main.config.get("access_authorization"):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not state(request).tokens.knows(token):
            raise ApiError("Unauthorized", 401)
