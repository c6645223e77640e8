"""What a command is given to run: something stored, or something to store first."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NotFoundError
from ._app import App

if TYPE_CHECKING:
    from .._artifact import Artifact


def is_path(text: str) -> bool:
    """Return whether a text means a file or a directory rather than `name:version`.

    It must say so itself, since the same word can be a directory here and an artifact there.
    """
    return text in {".", ".."} or "/" in text or text.startswith("~") or os.sep in text


def stored(app: App, text: str) -> "Artifact":
    """Return the artifact that a text names; a path is pushed first.

    Raises:
        NotFoundError: There is no such artifact.
    """
    if is_path(text):
        return push(app, text)
    try:
        return app.cloud.artifacts.get(text)
    except NotFoundError as exc:
        if Path(text).exists():
            exc.hint = f"to push the one in this directory, write ./{text}"
        raise


def push(app: App, path: str, **options: str | dict[str, str] | None) -> "Artifact":
    """Push a file or a directory, telling how far it is."""
    with app.progress.bytes(f"push {path}") as progress:
        return app.cloud.artifacts.push(
            Path(path).expanduser(),
            progress=progress,
            **options,  # type: ignore[arg-type]  # the command has typed them
        )
