"""Blobs and artifacts."""

import hashlib
import io
import re
import threading
from pathlib import Path
from typing import Any

from moorage.errors import MoorageError
from moorage.plugin import AppManifest, read_app
from moorage.plugin.archive import unpack_tar

from ._errors import ApiError, invalid, not_found
from ._moments import now

KINDS = ("app", "model", "data")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class App:
    """An artifact that can be run: its files, and what its manifest says."""

    def __init__(self, directory: Path, manifest: AppManifest) -> None:
        self.directory = directory
        self.manifest = manifest


class Artifacts:
    """The artifacts of one project. Its owner holds the lock."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._blobs: dict[str, bytes] = {}
        self._items: dict[tuple[str, str], dict[str, Any]] = {}
        self._apps: dict[str, App] = {}
        self._count = 0
        self._unpacking = threading.Lock()

    def put_blob(self, digest: str, content: bytes) -> None:
        """Keep content under its digest."""
        if not _DIGEST.fullmatch(digest):
            raise invalid("a blob's name is sha256: and its digest in hexadecimal")
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise invalid("the content has another digest")
        self._blobs[digest] = content

    def create(self, new: dict[str, Any]) -> dict[str, Any]:
        """Name a blob; the same again gives what is there."""
        if new["kind"] not in KINDS:
            raise invalid(f"kind is one of {', '.join(KINDS)}")
        blob = self._blobs.get(new["digest"])
        if blob is None:
            raise ApiError(409, "blob_missing", "send the blob before you name it")
        version = new["version"] or new["digest"].partition(":")[2][:12]
        there = self._items.get((new["name"], version))
        if there is not None:
            if all(there[key] == new[key] for key in ("digest", "kind", "filename")):
                return there
            raise ApiError(409, "version_taken", f"{new['name']}:{version} is something else")
        self._count += 1
        item = {
            "id": f"art-{self._count}",
            "name": new["name"],
            "version": version,
            "kind": new["kind"],
            "digest": new["digest"],
            "size": len(blob),
            "status": "stored",
            "filename": new["filename"],
            "labels": new["labels"],
            "created": now(),
        }
        self._items[new["name"], version] = item
        return item

    def get(self, name: str, version: str | None = None) -> dict[str, Any]:
        """Return one artifact; the newest of the name without a version."""
        if version is not None and (name, version) in self._items:
            return self._items[name, version]
        if version is None:
            for item in reversed(self._items.values()):
                if item["name"] == name:
                    return item
        raise not_found(f"artifact {name}" + (f":{version}" if version else ""))

    def find(self, reference: str) -> dict[str, Any]:
        """Return the artifact of a text `name:version`."""
        name, _, version = reference.partition(":")
        return self.get(name, version or None)

    def newest_first(self, name: str | None, kind: str | None) -> list[dict[str, Any]]:
        """Return all of a name and of a kind."""
        return [
            item
            for item in reversed(self._items.values())
            if name in {None, item["name"]} and kind in {None, item["kind"]}
        ]

    def content(self, item: dict[str, Any]) -> bytes:
        """Return what an artifact holds."""
        return self._blobs[item["digest"]]

    def delete(self, item: dict[str, Any]) -> None:
        """Forget an artifact; its blob stays, as others may have the same."""
        del self._items[item["name"], item["version"]]

    def app(self, item: dict[str, Any]) -> App:
        """Return an artifact as an app, unpacked when it is first run."""
        digest: str = item["digest"]
        with self._unpacking:
            if digest not in self._apps:
                self._apps[digest] = self._unpacked(item, digest)
            return self._apps[digest]

    def _unpacked(self, item: dict[str, Any], digest: str) -> App:
        if item["kind"] != "app" or item["filename"] is not None:
            raise invalid(f"{item['name']}:{item['version']} is no app")
        place = self._directory / digest.partition(":")[2]
        place.mkdir(parents=True, exist_ok=True)
        try:
            unpack_tar(io.BytesIO(self._blobs[digest]), place)
            manifest = read_app((place / "moorage.toml").read_bytes(), "moorage.toml")
        except (MoorageError, OSError) as exc:
            raise invalid(f"{item['name']}:{item['version']} is no app: {exc}") from exc
        return App(place, manifest)
