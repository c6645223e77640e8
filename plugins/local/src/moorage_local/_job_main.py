"""Runs a job's function: `python _job_main.py HANDLER INPUT RESULT LIMIT`.

The app's own interpreter runs this file by its path, so that it needs nothing but the standard
library of any supported Python. It reads the input, calls the function and leaves either the
result or, next to it, `error.json` with what went wrong; both appear whole or not at all. What the
function prints goes to the log like everything else.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

_FRAMES = 5
_MESSAGE_CHARACTERS = 4000


def main(arguments: list[str]) -> int:
    """Run the function; return the exit code."""
    handler, input_file, result_file, limit = arguments
    result = Path(result_file)
    try:
        content = _run(handler, Path(input_file), int(limit))
    except _NoResultError as exc:
        if not exc.told:
            sys.stderr.write(f"{exc}\n")
        _write(result.with_name("error.json"), json.dumps({"message": str(exc)}).encode())
        return 1
    _write(result, content)
    return 0


class _NoResultError(Exception):
    """There is no result, for a reason that the text tells.

    Attributes:
        told: Whether the log has it already.
    """

    def __init__(self, message: str, *, told: bool = False) -> None:
        super().__init__(message)
        self.told = told


def _run(handler: str, input_file: Path, limit: int) -> bytes:
    """Return the result as JSON."""
    function = _find(handler)
    value = json.loads(input_file.read_bytes())
    try:
        output = function(value)
    except SystemExit as exc:
        code = "" if exc.code is None else repr(exc.code)
        raise _NoResultError(
            f"{handler} called sys.exit({code}) instead of returning a result"
        ) from exc
    except BaseException as exc:  # also KeyboardInterrupt and the like: whatever ends it is told
        _print(exc)
        raise _NoResultError(_described(exc), told=True) from exc
    return _encode(handler, output, limit)


def _find(handler: str) -> Any:
    """Import the function."""
    module_name, _, attributes = handler.partition(":")
    # In place of this file's directory, whose modules are not the app's.
    sys.path[:] = [os.getcwd(), *(path for path in sys.path if path != sys.path[0])]  # noqa: PTH109  # text
    try:
        found: Any = importlib.import_module(module_name)
    except BaseException as exc:  # the app's own code runs here
        _print(exc)
        message = f"cannot import {module_name!r}: {_described(exc)}"
        raise _NoResultError(message, told=True) from exc
    for name in attributes.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise _NoResultError(f"module {module_name!r} has no {attributes!r}") from None
    if not callable(found):
        raise _NoResultError(f"{handler} is a {type(found).__name__}, not a function")
    return found


def _encode(handler: str, output: Any, limit: int) -> bytes:
    try:
        content = json.dumps(output, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise _NoResultError(f"{handler} returned what is not JSON: {exc}") from exc
    if len(content) > limit:
        raise _NoResultError(
            f"{handler} returned {len(content)} bytes of JSON, and {limit} are allowed:"
            " write a large result to a file and return its path"
        )
    return content


def _described(exc: BaseException) -> str:
    """Return the exception and the last frames that led to it."""
    words = "".join(traceback.format_exception_only(type(exc), exc)).strip()
    frames = traceback.extract_tb(_own(exc).__traceback__)[-_FRAMES:]
    lines = [f"  {_place(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames]
    return "\n".join([words[:_MESSAGE_CHARACTERS], *lines])


def _print(exc: BaseException) -> None:
    traceback.print_exception(type(exc), _own(exc), exc.__traceback__)


def _own(exc: BaseException) -> BaseException:
    """Leave out the frames of this file and of the import system."""
    trace = exc.__traceback__
    while trace and trace.tb_frame.f_code.co_filename.startswith((__file__, "<frozen", _IMPORTLIB)):
        trace = trace.tb_next
    return exc.with_traceback(trace)


def _place(filename: str) -> str:
    relative = os.path.relpath(filename)
    return filename if relative.startswith("..") else relative


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_name(f"{file.name}.new")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)


_IMPORTLIB = str(Path(importlib.__file__).parent)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
