"""Errors as a person reads them, and as a program does."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from ..errors import AuthenticationError, MoorageError, NotFoundError, Retry, TimedOutError
from ._app import Terminated
from ._exit_codes import ExitCode, exit_code
from ._output import FORMATS, MACHINE, write_talk
from ._text import visible

if TYPE_CHECKING:
    from .._operations import Operation
    from ._app import App

_BUG = "this is a bug in moorage: please report it with what --debug shows"


class UsageFailure(click.UsageError):
    """A wrong use of the command, with a hint."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class CommandFailure(click.ClickException):
    """A command that could not do what it was asked for, with its exit code."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        exit_code: ExitCode = ExitCode.FAILED,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code  # type: ignore[misc]  # click has one for each class
        self.hint = hint


def report(error: BaseException, app: "App", *, output: str, debug: bool) -> ExitCode:
    """Tell on stderr what went wrong and return the exit code.

    Args:
        error: What ended the command.
        app: The command's state.
        output: The output format that was asked for.
        debug: Whether to show where it came from.
    """
    if debug and not isinstance(error, click.ClickException):
        import traceback

        trace = "".join(traceback.format_exception(error)).rstrip()
        _write(visible(app.clean(trace), lines=True), sys.stderr)
    description, code = describe(error, app)
    for key in ("message", "hint"):
        description[key] = description[key] and app.clean(description[key])
    if output in MACHINE:
        import json

        _write(json.dumps(description, ensure_ascii=False, default=str), sys.stderr)
    else:
        _explain(error, description, colour=app.wants_colour(sys.stderr))
    return code


def wanted_output(words: Sequence[str]) -> str:
    """Return the output format that the words ask for, though they cannot be parsed.

    A mistake in front of `-o json` must not keep a program from getting its error as JSON.
    """
    wanted = "table"
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word == "--":
            break
        value = ""
        if word.startswith("--output="):
            value = word.removeprefix("--output=")
        elif word == "--output":
            value = following
        elif word.startswith("-") and not word.startswith("--") and "o" in word:
            value = word.partition("o")[2] or following
        if value in FORMATS:
            wanted = value
    return wanted


def describe(error: BaseException, app: "App") -> tuple[dict[str, Any], ExitCode]:
    """Return an error as JSON-like data, and its exit code."""
    cloud = app.connected
    about: dict[str, Any] = {
        "code": "internal",
        "message": "",
        "hint": None,
        "provider": cloud.provider if cloud else app.options.provider,
        "profile": cloud.profile if cloud else app.options.profile,
        "request_id": None,
        "retry": "never",
        "resource": None,
    }
    if isinstance(error, MoorageError):
        about.update(
            code=error.code,
            message=error.message,
            hint=error.hint or _usual_hint(error),
            provider=error.provider or about["provider"],
            request_id=error.request_id,
            retry=error.retry.value,
            resource=error.resource,
        )
        if isinstance(error, TimedOutError) and error.pending is not None:
            about |= _resumable(error.pending)
        return about, exit_code(error)
    if isinstance(error, click.ClickException):
        about.update(message=_message(error), hint=_hint(error))
        about["code"] = getattr(error, "code", "usage")
        return about, ExitCode(error.exit_code)
    if isinstance(error, click.Abort) and isinstance(error.__context__, KeyboardInterrupt):
        error = error.__context__  # the question was not answered but interrupted
    if isinstance(error, click.Abort | EOFError):
        about.update(code="aborted", message="nothing was done")
        return about, ExitCode.FAILED
    if isinstance(error, KeyboardInterrupt):
        about.update(code="interrupted", message="interrupted", **_resumable(app.awaited))
        return about, ExitCode.INTERRUPTED
    if isinstance(error, Terminated):
        message = "ended by a termination signal"
        about.update(code="terminated", message=message, **_resumable(app.awaited))
        return about, ExitCode.TERMINATED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        about.update(code="os", message=f"{where}{error.strerror or error}")
        return about, ExitCode.FAILED
    about.update(message=f"{type(error).__name__}: {error}", hint=_BUG)
    return about, ExitCode.FAILED


def _usual_hint(error: MoorageError) -> str | None:
    """Return what to do about an error whose author did not say."""
    if isinstance(error, NotFoundError):
        noun = (error.resource or "").partition("/")[0]
        if noun in {"artifact", "deployment", "job", "secret"}:
            return f"`moorage {noun}s list` shows what there is"
    if isinstance(error, AuthenticationError):
        return "`moorage login` stores new credentials"
    if error.retry is Retry.UNKNOWN_OUTCOME:
        return "its outcome is not known: look at what exists before you try again"
    if error.retry in {Retry.SAFE, Retry.EXHAUSTED}:
        return "nothing was changed: try again later"
    return None


def _resumable(operation: "Operation[Any] | None") -> dict[str, str]:
    """Return how to go on waiting for an operation."""
    import shlex

    if operation is None:
        return {}
    try:
        token = operation.token
    except MoorageError:  # the connection is closed
        return {}
    hint = f"it goes on; wait for it with: moorage resume {shlex.quote(token)}"
    return {"operation_token": token, "hint": hint}


def _explain(error: BaseException, description: dict[str, Any], *, colour: bool) -> None:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        _write(error.ctx.get_usage(), sys.stderr)
    label, hint = ("error:", "hint:")
    if colour:
        label, hint = click.style(label, fg="red", bold=True), click.style(hint, fg="cyan")
    _write(f"{label} {visible(description['message'], lines=True)}", sys.stderr)
    if description["hint"]:
        _write(f"{hint} {visible(description['hint'], lines=True)}", sys.stderr)
    for field, problem in getattr(error, "fields", {}).items():
        _write(f"  {visible(field)}: {visible(problem)}", sys.stderr)


def _message(error: click.ClickException) -> str:
    from click.exceptions import NoArgsIsHelpError

    if isinstance(error, NoArgsIsHelpError):
        return "a command is missing"
    return error.format_message()


def _hint(error: click.ClickException) -> str | None:
    hint: str | None = getattr(error, "hint", None)
    if hint is None and isinstance(error, click.UsageError) and error.ctx is not None:
        return f"`{error.ctx.command_path} --help` tells what it takes"
    return hint


def _write(text: str, stream: TextIO) -> None:
    write_talk(text, stream)
