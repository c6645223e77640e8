"""Spaces: the stages of a web app, and what is deployed to them."""

from pathlib import Path
from typing import Any, BinaryIO, cast

from moorage.plugin import Progress
from moorage.plugin.transport import Data, FileField, Form, RequestOptions, TextField

from ._body import body_of
from ._manager import Manager
from ._wire import Deployment, Envelope, Space

PATH = "/cloud/api/v1/spaces"


class Spaces(Manager[Space]):
    """The spaces of the project; the filter is `webapp_id`."""

    _path = PATH
    _noun = "space"
    _item = Space
    _envelope = Envelope[Space] | list[Space]
    _filters = frozenset({"webapp_id"})

    def create(self, data: Any) -> Space:
        """Ask for a space; whether the service grants it is not documented."""
        return self._http.call("POST", PATH, json=body_of(data, self._noun), returns=Space)

    def deploy(
        self,
        space_id: str,
        zip_file: bytes | Path | BinaryIO,
        filename: str = "app.zip",
        display_name: str | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Deployment:
        """Send a ZIP and have it deployed; it is streamed and sent once.

        Args:
            space_id: Where to.
            zip_file: The archive: bytes, a path, or an open binary file, which is sent from its
                beginning where it can seek.
            filename: What the service is told.
            display_name: The release's name; the service makes one up where there is none.
            progress: Told how much was sent.
            timeout: Seconds for everything; by default it takes as long as bytes move.

        Returns:
            The deployment, whose `job_id` tells how it goes on.

        Raises:
            InvalidRequestError: The file cannot be sent, or the service refuses the archive.
            ConflictError: A deployment to this space is under way.
            MoorageError: With `retry` `unknown_outcome`, it may have begun. Nothing tells for
                sure; a changed `last_deployed_at` of the space is the best evidence.
        """
        fields: list[TextField | FileField] = []
        if display_name:
            fields.append(TextField("display_name", display_name))
        fields.append(
            FileField(
                "zip_file", from_start(zip_file), filename=filename, content_type="application/zip"
            )
        )
        options: RequestOptions = {"data": Form(fields), "timeout": timeout}
        if progress is not None:
            options["progress"] = progress
        return self._http.call(
            "POST", f"{PATH}/{{id}}/deploy", {"id": space_id}, returns=Deployment, **options
        )

    def promote(self, uat_space_id: str) -> Deployment:
        """Have what runs in a `uat` space run in the web app's `production` space.

        Returns:
            The deployment, whose `job_id` tells how it goes on.

        Raises:
            InvalidRequestError: It is no `uat` space, or there is nothing in it.
            ConflictError: A deployment is under way.
            MoorageError: With `retry` `unknown_outcome`, it may have begun.
        """
        return self._http.call(
            "POST", f"{PATH}/{{id}}/promote", {"id": uat_space_id}, returns=Deployment
        )


def from_start(data: Any) -> Data:
    """Return a body; an open file that can seek is rewound, as the service's own client does."""
    if hasattr(data, "read") and hasattr(data, "seek"):
        file = cast("BinaryIO", data)
        if not hasattr(file, "seekable") or file.seekable():
            file.seek(0)
    return cast("Data", data)
