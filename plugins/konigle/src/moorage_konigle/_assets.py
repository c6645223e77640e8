"""Media of a site: documents, images and videos, which the service keeps in one table."""

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from moorage.errors import InvalidRequestError
from moorage.plugin import Progress
from moorage.plugin.transport import FileField, Form, RequestOptions, TextField

from ._body import body_of, checked, described, given, json_text
from ._manager import LARGEST_PAGE, Manager, check_number
from ._upload_file import opened
from ._wire import Envelope, Page, to_page
from ._wire_assets import (
    Document,
    DocumentCreate,
    Image,
    ImageCreate,
    ImageGenerate,
    MediaAsset,
    MediaAssetCreate,
    Video,
    VideoCreate,
)

PATH = "/admin/api/storefront-assets"

T = TypeVar("T", bound=MediaAsset)

_ORDERINGS = ("created_at", "-created_at", "updated_at", "-updated_at")
_CHANGEABLE = frozenset({"name", "alt_text", "tags", "description", "meta"})


class MediaAssets(Manager[T], Generic[T]):
    """Files that are published on a site.

    Filters are `q`, `min_size` and `max_size` in bytes, `tags`, and `ordering`: `created_at` or
    `updated_at`, with a minus for the newest first.
    """

    _path = PATH
    _filters = frozenset({"q", "mime_type", "min_size", "max_size", "tags", "ordering"})
    _create: ClassVar[type[MediaAssetCreate]]
    _file: ClassVar[str] = "file"
    _endings: ClassVar[tuple[str, ...]]

    def create(
        self,
        data: MediaAssetCreate | Mapping[str, Any] | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
        **fields: Any,
    ) -> T:
        """Publish a file; it is streamed and sent once.

        Args:
            data: The file and what is said about it.
            progress: Told how much was sent.
            timeout: Seconds for everything; by default it takes as long as bytes move.
            fields: What `data` says, as keywords.

        Raises:
            InvalidRequestError: The file cannot be read, or its name ends in what the service
                does not take.
            MoorageError: With `retry` `unknown_outcome`, it may have been stored.
        """
        noun = f"a {self._noun}"
        create = described(given(data, fields, noun), self._create, noun, self._file)
        parts: list[TextField | FileField] = [
            TextField(name, getattr(create, name)) for name in ("name", "alt_text", "tags")
        ]
        for name in ("source_url", "description"):
            text = getattr(create, name)
            if text is not None:
                parts.append(TextField(name, text))
        if create.meta is not None:
            parts.append(TextField("meta", json_text(create.meta, f"{noun}'s meta")))
        with opened(getattr(create, self._file), self._http, self._endings) as file:
            parts.append(file.field(self._file))
            options: RequestOptions = {"data": Form(parts), "timeout": timeout}
            if progress is not None:
                options["progress"] = progress
            made: T = self._http.call("POST", PATH, returns=self._item, **options)
        return made

    def update(self, id_: str, data: Any) -> T:
        """Change `name`, `alt_text`, `tags` (a list), `description` or `meta`.

        Raises:
            NotFoundError: There is none.
            InvalidRequestError: A field cannot be changed.
        """
        body = body_of(data, self._noun)
        wrong = sorted(set(body) - _CHANGEABLE)
        if wrong:
            raise InvalidRequestError(
                f"{', '.join(map(repr, wrong))} of {self._noun}s cannot be changed",
                hint=f"use {', '.join(sorted(_CHANGEABLE))}",
                fields=dict.fromkeys(wrong, "cannot be changed"),
            )
        return super().update(id_, body)

    def search(self, query: str, page: int = 1, page_size: int = 10) -> Page[T]:
        """Return one page of those that a text finds.

        Args:
            query: The text.
            page: Which; the first one is 1.
            page_size: How many items it has at most, 1 to 200.

        Raises:
            InvalidRequestError: There is no such page size; nothing was sent.
            NotFoundError: There is no such page.
        """
        check_number("page", page, None)
        check_number("page_size", page_size, LARGEST_PAGE)
        envelope = self._http.call(
            "GET",
            f"{PATH}/search",
            query={"q": query, "asset_type": self._noun, "page": page, "page_size": page_size},
            returns=self._envelope,
        )
        return to_page(envelope, page, page_size)

    def _query(
        self, filters: Mapping[str, Any] | None, keywords: Mapping[str, Any]
    ) -> dict[str, str | int]:
        query = super()._query(filters, keywords)
        kind = query.setdefault("mime_type", self._noun)
        wrong = {} if kind == self._noun else {"mime_type": f"is {self._noun!r} here"}
        if query.get("ordering", _ORDERINGS[0]) not in _ORDERINGS:
            wrong["ordering"] = f"is one of {', '.join(_ORDERINGS)}"
        for name in ("min_size", "max_size"):
            size = query.get(name, 0)
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                wrong[name] = "is a number of bytes"
        if wrong:
            raise InvalidRequestError(
                f"{self._noun}s cannot be filtered so: "
                + "; ".join(f"{name} {rule}" for name, rule in wrong.items()),
                fields=wrong,
            )
        return query


class Documents(MediaAssets[Document]):
    """Documents of a site."""

    _noun = "document"
    _item = Document
    _envelope = Envelope[Document] | list[Document]
    _create = DocumentCreate
    _endings = (".pdf", ".csv", ".txt", ".docx", ".xlsx", ".doc", ".xls")


class Videos(MediaAssets[Video]):
    """Videos of a site."""

    _noun = "video"
    _item = Video
    _envelope = Envelope[Video] | list[Video]
    _create = VideoCreate
    _endings = (".mp4", ".webm")


class Images(MediaAssets[Image]):
    """Images of a site."""

    _noun = "image"
    _item = Image
    _envelope = Envelope[Image] | list[Image]
    _create = ImageCreate
    _file = "image"
    _endings = (".jpg", ".jpeg", ".png", ".gif", ".webp")

    def generate(
        self, data: ImageGenerate | Mapping[str, Any] | None = None, **fields: Any
    ) -> Image:
        """Have the service draw an image and publish it.

        Args:
            data: A struct or a mapping of its fields.
            fields: The same as keywords.

        Raises:
            InvalidRequestError: A field is wrong.
            MoorageError: With `retry` `unknown_outcome`, it may have been made.
        """
        noun = "an image"
        body = body_of(checked(given(data, fields, noun), ImageGenerate, noun), noun)
        return self._http.call("POST", f"{PATH}/generate-image", json=body, returns=Image)
