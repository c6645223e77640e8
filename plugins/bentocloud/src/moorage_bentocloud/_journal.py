"""What is known of uploads in parts that did not come to their end.

The API does not tell which parts the storage has, so that it is written down here: whoever pushes
the same content again goes on where the connection was lost.
"""

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from moorage.plugin.transport import Part


class _Entry(msgspec.Struct):
    upload_id: str
    digest: str
    parts: dict[int, Part] = {}  # a struct, whose defaults are copied


class Journal:
    """The parts of one upload that are there; for any number of threads.

    Args:
        directory: Where it is kept; `None` keeps nothing.
        key: Which upload.
        digest: Of what is uploaded; what was known of other content is forgotten.
    """

    def __init__(self, directory: Path | None, key: str, digest: str) -> None:
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        self._path = None if directory is None else directory / "uploads" / f"{name}.json"
        self._entry = _Entry("", digest)
        if self._path is not None:
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                found = msgspec.json.decode(self._path.read_bytes(), type=_Entry)
                if found.digest == digest:
                    self._entry = found

    @property
    def upload_id(self) -> str:
        """The upload that was begun; empty where none was."""
        return self._entry.upload_id

    @property
    def parts(self) -> dict[int, Part]:
        """The parts that are there, by their numbers."""
        return dict(self._entry.parts)

    def begin(self, upload_id: str) -> None:
        """Write down that an upload was begun."""
        self._entry = _Entry(upload_id, self._entry.digest)
        self._write()

    def add(self, part: Part) -> None:
        """Write down that a part is there."""
        self._entry.parts[part.number] = part
        self._write()

    def forget(self) -> None:
        """Forget the upload, which is whole or given up."""
        self._entry = _Entry("", self._entry.digest)
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        # Without it an upload cannot be resumed; it goes on all the same.
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
                file.write(msgspec.json.encode(self._entry))
            temporary.replace(self._path)
