"""Repositories, bentos and models, and how their content is transferred."""

from collections.abc import Callable

from aiohttp import web

from .._stored_object import Refused, send_object
from .errors import ApiError
from .listing import list_page
from .requests import (
    CompleteUpload,
    CreateArtifact,
    CreateRepository,
    FinishUpload,
    PresignPart,
    UpdateBento,
    body,
)
from .routes_support import reply, state
from .state import State
from .state_artifacts import Artifact, ArtifactStore, Kind


def add_routes(router: web.UrlDispatcher) -> None:
    """Add them."""
    for kind in ("bento", "model"):
        _Routes(kind).add(router)


class _Routes:
    """Those of bentos, or those of models."""

    def __init__(self, kind: Kind) -> None:
        self._kind: Kind = kind

    def add(self, router: web.UrlDispatcher) -> None:
        """Add them."""
        repositories = f"/api/v1/{self._kind}_repositories"
        versions = f"{repositories}/{{repository}}/{self._kind}s"
        one = f"{versions}/{{version}}"
        router.add_get(repositories, self._repositories, allow_head=False)
        router.add_post(repositories, self._create_repository)
        router.add_get(f"{repositories}/{{repository}}", self._repository, allow_head=False)
        router.add_get(f"/api/v1/{self._kind}s", self._all, allow_head=False)
        router.add_get(versions, self._versions, allow_head=False)
        router.add_post(versions, self._create)
        router.add_get(one, self._get, allow_head=False)
        if self._kind == "bento":
            router.add_patch(one, self._update)
        router.add_patch(f"{one}/presign_upload_url", self._presign_upload)
        router.add_patch(f"{one}/presign_download_url", self._presign_download)
        router.add_patch(f"{one}/start_multipart_upload", self._start_multipart)
        router.add_patch(f"{one}/presign_multipart_upload_url", self._presign_part)
        router.add_patch(f"{one}/complete_multipart_upload", self._complete)
        router.add_patch(f"{one}/start_upload", self._start)
        router.add_patch(f"{one}/finish_upload", self._finish)
        router.add_put(f"{one}/upload", self._upload)
        router.add_get(f"{one}/download", self._download, allow_head=False)

    # Records --------------------------------------------------------------------------------------

    async def _repositories(self, request: web.Request) -> web.Response:
        held = state(request)
        found = list(reversed(self._store(held).repositories.values()))
        return reply(list_page(request, found, lambda each: each.view(), held.behaviour))

    async def _create_repository(self, request: web.Request) -> web.Response:
        wanted = await body(request, CreateRepository)
        made = self._store(state(request)).create_repository(wanted.name, wanted.description)
        return reply(made.view())

    async def _repository(self, request: web.Request) -> web.Response:
        name = request.match_info["repository"]
        return reply(self._store(state(request)).repository(name).view())

    async def _all(self, request: web.Request) -> web.Response:
        held = state(request)
        found = self._store(held).newest_first()
        return reply(list_page(request, found, Artifact.with_repository, held.behaviour, _TERMS))

    async def _versions(self, request: web.Request) -> web.Response:
        held = state(request)
        repository = self._store(held).repository(request.match_info["repository"])
        return reply(
            list_page(request, repository.newest_first(), Artifact.view, held.behaviour, _TERMS)
        )

    async def _create(self, request: web.Request) -> web.Response:
        wanted = await body(request, CreateArtifact)
        made = self._store(state(request)).create(request.match_info["repository"], wanted)
        return reply(made.view())

    async def _get(self, request: web.Request) -> web.Response:
        found, held = self._found(request), state(request)
        if self._kind == "bento":
            return reply(held.bento_in_full(found))
        return reply(held.model_in_full(found))

    async def _update(self, request: web.Request) -> web.Response:
        found = self._found(request)
        found.update(await body(request, UpdateBento))
        return reply(found.view())

    # Transfers ------------------------------------------------------------------------------------

    async def _presign_upload(self, request: web.Request) -> web.Response:
        found = self._found(request)
        url = self._store(state(request)).upload_url(found)
        return reply(found.view(presigned_upload_url=url))

    async def _presign_download(self, request: web.Request) -> web.Response:
        found = self._found(request)
        url = self._store(state(request)).download_url(found)
        return reply(found.view(presigned_download_url=url))

    async def _start_multipart(self, request: web.Request) -> web.Response:
        found = self._found(request)
        upload_id = self._store(state(request)).start_multipart(found)
        return reply(found.view(upload_id=upload_id))

    async def _presign_part(self, request: web.Request) -> web.Response:
        found = self._found(request)
        wanted = await body(request, PresignPart)
        store = self._store(state(request))
        url = store.part_url(found, wanted.upload_id, wanted.part_number)
        return reply(found.view(presigned_upload_url=url))

    async def _complete(self, request: web.Request) -> web.Response:
        found = self._found(request)
        wanted = await body(request, CompleteUpload)
        await self._store(state(request)).complete_multipart(found, wanted)
        return reply(found.view())

    async def _start(self, request: web.Request) -> web.Response:
        found = self._found(request)
        found.begin_upload()
        return reply(found.view())

    async def _finish(self, request: web.Request) -> web.Response:
        found = self._found(request)
        wanted = await body(request, FinishUpload)
        at = state(request).clock.now()
        found.finish_upload(wanted.status or "success", wanted.reason or "", at)
        return reply(found.view())

    async def _upload(self, request: web.Request) -> web.Response:
        found = self._found(request)
        found.begin_upload()
        try:
            storage = state(request).storage
            storage.keep(found.key, await storage.receive(request.content.iter_any()))
        except BaseException as error:
            found.finish_upload("failed", str(error), None)
            raise
        found.finish_upload("success", "", None)  # and no moment of its end, unlike elsewhere
        return reply(found.view())

    async def _download(self, request: web.Request) -> web.StreamResponse:
        found = self._found(request)
        stored = state(request).storage.objects.get(found.key)
        if stored is None:
            msg = f"download {self._kind} {found.tag}: the object does not exist"
            raise ApiError(msg, 500)
        try:
            return await send_object(request, stored)
        except Refused as refused:
            raise ApiError(refused.message, refused.status) from refused

    def _store(self, held: State) -> ArtifactStore:
        return held.bentos if self._kind == "bento" else held.models

    def _found(self, request: web.Request) -> Artifact:
        where = request.match_info
        return self._store(state(request)).get(where["repository"], where["version"])


_TERMS: dict[str, Callable[[Artifact, str], bool]] = {
    "module": lambda each, value: (each.manifest or {}).get("module") == value,
}
