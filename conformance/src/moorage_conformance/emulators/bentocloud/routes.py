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
from .state import State

TOKEN_HEADER = "X-YATAI-API-TOKEN"  # noqa: S105  # the name of a header

_OPEN = frozenset({"/api/v1/auth/code", "/api/v1/auth/token", "/api_tokens"})
"""What needs no token: one is asked for there."""


def api(state: State) -> web.Application:
    """Return the application."""
    application = web.Application(
        middlewares=[answering_errors(state.behaviour, state.refusals), _authenticating(state)],
        client_max_size=1 << 28,  # files of a deployment come in one body
    )
    application[STATE] = state
    for module in (
        routes_account,
        routes_artifacts,
        routes_deployments,
        routes_deployments_v1,
        routes_secrets,
        websockets,
    ):
        module.add_routes(application.router)
    return application


def _authenticating(state: State) -> Middleware:
    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _OPEN:
            token = request.headers.get(TOKEN_HEADER)
            if not token:
                raise unauthorized("api token is required")
            if not state.tokens.knows(token):
                raise unauthorized("invalid api token")
        return await handler(request)

    return authenticate
