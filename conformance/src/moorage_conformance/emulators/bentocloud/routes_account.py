"""Who one is, where things can run, and how one logs in."""

from aiohttp import web

from .._incoming import query_text
from .errors import ApiError
from .instance_types import INSTANCE_TYPES
from .listing import page
from .resources import CLUSTERS, NAMESPACE, ORGANIZATION, USER, cluster
from .routes_support import reply, state


def add_routes(router: web.UrlDispatcher) -> None:
    """Add them."""
    router.add_get("/api/v1/auth/current", _user, allow_head=False)
    router.add_get("/api/v1/current_org", _organization, allow_head=False)
    router.add_get("/api/v1/clusters", _clusters, allow_head=False)
    router.add_get("/api/v1/clusters/{cluster}", _cluster, allow_head=False)
    router.add_get("/api/v1/instance_types", _instance_types, allow_head=False)
    router.add_get("/api/v1/auth/code", _code, allow_head=False)
    router.add_get("/api/v1/auth/token", _token, allow_head=False)
    router.add_get("/api_tokens", _agree, allow_head=False)


async def _user(_request: web.Request) -> web.Response:
    return reply(USER)


async def _organization(_request: web.Request) -> web.Response:
    return reply(ORGANIZATION)


async def _clusters(request: web.Request) -> web.Response:
    names = [name for name in CLUSTERS if (query_text(request, "search") or "") in name]
    items = [cluster(name) for name in names]
    return reply(page(request, items, state(request).behaviour))


async def _cluster(request: web.Request) -> web.Response:
    name = state(request).cluster(request.match_info["cluster"])
    return reply(
        {
            **cluster(name),
            "organization": ORGANIZATION,
            "kube_config": "",
            "config": {"default_deployment_kube_namespace": NAMESPACE},
            "grafana_root_path": "",
            "resource_instances": INSTANCE_TYPES,
        }
    )


async def _instance_types(request: web.Request) -> web.Response:
    state(request).cluster(query_text(request, "cluster"))
    return reply(INSTANCE_TYPES)  # an array and no page


# Logging in through a browser ---------------------------------------------------------------------


async def _code(request: web.Request) -> web.Response:
    return reply({"code": state(request).tokens.new_code()})


async def _agree(request: web.Request) -> web.Response:
    """Be the page on which somebody agrees; looking at it is enough."""
    tokens, code = state(request).tokens, query_text(request, "code")
    if code not in tokens.codes:
        raise ApiError("there is no such login", 404)
    tokens.codes[code] = True
    return web.Response(text="<p>You are logged in.</p>", content_type="text/html")


async def _token(request: web.Request) -> web.Response:
    tokens, code = state(request).tokens, query_text(request, "code")
    if code is None or not tokens.codes.get(code):
        raise ApiError("token is not ready", 404)
    del tokens.codes[code]
    return reply({"token": tokens.first})
