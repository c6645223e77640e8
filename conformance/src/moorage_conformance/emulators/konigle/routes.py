"""The API: paths, pages and what they answer."""

import asyncio
import zipfile
from collections.abc import Callable
from typing import Any

from aiohttp import web

from .._incoming import read_form
from .._object_store import LIFETIME_S
from .._stored_object import Refused, send_object
from .errors import RefusalError, answer, invalid, not_found
from .fields import body_of, file_of, meta_of, short_text, tags_of
from .pages import page_of
from .releases import Release
from .resources import found, of
from .spaces import SpaceServers
from .state import CloudState
from .state_uploads import UploadState

_CLOUD = "/cloud/api/v1"
_UPLOADS = "/admin/api/uploads"


class Routes:
    """The handlers of the API."""

    def __init__(
        self,
        state: CloudState,
        uploads: UploadState,
        servers: SpaceServers,
        origin: Callable[[], str],
    ) -> None:
        self._state = state
        self._uploads = uploads
        self._servers = servers
        self._origin = origin

    def add_to(self, application: web.Application) -> None:
        """Add all paths."""
        add = application.router.add_route
        for method, path, handler in (
            ("GET", f"{_CLOUD}/computers", self._computers),
            ("POST", f"{_CLOUD}/computers", self._create_computer),
            ("GET", f"{_CLOUD}/computers/{{id}}", self._computer),
            ("PATCH", f"{_CLOUD}/computers/{{id}}", self._change_computer),
            ("DELETE", f"{_CLOUD}/computers/{{id}}", self._delete_computer),
            ("GET", f"{_CLOUD}/webapps", self._webapps),
            ("POST", f"{_CLOUD}/webapps", self._create_webapp),
            # Before the path of one web app, whose id this would be.
            ("GET", f"{_CLOUD}/webapps/check-name-availability", self._check_name),
            ("GET", f"{_CLOUD}/webapps/{{id}}", self._webapp),
            ("PATCH", f"{_CLOUD}/webapps/{{id}}", self._change_webapp),
            ("DELETE", f"{_CLOUD}/webapps/{{id}}", self._delete_webapp),
            ("GET", f"{_CLOUD}/spaces", self._spaces),
            ("GET", f"{_CLOUD}/spaces/{{id}}", self._space),
            ("PATCH", f"{_CLOUD}/spaces/{{id}}", self._change_space),
            ("DELETE", f"{_CLOUD}/spaces/{{id}}", self._delete_space),
            ("POST", f"{_CLOUD}/spaces/{{id}}/deploy", self._deploy),
            ("POST", f"{_CLOUD}/spaces/{{id}}/promote", self._promote),
            ("GET", f"{_CLOUD}/jobs", self._jobs),
            ("GET", f"{_CLOUD}/jobs/{{id}}", self._job),
            ("GET", _UPLOADS, self._list_uploads),
            ("POST", _UPLOADS, self._create_upload),
            ("POST", f"{_UPLOADS}/create-cloud-upload", self._announce_upload),
            ("GET", f"{_UPLOADS}/{{id}}", self._upload),
            ("DELETE", f"{_UPLOADS}/{{id}}", self._delete_upload),
            ("POST", f"{_UPLOADS}/{{id}}/mark-started", self._mark_started),
            ("POST", f"{_UPLOADS}/{{id}}/mark-completed", self._mark_completed),
            ("POST", f"{_UPLOADS}/{{id}}/mark-failed", self._mark_failed),
            ("GET", "/media/private/{id}/{filename}", self._media),
        ):
            add(method, path, handler)

    # Computers ------------------------------------------------------------------------------------

    async def _computers(self, request: web.Request) -> web.Response:
        self._state.look_around()
        return self._page(request, [c.shown() for c in self._state.computers.values()])

    async def _create_computer(self, request: web.Request) -> web.Response:
        computer, job = self._state.create_computer(await body_of(request))
        return answer({"computer": computer.shown(), "job_id": job.id}, 201)

    async def _computer(self, request: web.Request) -> web.Response:
        self._state.look_around()
        return answer(found(self._state.computers, _id(request)).shown())

    async def _change_computer(self, request: web.Request) -> web.Response:
        computer = self._state.change_computer(_id(request), await body_of(request))
        return answer(computer.shown())

    async def _delete_computer(self, request: web.Request) -> web.Response:
        self._state.delete_computer(_id(request))
        return web.Response(status=204)

    # Web apps -------------------------------------------------------------------------------------

    async def _webapps(self, request: web.Request) -> web.Response:
        wanted = of(self._state.webapps.values(), computer=request.query.get("computer_id"))
        return self._page(request, [webapp.shown() for webapp in wanted])

    async def _create_webapp(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        servers = await self._servers.prepare(2)
        try:
            webapp, job = self._state.create_webapp(body, servers.domain)
        except RefusalError:
            await servers.discard()
            raise
        shown = webapp.shown()
        del shown["computer"]  # which the service does not tell here
        return answer({"webapp": shown, "job_id": job.id}, 201)

    async def _check_name(self, request: web.Request) -> web.Response:
        name = request.query.get("name")
        if not name:
            raise invalid(name="This field is required.")
        return answer({"available": self._state.available(name)})

    async def _webapp(self, request: web.Request) -> web.Response:
        return answer(found(self._state.webapps, _id(request)).shown())

    async def _change_webapp(self, request: web.Request) -> web.Response:
        return answer(self._state.change_webapp(_id(request), await body_of(request)).shown())

    async def _delete_webapp(self, request: web.Request) -> web.Response:
        for space in self._state.delete_webapp(_id(request)):
            await self._servers.remove(space.id)
        return web.Response(status=204)

    # Spaces and jobs ------------------------------------------------------------------------------

    async def _spaces(self, request: web.Request) -> web.Response:
        self._state.look_around()
        wanted = of(self._state.spaces.values(), webapp=request.query.get("webapp_id"))
        return self._page(request, [space.shown() for space in wanted])

    async def _space(self, request: web.Request) -> web.Response:
        self._state.look_around()
        return answer(found(self._state.spaces, _id(request)).shown())

    async def _change_space(self, request: web.Request) -> web.Response:
        return answer(self._state.change_space(_id(request), await body_of(request)).shown())

    async def _delete_space(self, request: web.Request) -> web.Response:
        self._state.delete_space(_id(request))
        await self._servers.remove(_id(request))
        return web.Response(status=204)

    async def _deploy(self, request: web.Request) -> web.Response:
        self._state.check_idle(found(self._state.spaces, _id(request)))
        async with read_form(request, self._uploads.store.receive, "zip_file") as form:
            archive = file_of(form, "zip_file").content.path
            try:
                release = await asyncio.to_thread(Release, archive)
            except (zipfile.BadZipFile, OSError, NotImplementedError) as exc:
                raise invalid(zip_file="Not a valid ZIP archive.") from exc
            name = form.texts.get("display_name", "")
            return answer(self._state.deploy(_id(request), release, name), 201)

    async def _promote(self, request: web.Request) -> web.Response:
        return answer(self._state.promote(_id(request)), 201)

    async def _jobs(self, request: web.Request) -> web.Response:
        shown = [job.shown() for job in self._state.jobs.values()]
        status = request.query.get("status")
        return self._page(request, [j for j in shown if status in (None, j["status"])])

    async def _job(self, request: web.Request) -> web.Response:
        return answer(found(self._state.jobs, _id(request)).shown())

    # Uploads --------------------------------------------------------------------------------------

    async def _list_uploads(self, request: web.Request) -> web.Response:
        return self._page(request, [self._shown(u) for u in self._uploads.items.values()])

    async def _create_upload(self, request: web.Request) -> web.Response:
        async with read_form(request, self._uploads.store.receive, "file") as form:
            file, texts = file_of(form, "file"), form.texts
            upload = self._uploads.add(
                file.content,
                file.name,
                file.content_type,
                name=short_text(texts, "name", 255),
                description=short_text(texts, "description", 1000),
                tags=tags_of(texts),
                meta=meta_of(texts.get("meta")),
            )
            return answer(self._shown(upload), 201)

    async def _announce_upload(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        for field, kind in (("mime_type", str), ("file_size", int), ("filename", str)):
            if not isinstance(body.get(field), kind):
                raise invalid(**{field: "This field is required."})
        upload = self._uploads.announce(
            body["mime_type"], body["file_size"], body["filename"], body.get("name") or ""
        )
        return answer(
            {
                "id": upload.id,
                "upload_url": self._uploads.store.sign("PUT", upload.id),
                "method": "PUT",
                "headers": {"Content-Type": upload.mime_type},
                "expires_in": LIFETIME_S,
            },
            201,
        )

    async def _upload(self, request: web.Request) -> web.Response:
        return answer(self._shown(found(self._uploads.items, _id(request))))

    async def _delete_upload(self, request: web.Request) -> web.Response:
        self._uploads.delete(_id(request))
        return web.Response(status=204)

    async def _mark_started(self, request: web.Request) -> web.Response:
        return answer(self._shown(self._uploads.mark(_id(request), "uploading")))

    async def _mark_completed(self, request: web.Request) -> web.Response:
        return answer(self._shown(self._uploads.mark(_id(request), "completed")))

    async def _mark_failed(self, request: web.Request) -> web.Response:
        return answer(self._shown(self._uploads.mark(_id(request), "failed")))

    async def _media(self, request: web.Request) -> web.StreamResponse:
        upload = found(self._uploads.items, _id(request))
        content = self._uploads.store.objects.get(upload.id)
        if content is None:
            raise not_found()
        try:
            return await send_object(request, content)
        except Refused as exc:
            raise RefusalError(exc.status, {"detail": exc.message}) from exc

    # What they share ------------------------------------------------------------------------------

    def _shown(self, upload: Any) -> dict[str, Any]:
        return self._uploads.shown(upload, self._origin())

    def _page(self, request: web.Request, items: list[Any]) -> web.Response:
        return page_of(request, items, self._origin())


def _id(request: web.Request) -> str:
    return request.match_info["id"]
