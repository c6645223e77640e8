"""The application of the API: every route, and what comes before each."""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from . import (
    routes_account,
    routes_artifacts,
    routes_deployments,
    routes_deployments_v1,
    routes_secrets,
    websockets,
)
from .errors import answering_errors, unauthorized
from .routes_support import STATE
from .state import TOKEN_HEADER, State

_OPEN = frozenset({"/api/v1/auth/code", "/api/v1/auth/token", "/api_tokens"})
"""What needs no token: one is asked for there."""


def api(state: State, prefix: str = "") -> web.Application:
    """Return the application.

    Args:
        state: What the routes work on.
        prefix: What comes before the paths of requests, and not before those of WebSockets, which
            clients expect at the root of the host.
    """
    application = web.Application(
        middlewares=[
            answering_errors(state.behaviour, state.refusals),
            _authenticating(state, prefix),
        ],
        client_max_size=1 << 28,  # files of a deployment come in one body
    )
    application[STATE] = state
    requests = web.Application() if prefix else application
    for module in (
        routes_account,
        routes_artifacts,
        routes_deployments,
        routes_deployments_v1,
        routes_secrets,
    ):
        module.add_routes(requests.router)
    websockets.add_routes(application.router)
    if prefix:
        application.add_subapp(prefix, requests)
    return application


def _authenticating(state: State, prefix: str) -> Middleware:
    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.removeprefix(prefix) not in _OPEN:
            token = request.headers.get(TOKEN_HEADER)
            if not token:
                raise unauthorized("api token is required")
            if not state.tokens.knows(token):
                raise unauthorized("invalid api token")
        return await handler(request)

    return authenticate
