"""Every example in the documentation runs.

On each page, in order: Python blocks run in one namespace, `$` lines of console blocks in a shell
that keeps its variables and its directory, and a block after the comment `<!-- file: PATH -->` is
written to that path. Where a console block shows output, what a terminal would show is compared
with it: `...` stands for anything and one gap between columns is as good as another. After
`<!-- exits: N -->` the commands of a block end with that code, and otherwise with 0.
`<!-- not run: why -->` leaves a block out. A page with `<!-- in an empty environment -->` begins
where moorage is not installed: its commands find Python, and wheels of what is in this repository.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from markdown_it import MarkdownIt

from moorage.plugin import read_app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "_build" not in page.parts and "```" in page.read_text()
)
FROM_NOTHING = "<!-- in an empty environment -->"
TIMEOUT_S = 60
# How packages are reached from this machine, which is no part of what is tested.
MACHINE = {
    name: value
    for name, value in os.environ.items()
    if name.startswith("PIP_") or name.upper().endswith("_PROXY")
}
# Each command has a shell of its own, which takes over what the one before has set.
SHELL = """\
set -a
if [ -f {place}.env ]; then . {place}.env; cd "$PWD"; fi
trap 'export -p > {place}.env' EXIT
{command}
"""
COMMENT = re.compile(r"<!--\s*(file|not run|exits):\s*(.+?)\s*-->")


class Block(msgspec.Struct, frozen=True):
    """One fenced block of a page."""

    language: str
    text: str
    line: int
    note: str = ""
    value: str = ""


def blocks(page: Path) -> Iterator[Block]:
    note, value = "", ""
    for token in MarkdownIt().parse(page.read_text()):
        if token.type == "html_block" and (found := COMMENT.search(token.content)):
            note, value = found.groups()
        elif token.type == "fence":
            language = token.info.strip()
            yield Block(language, token.content, (token.map or [0])[0] + 1, note, value)
            note, value = "", ""


def runnable(page: Path) -> list[Block]:
    return [
        block
        for block in blocks(page)
        if block.note == "file"
        or (block.note != "not run" and block.language in {"python", "console"})
    ]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Give a page a directory with the examples, the program on PATH and a home of its own."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.chdir(tmp_path)
        yield tmp_path
        import moorage

        with moorage.connect("local") as cloud:
            cloud.native.shutdown()


def runs_from_nothing(page: Path) -> bool:
    return FROM_NOTHING in page.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if runnable(page) and not runs_from_nothing(page)],
    ids=lambda page: page.stem,
)
def test_examples_run(page: Path, place: Path) -> None:
    """What a page shows can be done as it is written, from top to bottom."""
    run_page(page, place)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels that an author installs, and which versions of all others go with them."""
    directory = tmp_path_factory.mktemp("wheels")
    uv = Path(sys.executable).with_name("uv")
    for member in ("core", "conformance"):
        subprocess.run(
            [
                *(uv, "build", "--quiet", "--wheel", "--out-dir", directory),
                *("--no-build-isolation", "--python", sys.executable, ROOT / member),
            ],
            check=True,
        )
    locked = (ROOT / "requirements" / "dev.txt").read_text("utf-8")
    pins = re.findall(r"^([\w.-]+==[^ \\]+(?: ; [^\\\n]+)?)", locked, re.MULTILINE)
    ours = [f"{w.name.partition('-')[0]} @ {w.as_uri()}" for w in directory.glob("*.whl")]
    (directory / "constraints.txt").write_text("\n".join([*pins, *ours]))
    return directory


@pytest.fixture
def nowhere(tmp_path: Path, wheels: Path) -> Iterator[Path]:
    """Give a page an empty directory where moorage is not installed."""
    ours = Path(sys.executable).parent
    places = [path for path in os.environ["PATH"].split(os.pathsep) if Path(path) != ours]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in MACHINE.items():
            patch.setenv(name, value)
        patch.setenv("PATH", os.pathsep.join([str(Path(sys.base_prefix) / "bin"), *places]))
        patch.setenv("PIP_FIND_LINKS", f"{wheels} {MACHINE.get('PIP_FIND_LINKS', '')}".strip())
        patch.setenv("PIP_CONSTRAINT", str(wheels / "constraints.txt"))
        patch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        patch.chdir(tmp_path)
        yield tmp_path


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page", [page for page in PAGES if runs_from_nothing(page)], ids=lambda page: page.stem
)
def test_examples_run_from_nothing(page: Path, nowhere: Path) -> None:
    """What a page shows can be done by somebody who has Python and nothing else."""
    run_page(page, nowhere, 4 * TIMEOUT_S)  # whole runs of the suite among it


def run_page(page: Path, place: Path, timeout: float = TIMEOUT_S) -> None:
    """Do what a page shows; each command may take so many seconds."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in runnable(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if block.note == "file":
            path = place / block.value
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == "python":
            # Padded, so that a traceback names the page's own line.
            code = compile("\n" * block.line + block.text, str(page), "exec")
            exec(code, namespace)  # the point of the test
        else:
            for command, output in commands(block.text):
                expected = int(block.value) if block.note == "exits" else 0
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", SHELL.format(place=place, command=command)],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=timeout,
                    check=False,
                )
                said = f"{where}\n$ {command}\n{done.stdout}{done.stderr}"
                assert done.returncode == expected, said
                if output:
                    # A terminal shows notes before the data or after it, as the command writes.
                    orders = done.stdout + done.stderr, done.stderr + done.stdout
                    assert any(matches(shown, output) for shown in orders), (
                        f"{said}\n--- expected\n{output}"
                    )


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with the output that is shown under it."""
    command, output = "", list[str]()
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, "\n".join(output).strip("\n")
            command, output = line[2:], []
        elif command.endswith("\\") or (line.startswith("> ") and not output):
            command += "\n" + line.removeprefix("> ")
        else:
            output.append(line.rstrip())
    if command:
        yield command, "\n".join(output).strip("\n")


def matches(shown: str, expected: str) -> bool:
    """Compare, with `...` for anything."""
    pattern = ".*".join(map(re.escape, plain(expected).split("...")))
    return re.fullmatch(pattern, plain(shown), re.DOTALL) is not None


def plain(text: str) -> str:
    """Return a text without what depends on the width of a column."""
    lines = (re.sub(r"(?<=\S) {2,}", "  ", line.rstrip()) for line in text.splitlines())
    return "\n".join(lines).strip("\n")


def test_every_toml_block_parses() -> None:
    """TOML on any page is TOML, and an app's is an app's."""
    for page in PAGES:
        for block in blocks(page):
            if block.language == "toml" and "artifact" in tomllib.loads(block.text):
                read_app(block.text.encode(), f"{page.name}:{block.line}")


def test_every_block_is_accounted_for() -> None:
    """A block that could be run and is not says why."""
    for page in PAGES:
        for block in blocks(page):
            if block.note == "not run":
                assert len(block.value) > 10, f"{page}:{block.line}"
            assert block.language, f"{page}:{block.line} has no language"


@pytest.mark.parametrize(
    ("shown", "expected", "same"),
    [
        ("iris ready", "iris ready", True),
        ("iris ready", "iris ...", True),
        ("a\nb\nc", "a\n...\nc", True),
        ("iris failed", "iris ready", False),
        ("[1]", "[1]", True),
        ("1", "[1]", False),
        ("NAME        iris", "NAME  iris", True),
        ("{\n    1", "{\n  1", False),
    ],
)
def test_outputs_are_compared(shown: str, expected: str, same: bool) -> None:
    """Shown output is compared with real output, and `...` stands for anything."""
    assert matches(shown, expected) is same
