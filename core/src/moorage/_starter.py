"""A small app to start from."""

import os
from pathlib import Path

from ._artifact import check_name
from ._shown import shown
from ._unwritable import unwritable
from .errors import AlreadyExistsError, InvalidRequestError

_TEMPLATE = Path(__file__).parent / "_template"
_SUFFIX = ".template"  # they are data here, not modules of this package
_NAME = "my-app"


def write_app(directory: str | os.PathLike[str], name: str) -> tuple[Path, ...]:
    """Write a working app: a web service with a health check, a job, and what says how to run it.

    It needs nothing but Python's standard library. Nothing that exists is overwritten, and if
    something fails nothing is left.

    Args:
        directory: Where to; made if it does not exist.
        name: The app's name, as that of an artifact.

    Returns:
        The files, sorted by name.

    Raises:
        InvalidRequestError: It cannot be the name of an artifact, or the directory cannot be
            written.
        AlreadyExistsError: Some of the files exist; all of these are named.
        QuotaError: The disk is full.
    """
    check_name(name, "artifact")
    top = Path(directory)
    texts = {
        top / template.name.removesuffix(_SUFFIX): template.read_text("utf-8")
        for template in sorted(_TEMPLATE.glob(f"*{_SUFFIX}"))
    }
    existing = [path.name for path in texts if os.path.lexists(path)]
    if existing:
        raise AlreadyExistsError(
            f"there is {', '.join(existing)} in {shown(str(top))} already",
            hint="choose another directory; nothing was written",
            origin=InvalidRequestError.origin,
        )
    made: list[Path] = []
    try:
        for parent in [*reversed(top.parents), top]:
            if not parent.exists():
                parent.mkdir()
                made.append(parent)
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as file:
                made.append(path)
                file.write(text.replace(_NAME, name))
    except OSError as exc:
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        raise unwritable(top, exc, "directory") from exc
    return tuple(texts)
