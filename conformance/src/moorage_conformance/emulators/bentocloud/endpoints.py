"""The endpoints of deployments, on an origin of their own."""

from aiohttp import web

from .errors import ApiError, answering_errors
from .routes_support import STATE, reply, state
from .runner import Runner
from .state import State
from .state_deployments import READY, Deployment

_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "server",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)


def endpoints(held: State) -> web.Application:
    """Return the application."""
    application = web.Application(
        middlewares=[answering_errors(held.behaviour, held.endpoint_refusals)],
        client_max_size=1 << 28,
    )
    application[STATE] = held
    application.on_cleanup.append(_close)
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
    if path == "/schema.json":
        return reply(deployment.schema)
    if held.runner is not None:
        return await _run(request, held.runner, deployment, path)
    if path in _HEALTH:
        return web.Response()
    msg = "this emulator runs no apps: start it with `run_apps=True` or `--run-apps`"
    raise ApiError(msg, 501)


async def _run(
    request: web.Request, runner: Runner, deployment: Deployment, path: str
) -> web.Response:
    """Let what is deployed answer."""
    if await runner.portable(deployment):  # a native bento answers these itself
        if path in {"/livez", "/readyz"}:
            if path == "/readyz":
                await runner.start(deployment)
            return web.Response()
        answered = await state(request).tasks.answer(request, deployment, path)
        if answered is not None:
            return answered
    target = request.raw_path.removeprefix(f"/{deployment.slug}")
    target = target if target.startswith("/") else f"/{target}"
    body = await request.read()
    answer = await runner.call(
        deployment, request.method, target, list(request.headers.items()), body or None
    )
    response = web.Response(status=answer.status, body=answer.content)
    for name, value in answer.headers:
        if name.lower() not in _HOP_BY_HOP:
            response.headers[name] = value
    return response


async def _close(application: web.Application) -> None:
    runner = application[STATE].runner
    if runner is not None:
        await runner.close()


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
