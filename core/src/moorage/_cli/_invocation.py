"""One run of the command, from its words to its exit code."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import click
from click.exceptions import Exit, NoArgsIsHelpError

from ._app import App, Terminated
from ._root import root

COMPLETE_VARIABLE = "_MOORAGE_COMPLETE"
"""Set by the shells' completion functions; says what they want."""


def invoke(words: Sequence[str]) -> int:
    """Run the command that these words make and return its exit code."""
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(root, {}, "moorage", COMPLETE_VARIABLE, instruction)
    _open_streams()
    app = App()
    try:
        # Reported before anything is closed: a token can be made of an open connection only.
        try:
            return _run(words, app)
        except BrokenPipeError:
            # Whoever read the output has gone.
            _discard_output()
            return 141
        except BaseException as error:  # noqa: BLE001  # the last resort: all become exit codes
            return _report(error, words, app)
        finally:
            app.close()
    except BaseException as error:  # noqa: BLE001  # raised while the rest was cleaned up
        return _report(error, words, app)


def _run(words: Sequence[str], app: App) -> int:
    code = 0
    try:
        with (
            root.make_context(
                "moorage", list(words), obj=app, terminal_width=_help_width()
            ) as context,
            _termination(),
        ):
            root.invoke(context)
    except Exit as end:
        code = end.exit_code
    except NoArgsIsHelpError as error:
        from ._failure import wanted_output

        if wanted_output(words) in {"json", "jsonl"}:
            raise
        click.echo(error.message, err=True)
        code = 2
    sys.stdout.flush()
    return code


def _report(error: BaseException, words: Sequence[str], app: App) -> int:
    from ._failure import report, wanted_output

    parsed = app.options
    output = parsed.output if parsed.output != "table" else wanted_output(words)
    code = report(error, app, output=output, debug=parsed.debug or "--debug" in words)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _discard_output()
    return code


@contextmanager
def _termination() -> Iterator[None]:
    """Let a termination signal end the command as an interrupt would: cleanly."""
    import signal  # not needed for a help text, and slow to import

    def end(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # only a program's main thread may; another program called us in its own
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _help_width() -> int:
    """Return the width of help texts; click's own way to find it imports a good deal."""
    try:
        columns = int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size().columns
    except (ValueError, OSError):
        columns = 80
    return min(max(columns - 2, 50), 100)


def _open_streams() -> None:
    """Make stdout and stderr fit to be written to, whatever the process was started with."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123  # until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # until the end
    if sys.stdout is None:
        # It takes nothing, so that data is not lost in silence.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    elif isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        # With PYTHONUNBUFFERED, Python drops the rest of a write that a pipe takes a part of.
        sys.stdout = open(  # noqa: SIM115  # until the end
            sys.stdout.fileno(),
            "w",
            encoding=sys.stdout.encoding,
            errors=sys.stdout.errors,
            closefd=False,
        )


def _discard_output() -> None:
    """Point stdout at nothing, so that the interpreter's own flush at exit succeeds."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
