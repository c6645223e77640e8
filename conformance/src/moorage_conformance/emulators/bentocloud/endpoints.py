"""The endpoints of deployments.

Those that really run have an origin each, as they have at the cloud, since clients may call what
is at its root. The others share one and are told apart by the first part of the path: there can
be very many of them.
"""

from urllib.parse import unquote

from aiohttp import web

from .._forwarding import answer_of
from .errors import ApiError, answering_errors
from .routes_support import STATE, reply, state
from .runner import Runner
from .state import State
from .state_deployments import READY, Deployment

_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
DEPLOYMENT: web.AppKey[Deployment] = web.AppKey("deployment", Deployment)


def endpoints(held: State, deployment: Deployment | None = None) -> web.Application:
    """Return the application for one deployment, or for all by default."""
    application = web.Application(
        middlewares=[answering_errors(held.behaviour, held.endpoint_refusals)],
        client_max_size=1 << 28,
    )
    application[STATE] = held
    if deployment is None:
        application.router.add_route("*", "/{slug}{path:(/.*)?}", _call_one_of_all)
    else:
        application[DEPLOYMENT] = deployment
        application.router.add_route("*", "/{path:.*}", _call_own)
    return application


async def _call_one_of_all(request: web.Request) -> web.StreamResponse:
    slug = request.match_info["slug"]
    target = request.raw_path.removeprefix(f"/{slug}")
    return await _call(request, _found(request, slug), target)


async def _call_own(request: web.Request) -> web.StreamResponse:
    return await _call(request, request.app[DEPLOYMENT], request.raw_path)


async def _call(request: web.Request, deployment: Deployment, target: str) -> web.StreamResponse:
    held = state(request)
    _check_token(request, deployment)
    held.deployer.wake(deployment)
    if deployment.status != READY:
        msg = f"deployment {deployment.name} does not run: it is {deployment.status}"
        raise ApiError(msg, 503)
    if not target.startswith("/"):
        target = f"/{target}"
    path = target.partition("?")[0]
    if path == "/schema.json":
        return reply(deployment.schema)
    if held.runner is not None:
        return await _run(request, held.runner, deployment, target)
    if path in _HEALTH:
        return web.Response()
    msg = "this emulator runs no apps: start it with `run_apps=True` or `--run-apps`"
    raise ApiError(msg, 501)


async def _run(
    request: web.Request, runner: Runner, deployment: Deployment, target: str
) -> web.Response:
    """Let what is deployed answer."""
    path = unquote(target.partition("?")[0])
    if await runner.portable(deployment):  # a native bento answers these itself
        if path in {"/livez", "/readyz"}:
            if path == "/readyz":
                await runner.start(deployment)
            return web.Response()
        answered = await state(request).tasks.answer(request, deployment, path)
        if answered is not None:
            return answered
    body = await request.read()
    answer = await runner.call(
        deployment, request.method, target, list(request.headers.items()), body or None
    )
    return answer_of(answer)


def _found(request: web.Request, slug: str) -> Deployment:
    for deployment in state(request).deployer.deployments.values():
        if deployment.slug == slug:
            return deployment
    raise ApiError("there is no such endpoint", 404)


def _check_token(request: web.Request, deployment: Deployment) -> None:
    """Refuse a call of a protected endpoint that brings no token."""
    assert deployment.revision is not None  # noqa: S101  # it was deployed
    if deployment.revision.main.config.get("access_authorization"):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not state(request).tokens.knows(token):
            raise ApiError("Unauthorized", 401)
