"""The artifacts of an organization, as the portable layer asks for them."""

import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from moorage.errors import InvalidRequestError, NotFoundError
from moorage.plugin import Artifact, ArtifactKind, ArtifactPush, ArtifactRef, Page, Progress

from ._apps import Apps
from ._data import Data
from ._models import Models


class _Store(Protocol):
    """Artifacts of one kind."""

    def push(self, push: ArtifactPush, /) -> Artifact: ...
    def pull(self, artifact: Artifact, into: Path, progress: Progress | None, /) -> None: ...
    def fetch(self, artifact: Artifact, destination: Path, /) -> None: ...
    def get(self, name: str, version: str | None, /) -> Artifact | None: ...
    def versions(self, name: str, /) -> list[Artifact]: ...
    def delete(self, artifact: Artifact, /) -> None: ...


class Artifacts:
    """Apps, models and data, each in its own place on the platform."""

    def __init__(self, apps: Apps, models: Models, data: Data) -> None:
        self._apps = apps
        self._models = models
        self._data = data
        self._stores: dict[ArtifactKind, _Store] = {
            ArtifactKind.APP: apps,
            ArtifactKind.MODEL: models,
            ArtifactKind.DATA: data,
        }

    def push(self, push: ArtifactPush, /) -> Artifact:
        """Store an artifact and return it.

        Raises:
            AlreadyExistsError: Other content is there under this name and version.
        """
        return self._stores[push.kind].push(push)

    def pull(self, artifact: Artifact, into: Path, /, *, progress: Progress | None) -> None:
        """Write the content into an empty directory."""
        self._stores[artifact.kind].pull(artifact, into, progress)

    def open(self, artifact: Artifact, /) -> BinaryIO:
        """Return the content as a stream: the file itself, or an archive of the directory."""
        place = Path(tempfile.mkdtemp(prefix="moorage-abeja-"))
        try:
            self._stores[artifact.kind].fetch(artifact, place / "content")
            # On the systems that we run on, an open file outlives its name.
            return cast("BinaryIO", (place / "content").open("rb"))
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def get(self, ref: ArtifactRef, /) -> Artifact:
        """Return one artifact; the latest where the reference has no version.

        Raises:
            NotFoundError: There is none.
        """
        found = [
            artifact
            for store in self._stores.values()
            if (artifact := store.get(ref.name, ref.version)) is not None
        ]
        if not found:
            raise NotFoundError(
                f"there is no artifact {ref}",
                hint="`moorage artifacts list` shows what there is",
                resource=f"artifact/{ref}",
            )
        return max(found, key=_age)

    def list(
        self, *, name: str | None, kind: ArtifactKind | None, page_token: str | None
    ) -> Page[Artifact]:
        """Return one page, newest first within each name and kind."""
        kinds = tuple(ArtifactKind) if kind is None else (kind,)
        if name is not None:
            found = [artifact for k in kinds for artifact in self._stores[k].versions(name)]
            return Page(items=tuple(sorted(found, key=_age, reverse=True)))
        return self._page(kinds, page_token)

    def delete(self, artifact: Artifact, /) -> None:
        """Delete it.

        Raises:
            NotFoundError: It is gone already.
            ConflictError: It is in use.
        """
        self._stores[artifact.kind].delete(artifact)

    def _page(self, kinds: tuple[ArtifactKind, ...], token: str | None) -> Page[Artifact]:
        """Return a page of everything: one name of apps, then of models, then a page of data."""
        kind, place = _parsed(token, kinds)
        items: list[Artifact]
        following: str | None
        if kind is ArtifactKind.DATA:
            items, following = self._data.page(place or None)
        elif kind is ArtifactKind.APP:
            homes = [home for home in self._apps.homes() if home.deployment_id > place]
            homes.sort(key=lambda home: home.deployment_id)
            items = self._apps.of(homes[0]) if homes else []
            following = homes[0].deployment_id if len(homes) > 1 else None
        else:
            names = [name for name in self._models.definitions() if name > place]
            items = self._models.versions(names[0]) if names else []
            following = names[0] if len(names) > 1 else None
        if following is not None:
            return Page(items=tuple(items), next_token=f"{kind}:{following}")
        later = kinds[kinds.index(kind) + 1 :]
        return Page(items=tuple(items), next_token=f"{later[0]}:" if later else None)


def _parsed(token: str | None, kinds: tuple[ArtifactKind, ...]) -> tuple[ArtifactKind, str]:
    if not token:
        return kinds[0], ""
    kind, _, place = token.partition(":")
    if kind not in kinds:
        raise InvalidRequestError(
            f"{token!a} is no page of the list of artifacts", hint="begin the list again"
        )
    return ArtifactKind(kind), place


def _age(artifact: Artifact) -> str:
    """Return what sorts by age; what was stored a moment ago has no moment yet."""
    return artifact.created_at.isoformat() if artifact.created_at else "~"
