"""Deployments of version 1, which live in a namespace of a cluster."""

from aiohttp import web

from .listing import list_page
from .requests import CreateDeploymentV1, UpdateDeploymentV1, body
from .routes_deployments import TERMS
from .routes_support import reply, state
from .state_deployments import Deployment

_IN_CLUSTER = "/api/v1/clusters/{cluster}/deployments"
_ONE = "/api/v1/clusters/{cluster}/namespaces/{namespace}/deployments/{name}"


def add_routes(router: web.UrlDispatcher) -> None:
    """Add them."""
    router.add_get("/api/v1/deployments", _list_all, allow_head=False)
    router.add_get(_IN_CLUSTER, _list, allow_head=False)
    router.add_post(_IN_CLUSTER, _create)
    router.add_get(_ONE, _get, allow_head=False)
    router.add_patch(_ONE, _update)
    router.add_post(_ONE + "/terminate", _terminate)
    router.add_delete(_ONE, _delete)


async def _list_all(request: web.Request) -> web.Response:
    held = state(request)
    found = held.deployer.newest_first(1)
    return reply(list_page(request, found, Deployment.view, held.behaviour, TERMS))


async def _list(request: web.Request) -> web.Response:
    held = state(request)
    found = held.deployer.newest_first(1, held.cluster(request.match_info["cluster"]))
    return reply(list_page(request, found, Deployment.view, held.behaviour, TERMS))


async def _create(request: web.Request) -> web.Response:
    held = state(request)
    cluster = held.cluster(request.match_info["cluster"])
    made = held.deployer.create_v1(await body(request, CreateDeploymentV1), cluster)
    await held.open_endpoint(made)
    await held.begin(made)
    return _shown(request, made)


async def _get(request: web.Request) -> web.Response:
    found = _found(request)
    return _shown(request, found, found.look())


async def _update(request: web.Request) -> web.Response:
    found = _found(request)
    state(request).deployer.update_v1(found, await body(request, UpdateDeploymentV1))
    await state(request).begin(found)
    return _shown(request, found)


async def _terminate(request: web.Request) -> web.Response:
    found = _found(request)
    state(request).deployer.terminate(found)
    return _shown(request, found)


async def _delete(request: web.Request) -> web.Response:
    found = _found(request)
    state(request).deployer.delete(found)
    await state(request).close_endpoint(found)
    return _shown(request, found)


def _found(request: web.Request) -> Deployment:
    where, held = request.match_info, state(request)
    cluster = held.cluster(where["cluster"])
    return held.deployer.find_v1(where["name"], cluster, where["namespace"])


def _shown(request: web.Request, deployment: Deployment, status: str | None = None) -> web.Response:
    held = state(request)
    shown = deployment.view(status, urls=held.urls(deployment))
    revision = deployment.revision
    if revision is not None:
        for target, each in zip(revision.targets, shown["latest_revision"]["targets"], strict=True):
            each["bento"] = held.bento_in_full(target.bento)
    return reply(shown)
