"""Write the reference of the command from its own help.

python tools/cli_reference.py            write docs/reference/cli.md
python tools/cli_reference.py --check    write nothing; exit with 1 if it does not fit
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"
WIDTH = 88

INTRODUCTION = """\
<!-- Written by tools/cli_reference.py from the command's own help; change that instead. -->

# Command line

Each command parses its arguments, calls the Python interface and prints what that returns.
Data goes to stdout and nothing else does, in every failure too.
Notes, questions and progress go to stderr.
Every command takes the *Common options*, before and after its name; the innermost one counts.

## Output

| `--output` | what is written |
| --- | --- |
| `table` | columns for a reader; the default |
| `wide` | more columns |
| `json` | the struct, or a list of structs, as one document |
| `jsonl` | one JSON object a line, each as it comes |
| `yaml` | what `json` says, as YAML |
| `name` | what other commands take as an argument, one a line |

With `json` and `jsonl` an error is one JSON object, the last line of stderr. Its keys are:

| key | meaning |
| --- | --- |
| `code` | the class of the error as a word, `not_found` for example |
| `message` | one sentence that names the thing that failed |
| `hint` | one sentence on what to do next |
| `provider`, `profile` | who was asked |
| `request_id` | the provider's own id of the failed request |
| `retry` | `never`, `safe`, `exhausted` or `unknown_outcome` |
| `resource` | what it was about, `deployment/iris` for example |
| `operation_token` | where a wait was over too early: what `moorage resume` takes |

Progress is a bar on a terminal and a line every ten seconds elsewhere.
With `json` and `jsonl` it is left out unless stderr is a terminal.
Colours are used on a terminal, unless `NO_COLOR` is set; `--color` decides in any case.
"""


def main(arguments: Sequence[str]) -> int:
    """Write the page, or compare it."""
    text = page()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text("utf-8") == text:
            return 0
        print(f"{PAGE.name} does not fit: run python tools/cli_reference.py", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, "utf-8")
    return 0


def page() -> str:
    """Return the whole page."""
    from moorage._cli._exit_codes import MEANINGS
    from moorage._cli._root import SECTIONS, root

    os.environ.pop("COLUMNS", None)  # the width is that of the page
    lines = [INTRODUCTION, "## Exit codes\n", "| code | meaning |", "| --- | --- |"]
    lines += [f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()]
    lines += ["", "## moorage\n"]
    context = _context(root, "moorage", None)
    lines += _help(root.get_help(context))
    for section, table in SECTIONS.items():
        lines += [f"## {section}\n"]
        for name in table:
            command = root.get_command(context, name)
            assert command is not None
            lines += list(_described(command, name, context))
    return "\n".join(lines).rstrip("\n") + "\n"


def _described(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    """Yield the lines about a command and those below it."""
    context = _context(command, name, parent)
    yield f"### {context.command_path}\n"
    yield from _help(command.get_help(context), common=False)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _described(found, inner, context)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command, parent=parent, info_name=name, terminal_width=WIDTH, **command.context_settings
    )


def _help(text: str, *, common: bool = True) -> list[str]:
    """Return a help text as a block; the common options are shown once, with the whole command."""
    if not common:
        paragraphs = text.split("\n\n")
        text = "\n\n".join(p for p in paragraphs if not p.startswith("Common options:"))
    return ["```text", text.rstrip(), "```", ""]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
