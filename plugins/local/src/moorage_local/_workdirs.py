"""Apps, unpacked and ready to run: one read-only directory for each content.

    artifacts/DIGEST/     the app's files

Whatever runs the same content shares its directory, so nothing may write there.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from moorage.errors import IntegrityError, NotFoundError, UnavailableError

from . import _pack
from ._blobs import BlobStore
from ._database import Database
from ._hashing import copy
from ._home import Home
from ._pack import Manifest, PackedFile

_LOCK_LIMIT_S = 600.0
_LONGEST_MANIFEST = 1 << 28


class Workdirs:
    """The unpacked apps of one home."""

    def __init__(self, home: Home, database: Database) -> None:
        self._home = home
        self._blobs = BlobStore(home, database)

    def read(self, digest: str, path: str) -> bytes | None:
        """Return one small file of an app without unpacking it; `None` where it has none.

        Raises:
            IntegrityError: The content is not what was stored.
            NotFoundError: There is no such content.
        """
        for file in self._manifest(digest).files:
            if file.path == path:
                return self._blob(file.sha256)
        return None

    def ensure(self, digest: str) -> Path:
        """Return the directory of an app; unpack it if it is not there.

        Raises:
            IntegrityError: The content is not what was stored.
            NotFoundError: There is no such content.
        """
        manifest = self._manifest(digest)
        directory = self._home.artifacts / digest
        with self._home.lock(f"workdir-{digest}", timeout=_LOCK_LIMIT_S):
            if _is_whole(directory, manifest):
                os.utime(directory)  # `prune` leaves it alone
                return directory
            remove_tree(directory)  # what a loss of power left
            with self._home.scratch("unpack") as scratch:
                whole = scratch / "app"
                whole.mkdir(mode=0o700)
                for file in manifest.files:
                    self._unpack(file, whole)
                whole.replace(directory)
                os.utime(directory)
            for parent, _, _ in os.walk(directory):
                Path(parent).chmod(0o500)
        return directory

    def prune(self, used: Collection[str], *, unused_s: float) -> list[str]:
        """Remove the directories that are not in use; return their digests.

        Args:
            used: Digests of what is in use.
            unused_s: Seconds for which `ensure` must not have given a directory out, since what
                it was given out for may not have been known when `used` was found out.
        """
        removed = []
        for directory in self._home.artifacts.iterdir():
            if directory.name in used:
                continue
            with (
                contextlib.suppress(FileNotFoundError, UnavailableError),
                self._home.lock(f"workdir-{directory.name}", timeout=0.0),
            ):
                if time.time() - directory.stat().st_mtime >= unused_s:
                    remove_tree(directory)
                    removed.append(directory.name)
        return removed

    def _manifest(self, digest: str) -> Manifest:
        return _pack.decode(self._blob(digest))

    def _blob(self, digest: str) -> bytes:
        try:
            with self._blobs.open(digest) as stream:
                content = stream.read(_LONGEST_MANIFEST)
        except FileNotFoundError:
            raise NotFoundError(
                f"the content sha256:{digest} is not in the store",
                hint="push the artifact again",
            ) from None
        import hashlib

        if hashlib.sha256(content).hexdigest() != digest:
            raise IntegrityError(
                f"the stored content sha256:{digest} has changed", hint="push the artifact again"
            )
        return content

    def _unpack(self, file: PackedFile, into: Path) -> None:
        target = into / file.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        mode = 0o500 if file.executable else 0o400
        try:
            with (
                self._blobs.open(file.sha256) as stream,
                os.fdopen(os.open(target, flags, mode), "wb", buffering=0) as sink,
            ):
                found = copy(stream, sink, size_bytes=file.size_bytes)
        except FileNotFoundError:
            found = ("", -1)
        if found != (file.sha256, file.size_bytes):
            raise IntegrityError(
                f"the stored content of {file.path!a} is missing or has changed",
                hint="push the artifact again",
            )


def remove_tree(directory: Path) -> None:
    """Remove a directory, read-only ones in it too."""
    with contextlib.suppress(FileNotFoundError):
        directory.chmod(0o700)
        for parent, names, _ in os.walk(directory):
            for path in (Path(parent, name) for name in names):
                if not path.is_symlink():
                    path.chmod(0o700)
        shutil.rmtree(directory)


def _is_whole(directory: Path, manifest: Manifest) -> bool:
    """Return whether all files are there in their sizes.

    A directory appears at once, but a loss of power may leave files in it empty.
    """
    try:
        return all((directory / f.path).stat().st_size == f.size_bytes for f in manifest.files)
    except OSError:
        return False
