"""The one place that data leaves through: stdout, in the format that was asked for."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

from ._text import cell, visible

FORMATS = ("table", "wide", "json", "jsonl", "yaml", "name")
"""What `--output` takes."""

MACHINE = frozenset({"json", "jsonl"})
"""Formats that a program reads; errors are then JSON too."""


class View(NamedTuple):
    """How one kind of thing is shown.

    Attributes:
        name: The attribute that names it; `-o name` prints this alone.
        columns: Attributes that a table shows.
        wide: More of them, which `-o wide` adds.
    """

    name: str
    columns: tuple[str, ...]
    wide: tuple[str, ...] = ()


class Output:
    """Writes data to stdout in one format, and talk to stderr."""

    def __init__(
        self,
        format_: str,
        *,
        colour: bool = False,
        colour_talk: bool = False,
        quiet: bool = False,
    ) -> None:
        """Prepare stdout.

        Args:
            format_: One of `FORMATS`.
            colour: Whether stdout gets colours.
            colour_talk: Whether stderr gets colours.
            quiet: Whether to keep talk to ourselves: a program reads stderr.
        """
        self.format = format_
        self.colour = colour
        self.colour_talk = colour_talk
        self.quiet = quiet
        # Data is UTF-8 whatever the terminal says; a character that a terminal cannot show must
        # not end a command.
        if not sys.stdout.encoding.lower().startswith("utf"):
            with contextlib.suppress(AttributeError):  # replaced by an object of some other class
                if format_ in {"json", "jsonl", "yaml"}:
                    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # see above
                else:
                    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # see above

    # Data -----------------------------------------------------------------------------------------

    def record(self, value: Any, view: View, *, data: Any = None) -> None:
        """Write one thing.

        Args:
            value: A struct.
            view: How it is shown.
            data: What the data formats write instead of the struct itself.
        """
        if self.format == "name":
            self.line(cell(_attribute(value, view.name)))
        elif self.format in {"table", "wide"}:
            fields = dict.fromkeys(view.columns + view.wide)
            cells = [(_header(field), cell(_attribute(value, field), field)) for field in fields]
            # There is room for all of it; what is not known is left out of the shorter form.
            self.rows([], [c for c in cells if c[1] != "-" or self.format == "wide"])
        else:
            self.data(value if data is None else data)

    def records(self, values: Iterable[Any], view: View, *, quiet: bool = False) -> None:
        """Write a list of things; `jsonl` and `name` write each as it comes.

        Args:
            values: Structs.
            view: How each is shown.
            quiet: Whether an empty list is clear without a word about it.
        """
        if self.format == "name":
            for value in values:
                self.line(cell(_attribute(value, view.name)))
        elif self.format == "jsonl":
            for value in values:
                self.data(value)
        elif self.format in {"table", "wide"}:
            fields = view.columns + (view.wide if self.format == "wide" else ())
            rows = [[cell(_attribute(value, f), f) for f in fields] for value in values]
            if rows:
                self.rows([_header(f) for f in fields], rows)
            elif not quiet:
                self.talk("nothing found")
        else:
            self.data(list(values))

    def stream(self, values: Iterable[Any], line: Callable[[Any], str]) -> None:
        """Write a list whose end may be far away, each thing when it comes.

        Args:
            values: Structs.
            line: How one is shown as text.
        """
        begin, between, end = ("[", ",", "\n]\n") if self.format == "json" else ("", "", "")
        sys.stdout.write(begin)
        try:
            for index, value in enumerate(values):
                if self.format == "json":
                    text = _json(builtins(value), indent=2).replace("\n", "\n  ")
                    sys.stdout.write(f"{between if index else ''}\n  {text}")
                elif self.format == "yaml":
                    self.data([value])
                elif self.format == "jsonl":
                    self.data(value)
                else:
                    self.line(line(value))
                sys.stdout.flush()
        finally:  # what was written is a document even where somebody has had enough of it
            sys.stdout.write(end)

    def value(self, key: str, text: str) -> None:
        """Write one text: alone, or under its key where the format has keys."""
        if self.format in {"table", "wide", "name"}:
            self.line(text)
        else:
            self.data({key: text})

    def lines(self, key: str, texts: Sequence[str]) -> None:
        """Write some texts: one a line, or a list where the format has lists."""
        if self.format in {"table", "wide", "name"}:
            for text in texts:
                self.line(text)
        elif self.format == "jsonl":
            for text in texts:
                self.data({key: text})
        else:
            self.data([{key: text} for text in texts])

    def deleted(self, noun: str, name: str) -> None:
        """Tell that something is gone."""
        if self.format == "name":
            self.line(name)
        elif self.format in {"table", "wide"}:
            self.talk(f"deleted {noun} {name}")
        else:
            self.data({"deleted": f"{noun}/{name}"})

    def data(self, value: Any) -> None:
        """Write a JSON-like value or a struct; tables have no shape for it and use YAML's."""
        plain = builtins(value)
        if self.format == "jsonl":
            self.line(_json(plain))
        elif self.format == "json":
            self.line(_json(plain, indent=2))
        else:
            from ._yaml import dump

            for line in dump(plain):
                self.line(line)

    def rows(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table of ready cells."""
        from ._table import draw

        draw(headers, rows, stream=sys.stdout, colour=self.colour)

    def line(self, text: str) -> None:
        """Write one line of data."""
        sys.stdout.write(text + "\n")

    def bytes(self, content: bytes) -> None:
        """Write bytes as they are."""
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()

    def flush(self) -> None:
        """Hand over what was written, for a reader who waits for it."""
        sys.stdout.flush()

    # Talk -----------------------------------------------------------------------------------------

    def talk(self, text: str) -> None:
        """Tell a person something that is not data."""
        if not self.quiet:
            write_talk(visible(text, lines=True))

    def notice(self, text: str) -> None:
        """Tell something that matters to programs too."""
        write_talk(f"note: {visible(text)}")


def write_talk(text: str, stream: TextIO | None = None) -> None:
    """Write a line to stderr; that nobody reads it is no failure."""
    stream = stream or sys.stderr
    with contextlib.suppress(OSError, ValueError):
        stream.write(text + "\n")
        stream.flush()


def builtins(value: Any, *, hook: Callable[[Any], Any] | None = None) -> Any:
    """Return a struct, or a collection of them, as JSON-like data with secrets masked."""
    import msgspec

    plain = msgspec.to_builtins(value, str_keys=True, enc_hook=hook or str)
    try:
        msgspec.json.encode(plain)
    except UnicodeEncodeError:  # a file name that is not UTF-8, for example
        plain = _encodable(plain)
    return plain


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value


def _json(plain: Any, indent: int = 0) -> str:
    import msgspec

    encoded = msgspec.json.encode(plain)
    return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()


def _attribute(value: Any, name: str) -> Any:
    return value[name] if isinstance(value, Mapping) else getattr(value, name)


def _header(field: str) -> str:
    return field.removesuffix("_at").removesuffix("_bytes").replace("_", " ").upper()
