"""What every command is given: the common options and what they lead to."""

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._cloud import Cloud
    from .._config import Config
    from .._operations import Operation
    from ._output import Output
    from ._progress import Progress
    from ._trace import Listener


class Terminated(BaseException):
    """The process was asked to end; nothing may catch this by chance."""


class Options:
    """The options that every command takes, before and after its name."""

    def __init__(self) -> None:
        self.profile: str | None = None
        self.provider: str | None = None
        self.output = "table"
        self.debug = False
        self.trace: str | None = None
        self.color = "auto"


class App:
    """The state of one run of the command.

    Attributes:
        options: The common options as far as they have been read.
        awaited: The operation that is being waited for, if any.
    """

    def __init__(self) -> None:
        self.options = Options()
        self.awaited: Operation[Any] | None = None
        self._cloud: Cloud | None = None
        self._out: Output | None = None
        self._listener: Listener | None = None

    @property
    def out(self) -> "Output":
        """Where data and talk go."""
        if self._out is None:
            from ._output import MACHINE, Output

            self._out = Output(
                self.options.output,
                colour=self.wants_colour(sys.stdout),
                colour_talk=self.wants_colour(sys.stderr),
                quiet=self.options.output in MACHINE and not sys.stderr.isatty(),
            )
        return self._out

    @property
    def progress(self) -> "Progress":
        """Tells how far a long call is."""
        from ._progress import Progress

        return Progress(sys.stderr, colour=self.wants_colour(sys.stderr), quiet=self.out.quiet)

    @property
    def cloud(self) -> "Cloud":
        """The connection, opened when it is first asked for."""
        if self._cloud is None:
            import moorage

            self.observe()
            with self.notices():
                cloud = moorage.connect(self.options.profile, provider=self.options.provider)
            self.adopt(cloud)
            return cloud
        return self._cloud

    @contextmanager
    def notices(self) -> "Iterator[None]":
        """Say on stderr, without Python's decoration, what moorage warns of."""
        import warnings

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            yield
        for notice in caught:
            self.out.notice(str(notice.message))

    def clean(self, text: str) -> str:
        """Mask in a text the secrets that the connection knows of."""
        if self._cloud is None:
            from .._redaction import clean_url

            return clean_url(text)
        return self._cloud.redact(text)

    @property
    def connected(self) -> "Cloud | None":
        """The connection, if there is one yet."""
        return self._cloud

    def adopt(self, cloud: "Cloud") -> None:
        """Make this the command's connection, which is closed when the command ends."""
        self._cloud = cloud
        if self._listener is not None:
            self._listener.redact = cloud.redact

    @property
    def config(self) -> "Config":
        """The configuration as the files and the environment say it."""
        from .._config import Config

        return Config.load()

    def observe(self) -> None:
        """Show or write the requests, where `--debug` or `--trace` asks for them."""
        if self._listener is None and (self.options.debug or self.options.trace is not None):
            from ._trace import Listener

            self._listener = Listener(debug=self.options.debug, trace=self.options.trace)

    def close(self) -> None:
        """Release what the command has opened."""
        try:
            if self._cloud is not None:
                self._cloud.close()
        finally:
            if self._listener is not None:
                self._listener.close()

    # A person at a terminal -----------------------------------------------------------------------

    def wants_colour(self, stream: object) -> bool:
        """Return whether a stream shall get colours.

        `--color` decides; left at `auto`, a terminal gets them unless `NO_COLOR` is set.
        """
        if self.options.color != "auto":
            return self.options.color == "always"
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return is_terminal(stream)

    @property
    def interactive(self) -> bool:
        """Whether there is a person to ask."""
        return is_terminal(sys.stdin) and is_terminal(sys.stderr)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is destroyed.

        Args:
            question: Ends with a question mark.
            yes: Whether `--yes` was given, so that nothing is asked.

        Raises:
            click.UsageError: There is nobody to ask.
            click.Abort: The answer was no.
        """
        if yes:
            return
        if not self.interactive:
            from ._failure import UsageFailure

            raise UsageFailure(
                f"this needs to be confirmed, and there is no terminal to ask: {question}",
                hint="add --yes if you are sure",
            )
        if not click.confirm(question, err=True):
            raise click.Abort

    def ask(self, question: str) -> str:
        """Ask for a value.

        Raises:
            click.UsageError: There is nobody to ask.
        """
        if not self.interactive:
            from ._failure import UsageFailure

            raise UsageFailure(
                f"a value is missing, and there is no terminal to ask for it: {question}",
                hint="write KEY=VALUE",
            )
        answer: str = click.prompt(question, err=True)
        return answer

    def ask_secret(self, question: str, *, optional: bool = False) -> str:
        """Ask for a value that is not shown while it is typed.

        Args:
            question: What is asked for.
            optional: Whether to take no answer for an answer.

        Raises:
            click.UsageError: There is nobody to ask.
        """
        if not self.interactive:
            from ._failure import UsageFailure

            raise UsageFailure(
                f"a secret value is missing, and there is no terminal to ask for it: {question}",
                hint="pass it on standard input or in a file; `--help` says how",
            )
        answer: str = click.prompt(
            question,
            hide_input=True,
            err=True,
            default="" if optional else None,
            show_default=False,
        )
        return answer


def is_terminal(stream: object) -> bool:
    """Return whether a person is at the other end of a stream."""
    isatty = getattr(stream, "isatty", None)
    try:
        return bool(isatty and isatty())
    except ValueError:  # it has been closed
        return False
