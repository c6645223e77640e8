"""Forms with files (`multipart/form-data`), streamed and with their exact length."""

import os
from collections.abc import Iterable, Iterator

from ...errors import InvalidRequestError
from ._content import Block, Content, Data, content_of
from ._headers import refusal

_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class TextField:
    """A field of text; it has no content type, as browsers send it."""

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value


class FileField:
    """A field with a file.

    Args:
        name: Of the field.
        data: What the file holds.
        filename: What the server is told; the name on disk stays here.
        content_type: Of the file.
    """

    def __init__(
        self,
        name: str,
        data: Data,
        *,
        filename: str,
        content_type: str = "application/octet-stream",
    ) -> None:
        reason = refusal(content_type)
        if reason or not content_type:
            raise InvalidRequestError(
                f"the content type of the field {name!r} {reason or 'is empty'}"
            )
        self.name = name
        self.content = content_of(data)
        self.filename = filename
        self.content_type = content_type


class Form:
    """A form as a body; its text fields come first, so that servers know them early.

    Args:
        fields: In the order in which their kind shall be sent.
        boundary: What divides them; random by default.
    """

    def __init__(
        self, fields: Iterable[TextField | FileField], *, boundary: str | None = None
    ) -> None:
        self._boundary = boundary or os.urandom(16).hex()
        fields = list(fields)
        texts = [field for field in fields if isinstance(field, TextField)]
        files = [field for field in fields if isinstance(field, FileField)]
        ahead = b"".join(map(self._text_part, texts))
        self._parts: list[tuple[bytes, Content]] = []
        for field in files:
            self._parts.append((ahead + self._file_head(field), field.content))
            ahead = b"\r\n"
        self._tail = ahead + f"--{self._boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        """Of the whole."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def length(self) -> int | None:
        """Size in bytes, where that of every file is known."""
        total = len(self._tail)
        for head, content in self._parts:
            if content.length is None:
                return None
            total += len(head) + content.length
        return total

    @property
    def rewindable(self) -> bool:
        """Whether every file is."""
        return all(content.rewindable for _, content in self._parts)

    def blocks(self) -> Iterator[Block]:
        """Return the pieces."""
        for head, content in self._parts:
            yield head
            yield from content.blocks()
        yield self._tail

    def _text_part(self, field: TextField) -> bytes:
        return self._encoded(f'name="{_escaped(field.name)}"\r\n\r\n{field.value}\r\n')

    def _file_head(self, field: FileField) -> bytes:
        name, filename = _escaped(field.name), _escaped(field.filename)
        return self._encoded(
            f'name="{name}"; filename="{filename}"\r\nContent-Type: {field.content_type}\r\n\r\n'
        )

    def _encoded(self, rest: str) -> bytes:
        part = f"--{self._boundary}\r\nContent-Disposition: form-data; {rest}"
        try:
            return part.encode()
        except UnicodeEncodeError:
            raise InvalidRequestError("a field of the form is not valid Unicode") from None


def _escaped(name: str) -> str:
    """Return a name as the HTML standard quotes it."""
    return name.translate(_ESCAPES)
