"""Deployments of version 2, and their files."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

import msgspec
from aiohttp import web

from .._incoming import query_text
from .errors import ApiError
from .listing import list_page
from .requests import (
    CreateDeployment,
    DeleteFiles,
    UpdateDeployment,
    UploadFiles,
    body,
)
from .routes_support import reply, state
from .state_deployments import Deployment

_ALL = "/api/v2/deployments"
_ONE = _ALL + "/{name}"


def add_routes(router: web.UrlDispatcher) -> None:
    """Add them."""
    router.add_get(_ALL, _list, allow_head=False)
    router.add_post(_ALL, _create)
    router.add_get(_ONE, _get, allow_head=False)
    router.add_put(_ONE, _update)
    router.add_delete(_ONE, _delete)
    router.add_put(_ONE + "/void_update", _void_update)
    router.add_post(_ONE + "/terminate", _terminate)
    router.add_get(_ONE + "/files", _files, allow_head=False)
    router.add_post(_ONE + "/files", _upload_files)
    router.add_delete(_ONE + "/files", _delete_files)


async def _list(request: web.Request) -> web.Response:
    held = state(request)
    everywhere = query_text(request, "all") == "true"
    cluster = query_text(request, "cluster")
    wanted = None if everywhere and cluster is None else held.cluster(cluster)
    found = held.deployer.newest_first(2, wanted)
    return reply(list_page(request, found, Deployment.view, held.behaviour, TERMS))


async def _create(request: web.Request) -> web.Response:
    held = state(request)
    raw = msgspec.json.decode(await request.read())
    wanted = msgspec.convert(raw, CreateDeployment)
    made = held.deployer.create(wanted, raw, held.cluster(query_text(request, "cluster")))
    await held.open_endpoint(made)
    await held.begin(made)
    return reply(made.view(urls=held.urls(made)))


async def _get(request: web.Request) -> web.Response:
    found = _found(request)
    return reply(found.view(found.look(), urls=state(request).urls(found)))


async def _update(request: web.Request) -> web.Response:
    found = _found(request)
    raw = msgspec.json.decode(await request.read())
    state(request).deployer.update(found, msgspec.convert(raw, UpdateDeployment), raw)
    await state(request).begin(found)
    return reply(found.view(urls=state(request).urls(found)))


async def _void_update(request: web.Request) -> web.Response:
    found = _found(request)
    state(request).deployer.redeploy(found)
    await state(request).begin(found)
    return reply(found.view(urls=state(request).urls(found)))


async def _terminate(request: web.Request) -> web.Response:
    found = _found(request)
    state(request).deployer.terminate(found)
    return reply(found.view(urls=state(request).urls(found)))


async def _delete(request: web.Request) -> web.Response:
    found = _found(request)
    state(request).deployer.delete(found)
    await state(request).close_endpoint(found)
    return reply(found.view(urls=[]))


def _found(request: web.Request) -> Deployment:
    held = state(request)
    named = query_text(request, "cluster")
    cluster = None if named is None else held.cluster(named)
    return held.deployer.find(request.match_info["name"], cluster)


# Its files ----------------------------------------------------------------------------------------


async def _files(request: web.Request) -> web.Response:
    files = _found(request).files
    return reply(
        {
            "files": [
                {
                    "path": path,
                    "size": len(content),
                    "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
                }
                for path, content in sorted(files.items())
            ]
        }
    )


async def _upload_files(request: web.Request) -> web.Response:
    found = _found(request)
    wanted = await body(request, UploadFiles)
    for each in wanted.files:
        path = PurePosixPath(each.path)
        if path.is_absolute() or ".." in path.parts:
            msg = f"files: {each.path!r} is not inside of the deployment"
            raise ApiError(msg)
    found.files.update((each.path, each.b64_encoded_content) for each in wanted.files)
    return reply({})


async def _delete_files(request: web.Request) -> web.Response:
    found = _found(request)
    for path in (await body(request, DeleteFiles)).paths:
        found.files.pop(path, None)
    return reply({})


# What the words of a search mean ------------------------------------------------------------------


def _has_bento(deployment: Deployment, tag: str) -> bool:
    targets = deployment.revision.targets if deployment.revision is not None else []
    return any(tag in {each.bento.tag, each.bento.repository.name} for each in targets)


TERMS: Mapping[str, Callable[[Deployment, str], bool]] = {
    "is": lambda each, word: each.dev if word == "dev" else True,
    "status": lambda each, status: each.status == status,
    "cluster": lambda each, name: each.cluster == name,
    "bento": _has_bento,
    "bento_repository": _has_bento,
}
"""Those of deployments."""
