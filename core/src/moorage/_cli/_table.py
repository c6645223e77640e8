"""Tables: aligned text, drawn by rich where colour is wanted."""

from collections.abc import Sequence
from typing import TextIO

from ._text import width

_COLOURS = {
    "green": "ready succeeded running full done valid ok",
    "yellow": "pending deploying degraded stopping queued uploading emulated partial unknown"
    " warning refused",
    "red": "failed broken unsupported not_implemented error",
    "dim": "stopped terminated cancelled -",
}
_STYLES = {word: style for style, words in _COLOURS.items() for word in words.split()}


def draw(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    stream: TextIO,
    colour: bool,
) -> None:
    """Write a table; without headers it is a list of names and values.

    Args:
        headers: One for each column, or none.
        rows: Cells that are safe to show.
        stream: Where to.
        colour: Whether to use it.
    """
    if colour:
        _draw_rich(headers, rows, stream)
        return
    lines = [list(headers), *rows] if headers else list(rows)
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [text + " " * (wide - width(text)) for text, wide in zip(line, widths, strict=True)]
        stream.write("  ".join(cells).rstrip() + "\n")


def _draw_rich(headers: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = stream.isatty()
    console = Console(
        file=stream,
        force_terminal=True,
        color_system="auto" if terminal else "standard",
        width=None if terminal else 10_000,  # nothing is wrapped where nobody looks at it
        highlight=False,
        emoji=False,
        markup=False,
        no_color=False,  # whether to use colour has been decided
    )
    table = Table(box=None, show_header=bool(headers), pad_edge=False, padding=(0, 2, 0, 0))
    table.header_style = "bold"
    for index in range(len(rows[0]) if rows else len(headers)):
        # The first column is what a reader copies, so it is never broken into lines.
        first = index == 0
        table.add_column(
            headers[index] if headers else "",
            no_wrap=first,
            overflow="fold",
            style="" if headers or not first else "bold",
        )
    for row in rows:
        table.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in row))
    console.print(table)
