"""Storing, finding and fetching artifacts."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, final

from . import _binding
from ._artifact import (
    Artifact,
    ArtifactKind,
    ArtifactRef,
    ArtifactState,
    check_labels,
    check_name,
    check_version,
    portable_name,
)
from ._listing import Listing
from ._lost_reply import look_after, settle_delete, settled
from ._page import Page
from ._session import Session
from ._shown import shown
from ._unwritable import unwritable
from .errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    PluginError,
    Retry,
)
from .plugin._driver import ArtifactPush
from .plugin._progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._source import Source

AnyRef = Artifact | ArtifactRef | str
"""An artifact, its reference, or the reference's text `name:version`."""

# What marks a directory that is some cloud's own deployable form already.
_NATIVE_APPS = ("bento.yaml", "bentocloud.toml")


@final
class Artifacts:
    """The artifacts of one cloud."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def push(
        self,
        source: "str | os.PathLike[str] | Source",
        *,
        name: str | None = None,
        version: str | None = None,
        kind: ArtifactKind | str | None = None,
        labels: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> Artifact:
        """Store a directory or a file and return the artifact.

        Pushing the same content again under the same name and version changes nothing and returns
        what is there.

        Args:
            source: A portable app (a directory with a `moorage.toml`), a directory or a file.
            name: The app's own by default, else what the provider's own files in it say, else the
                file's or directory's.
            version: The app's own by default, else chosen by the provider from the content.
            kind: The app's own by default; `model` or `data` where there is no app.
            labels: Words to keep with it, on top of the app's own.
            progress: Called with bytes done and bytes in total.

        Raises:
            InvalidRequestError: The source, the name or an option cannot be used.
            AlreadyExistsError: Other content has this name and version.
            UnsupportedError: The provider does not store this kind.
        """
        from ._source import Source, open_source

        # What the caller gave is refused before the disk is looked at.
        own_labels = check_labels(labels or {})
        given = _given(version=version, labels=labels, kind=_kind(kind))
        _binding.check(self._session.capabilities, "artifacts.push", given)
        opened = source if isinstance(source, Source) else open_source(source)
        app = opened.app
        is_named = name is not None or app is not None
        if name is None:
            name = app.name if app else _name_of(opened.path)
        check_name(name, "artifact")
        if version is None and app is not None:
            version = app.version
        if version is not None:
            check_version(version)
        found = _kind(kind) or _kind_of(opened)
        merged = {**(app.labels if app else {}), **own_labels}
        _binding.check(
            self._session.capabilities,
            "artifacts.push",
            _given(version=version, labels=merged, kind=found),
        )
        ref = ArtifactRef(name, version)
        resource = f"artifact/{ref}"
        with _relayed(progress) as relay:
            push = ArtifactPush(
                source=opened,
                name=name,
                is_named=is_named,
                version=version,
                kind=found,
                labels=merged,
                progress=relay,
            )
            try:
                with self._session.call("artifacts.push", resource):
                    return self._session.artifacts.push(push)
            except MoorageError as exc:
                if exc.retry is not Retry.UNKNOWN_OUTCOME or version is None:
                    raise
                self._check_lost_push(ref, exc)
                # Something of this name is there. Only the driver can tell whether it is this
                # content: pushing the same again changes nothing, and other content is refused.
                with self._session.call("artifacts.push", resource):
                    return self._session.artifacts.push(push)

    def pull(
        self,
        ref: AnyRef,
        destination: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
    ) -> Path:
        """Fetch an artifact into a new directory or file and return its path.

        The destination appears in one step, when everything is there and verified. A portable app
        comes back byte for byte.

        Args:
            ref: Which; the latest version where it names none.
            destination: Where to; a directory that exists and is empty is filled. A file artifact
                goes into an existing directory under its own name.
            progress: Called with bytes done and bytes in total.

        Raises:
            NotFoundError: There is no such artifact.
            AlreadyExistsError: Something is at the destination.
            IntegrityError: The bytes are not what they were.
        """
        _binding.check(self._session.capabilities, "artifacts.pull", {})
        target = Path(os.path.abspath(os.fspath(destination)))  # noqa: PTH100  # keeps links as they are
        _check_destination(target)
        artifact = self._find(ref)
        if artifact.state is not ArtifactState.READY:
            raise ConflictError(
                f"artifact {artifact.ref} is {artifact.state}, not ready",
                resource=f"artifact/{artifact.ref}",
                hint="push it again, or wait until its upload has ended",
            )
        if not artifact.is_file and target.is_dir() and any(target.iterdir()):
            raise _occupied(target)
        with _staging(target.parent) as staging, _relayed(progress) as relay:
            inside = staging / "content"
            inside.mkdir()
            with self._session.call("artifacts.pull", f"artifact/{artifact.ref}"):
                self._session.artifacts.pull(artifact, inside, progress=relay)
            if artifact.is_file:
                content = self._only_file(inside, artifact)
                if target.is_dir():
                    target = target / content.name
            else:
                content = inside
            return _publish(content, target)

    def _only_file(self, inside: Path, artifact: Artifact) -> Path:
        found = list(inside.iterdir())
        if len(found) != 1 or not found[0].is_file() or found[0].is_symlink():
            raise PluginError(
                f"provider {self._session.provider!r} did not write the one file that"
                f" {artifact.ref} is",
                hint="this is a defect of the provider package: please report it",
                provider=self._session.provider,
                operation="artifacts.pull",
                resource=f"artifact/{artifact.ref}",
            )
        return found[0]

    def open(self, ref: AnyRef) -> BinaryIO:
        """Return an artifact's content as a stream: the file, or an archive of the directory.

        Close it, or use it in a `with` statement.

        Raises:
            NotFoundError: There is no such artifact.
        """
        _binding.check(self._session.capabilities, "artifacts.open", {})
        artifact = self._find(ref)
        with self._session.call("artifacts.open", f"artifact/{artifact.ref}"):
            return self._session.artifacts.open(artifact)

    def get(self, ref: AnyRef) -> Artifact:
        """Return one artifact; the latest version where the reference names none.

        Raises:
            NotFoundError: There is none.
        """
        _binding.check(self._session.capabilities, "artifacts.get", {})
        wanted = as_ref(ref)
        with self._session.call("artifacts.get", f"artifact/{wanted}"):
            return self._session.artifacts.get(wanted)

    def list(
        self, name: str | None = None, *, kind: ArtifactKind | str | None = None
    ) -> Listing[Artifact]:
        """Return the artifacts, newest first, fetched as they are iterated.

        Args:
            name: Only the versions of this one.
            kind: Only this kind.
        """
        wanted = _kind(kind)
        _binding.check(self._session.capabilities, "artifacts.list", _given(kind=wanted))
        if name is not None:
            check_name(name, "artifact")

        def fetch(token: str | None) -> Page[Artifact]:
            with self._session.call("artifacts.list"):
                return self._session.artifacts.list(name=name, kind=wanted, page_token=token)

        return Listing(fetch, key=lambda artifact: artifact.id)

    def delete(self, ref: AnyRef, *, missing_ok: bool = False) -> None:
        """Delete one version of an artifact.

        Args:
            ref: Which; it must name the version.
            missing_ok: Whether it is fine that there is none.

        Raises:
            NotFoundError: There is none.
            ConflictError: A deployment or a job uses it.
        """
        _binding.check(self._session.capabilities, "artifacts.delete", {})
        wanted = as_ref(ref)
        if wanted.version is None:
            raise InvalidRequestError(
                f"to delete artifact {wanted.name!r}, say which version",
                hint=f"write {wanted.name}:VERSION; `moorage artifacts list {wanted.name}`"
                " shows them",
                fields={"ref": "no version"},
            )
        resource = f"artifact/{wanted}"
        try:
            artifact = ref if isinstance(ref, Artifact) else self._find(wanted)
            with self._session.call("artifacts.delete", resource):
                self._session.artifacts.delete(artifact)
        except NotFoundError:
            if not missing_ok:
                raise
        except MoorageError as exc:
            if exc.retry is not Retry.UNKNOWN_OUTCOME:
                raise
            settle_delete(exc, resource, lambda: self._find(wanted))

    def _find(self, ref: AnyRef) -> Artifact:
        if isinstance(ref, Artifact):
            return ref
        wanted = as_ref(ref)
        with self._session.call("artifacts.get", f"artifact/{wanted}"):
            return self._session.artifacts.get(wanted)

    def _check_lost_push(self, ref: ArtifactRef, lost: MoorageError) -> None:
        """Raise what is known of a lost push, unless there is a whole artifact of that name."""
        found = look_after(lost, lambda: self._find(ref))
        if found is None:
            raise settled(lost, f"artifact {ref} was not stored") from lost
        if found.state is not ArtifactState.READY:
            raise lost


def as_ref(ref: AnyRef) -> ArtifactRef:
    """Return the reference that something stands for.

    Raises:
        InvalidRequestError: It stands for none.
    """
    if isinstance(ref, Artifact):
        return ref.ref
    if isinstance(ref, ArtifactRef):
        return ArtifactRef.parse(str(ref))
    if isinstance(ref, str):
        return ArtifactRef.parse(ref)
    raise InvalidRequestError(
        f"{shown(ref)} is not an artifact",
        hint="pass an Artifact, an ArtifactRef or the text name:version",
    )


def _given(**options: Any) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value not in (None, {}, (), "")}


def _kind(kind: ArtifactKind | str | None) -> ArtifactKind | None:
    if kind is None:
        return None
    try:
        return ArtifactKind(kind)
    except ValueError as exc:
        raise InvalidRequestError(
            f"{shown(kind)} is not a kind of artifact",
            hint=f"use {', '.join(ArtifactKind)}",
            fields={"kind": "unknown"},
        ) from exc


def _kind_of(source: "Source") -> ArtifactKind:
    if source.app is not None:
        return ArtifactKind(source.app.kind)
    if not source.is_file and any((source.path / name).is_file() for name in _NATIVE_APPS):
        return ArtifactKind.APP
    raise InvalidRequestError(
        f"{shown(str(source.path))} is no app, so say what it is",
        hint="pass kind='model' or kind='data', or add a moorage.toml (`moorage init` writes one)",
        fields={"kind": "needed where there is no moorage.toml"},
    )


def _name_of(path: Path) -> str:
    # A directory's name has no extension, though it may have a dot.
    whole = path.resolve()
    return portable_name(whole.name if whole.is_dir() else whole.stem)


def _check_destination(target: Path) -> None:
    if not target.parent.is_dir():
        raise InvalidRequestError(
            f"there is no directory {shown(str(target.parent))}",
            hint="make it first",
            fields={"destination": "its parent does not exist"},
        )
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise _occupied(target)


def _occupied(target: Path) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"there is something at {shown(str(target))}",
        hint="pull to a path where nothing is, or into an empty directory",
    )


@contextmanager
def _staging(parent: Path) -> "Iterator[Path]":
    # Beside the destination, so that the last step is a rename on one file system.
    try:
        staging = Path(tempfile.mkdtemp(prefix=".moorage-pull-", dir=parent))
    except OSError as exc:
        raise unwritable(parent, exc, "destination") from exc
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(content: Path, target: Path) -> Path:
    try:
        if content.is_dir():
            if target.is_dir():
                target.rmdir()
            content.rename(target)
        else:
            _place(content, target)
    except FileExistsError as exc:
        raise _occupied(target) from exc
    except OSError as exc:
        if target.exists():
            raise _occupied(target) from exc
        raise unwritable(target.parent, exc, "destination") from exc
    return target


def _place(content: Path, target: Path) -> None:
    try:
        # A link refuses what has appeared there meanwhile; a rename would replace it.
        target.hardlink_to(content)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no links.
        if target.exists():
            raise
        content.rename(target)


class _CallerError(MoorageError):
    """Carries what the caller's own callback raised through the driver."""


@contextmanager
def _relayed(progress: Progress | None) -> "Iterator[Progress | None]":
    """Give a progress callback whose exceptions reach the caller as they are."""
    if progress is None:
        yield None
        return

    def relay(done: int, total: int | None) -> None:
        try:
            progress(done, total)
        except Exception as exc:
            raise _CallerError("the progress callback failed") from exc

    try:
        yield relay
    except _CallerError as exc:
        raise exc.__cause__ or exc from None
