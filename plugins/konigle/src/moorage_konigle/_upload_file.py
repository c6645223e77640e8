"""The file of an upload, in any of the forms in which it may be given."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

from moorage.errors import InvalidRequestError
from moorage.plugin import clean_url
from moorage.plugin.transport import Data, FileField, HandleContent, HttpClient, SignedUrl

from ._spaces import from_start

if TYPE_CHECKING:
    from typing import BinaryIO

UNNAMED = "upload.bin"
"""What the service is told where a content has no name."""

ANY_TYPE = "application/octet-stream"

_OFFICE = "application/vnd.openxmlformats-officedocument"

# The kinds of file that the service takes. The same table on every machine, unlike the system's.
_TYPES = {
    ".csv": "text/csv",
    ".doc": "application/msword",
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".zip": "application/zip",
}

ENDINGS = tuple(ending for ending in _TYPES if ending not in (".mp4", ".webm", ".xls", ".xlsx"))
"""What the name of an upload can end in."""


class UploadFile(msgspec.Struct, frozen=True):
    """What is sent and what it is called."""

    data: Any
    filename: str
    content_type: str

    def field(self, name: str) -> FileField:
        """Return it as a field of a form."""
        data: Data = self.data
        return FileField(name, data, filename=self.filename, content_type=self.content_type)


@contextmanager
def opened(file: Any, http: HttpClient, endings: Sequence[str] = ENDINGS) -> Iterator[UploadFile]:
    """Give what stands for a file as something that can be sent.

    Args:
        file: What stands for it.
        http: Fetches what is on another server.
        endings: What its name can end in.

    Raises:
        InvalidRequestError: There is no such file, it ends in what the service does not take, or
            it is nothing that can be uploaded.
    """
    if isinstance(file, str) and file.startswith(("https://", "http://")):
        with _remote(file, http, endings) as found:
            yield found
        return
    if isinstance(file, str | Path):
        yield file_of(Path(file), endings)
    elif isinstance(file, tuple) and len(file) == 2 and isinstance(file[1], str):
        content, filename = file
        yield UploadFile(_content(content), filename, _type_of(filename, endings))
    else:
        yield UploadFile(_content(file), UNNAMED, ANY_TYPE)


def file_of(path: Path, endings: Sequence[str] = ENDINGS) -> UploadFile:
    """Return a file of this machine as something that can be sent.

    Raises:
        InvalidRequestError: There is none, or it ends in what the service does not take.
    """
    if not path.is_file():
        raise InvalidRequestError(
            f"there is no file {str(path)!r}", hint="check the path", fields={"file": "missing"}
        )
    return UploadFile(path, path.name, _type_of(path.name, endings))


@contextmanager
def _remote(url: str, http: HttpClient, endings: Sequence[str]) -> Iterator[UploadFile]:
    """Give a file of another server; it passes through this machine and is held nowhere."""
    filename = unquote(urlsplit(url).path.rpartition("/")[2])
    content_type = _type_of(filename, endings)
    with http.stream("GET", SignedUrl(url)) as stream:
        packed = "content-encoding" in stream.headers
        handle: BinaryIO = stream  # type: ignore[assignment]  # a raw stream that reads bytes
        content = HandleContent(handle, length=None if packed else stream.length)
        yield UploadFile(content, filename, content_type)


def _content(data: Any) -> Any:
    if not isinstance(data, bytes | bytearray) and not hasattr(data, "read"):
        raise InvalidRequestError(
            f"a {type(data).__name__} cannot be uploaded",
            hint="pass a path, bytes, an open binary file or (content, filename)",
            fields={"file": "not a file"},
        )
    return from_start(data)


def _type_of(filename: str, endings: Sequence[str]) -> str:
    ending = Path(filename).suffix.lower()
    if ending not in endings:
        raise InvalidRequestError(
            f"{clean_url(filename)!r} cannot be uploaded under this name",
            hint=f"the service takes {' '.join(endings)} here"
            + ("; put another file into a ZIP" if ".zip" in endings else "")
            + ", or upload its content without a name",
            fields={"file": "name ends in what the service does not take"},
        )
    return _TYPES[ending]
