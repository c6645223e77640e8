"""What `exclude` means: real git is asked, and the safe defaults are tried one by one."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from moorage._ignore import IgnoreRules, flaw_of_pattern

GIT = shutil.which("git")

# Every directory appears with its files; names are chosen to be near to what the patterns say.
FILES = (
    "a",
    "b/a",
    "b/b/a",
    "b/b/ab",
    "b/b/b/b/a.b",
    "ab/a",
    "ab/ba/a.a",
    "ab/ba/b/aab",
    "a.b/a.b",
    "a.b/b.a/-",
    "x/a/b",
    "x/x/a/b",
    "x/x/x/a/b",
    "x/abab/abba",
    " a/a ",
    "a b/ b",
    "[a]/a",
    "[a]/[b",
    "*/a",
    "*/**",
    "!a/a",
    "#a/!a",
    "a\\b/\\",
    "a-b/]",
    "A/B",
    "A/aB1_",
    "é/aé",
    "0/1/9a",
    "aaaaaaaaaaaaaaaaab",
)


class Git:
    """One work tree that git is asked about."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.paths = sorted(
            {str(parent) for name in FILES for parent in Path(name).parents if str(parent) != "."}
            | set(FILES)
        )
        for name in FILES:
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_bytes(b"")
        self._run("init", "-q")

    def excluding(self, patterns: list[str]) -> dict[str, str | None]:
        """Return, for every path, the line that leaves it out."""
        ignore = self.top / ".gitignore"
        ignore.write_bytes("".join(f"{pattern}\n" for pattern in patterns).encode())
        asked = b"".join(os.fsencode(path) + b"\0" for path in self.paths)
        answer = self._run("check-ignore", "--no-index", "-z", "-v", "-n", "--stdin", asked=asked)
        fields = [os.fsdecode(field) for field in answer.split(b"\0")[:-1]]
        return {
            path: patterns[int(line) - 1] if line and not pattern.startswith("!") else None
            for _, line, pattern, path in zip(*[iter(fields)] * 4, strict=True)
        }

    def _run(self, *words: str, asked: bytes = b"") -> bytes:
        assert GIT is not None
        done = subprocess.run(
            [GIT, "-c", "core.ignorecase=false", *words],
            cwd=self.top,
            input=asked,
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert done.returncode in {0, 1}, done.stderr  # 1: nothing is ignored
        return done.stdout


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Git:
    if GIT is None:
        pytest.skip("git, which decides what is right, is not installed")
    return Git(tmp_path_factory.mktemp("ignore"))


WORDS = st.sampled_from(
    [
        *["a", "b", "x", "A", "*", "**", "***", "?", "/", "/", ".", " ", "!", "#", "-", "é", "1"],
        *["/**/", "**/", "/**", "a/", "*.b", r"\*", r"\[", r"\ ", r"\\", "\\", r"\!", r"\#"],
        *["[ab]", "[!a]", "[^b]", "[a-b]", "[b-a]", "[]a]", "[!]a]", "[a-]", "[--a]", "[a", "]"],
        *["[[:alpha:]]", "[[:upper:][:digit:]]", "[![:alnum:]_]", "[[:nope:]]", "[[:alpha]"],
        *["[a/]", "[/]", r"[\]a]", r"[a\-b]", r"[\a-\b]", "[[a]", "[a-[:digit:]]", "[[:digit:]-a]"],
    ]
)
PATTERNS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "", "", "!", "/", "!/"]), st.lists(WORDS, max_size=6).map("".join)
    ),
)


def differs_by_a_git_bug(pattern: str) -> bool:
    """Whether git treats stars after a plain beginning as if they stood alone: `a**/b` as `a/**/b`.

    Its manual says that they are plain stars. An escaped slash is left out too: git takes it for
    one everywhere but beside two stars.
    """
    text = pattern.removeprefix("!").removeprefix("/")
    plain = len(text) - len(text.lstrip("abxA. !#-é1/]"))
    return (plain > 0 and text[plain : plain + 2] == "**" and text[plain - 1] != "/") or (
        r"\/" in pattern
    )


@given(patterns=st.lists(PATTERNS, min_size=1, max_size=5))
@example(["*", "!*/", "!a"])
@example(["b/**", "!b/b/"])
@example(["x/**/a", "**/ab", "a.b/**/"])
@example(["**/**", "!/x", "!x/**/b"])
@example(["[a-[:digit:]]"])
@example([r"a\ ", r"a\  ", r"a\\ ", "a "])
@example(["//", "/", "a//", "b//b", "***/a", "x/***/b"])
def test_same_as_git(git: Git, patterns: list[str]) -> None:
    """Any list of patterns leaves out what git leaves out, because of the same line."""
    assume(not any(differs_by_a_git_bug(pattern) for pattern in patterns))
    rules = IgnoreRules(patterns, defaults=())

    ours = {
        path: found.text
        if (found := rules.excluding(os.fsencode(path), directory=(git.top / path).is_dir()))
        else None
        for path in git.paths
    }

    assert ours == git.excluding(patterns)


@pytest.mark.parametrize(
    "path",
    [
        *[".git/config", ".git", "sub/.git", ".hg/store", ".svn/entries"],
        *[".env", ".env.production", ".envrc", "deep/down/.ENV.local"],
        *["server.key", "tls/SERVER.PEM", "a.p12", "id_rsa", "keys/id_ed25519.pub", ".ssh/config"],
        *[".netrc", ".pypirc", ".aws/credentials", "terraform.tfstate", "service-account-1.json"],
        *["__pycache__/app.cpython-311.pyc", "old.pyc", "old.pyo", ".venv/bin/python"],
        *["node_modules/x/index.js", ".mypy_cache/3.11/x.json", "pkg.egg-info/PKG-INFO"],
        *[".DS_Store", "notes.txt~", ".app.py.swp", "#app.py#", ".#app.py", "._app.py"],
    ],
)
def test_defaults(path: str) -> None:
    """Keys, credentials, caches and leftovers stay at home, in any case and at any depth."""
    assert IgnoreRules().excluding(path.encode(), directory=False)


@pytest.mark.parametrize(
    "path",
    [
        *["app.py", "environment.py", "env/x.py", "keys.py", "key", "monkey.py", "pem.txt"],
        *["git.py", ".gitignore", ".gitattributes", "requirements.txt", "moorage.toml"],
        *["model.json", "data/id.csv", "Dockerfile", ".dockerignore", "bin/run", "a~b", "#1.txt"],
    ],
)
def test_defaults_keep(path: str) -> None:
    """What an app is made of is kept, also where its name is near to one that is not."""
    assert IgnoreRules().excluding(path.encode(), directory=False) is None


def test_taken_back_on_purpose() -> None:
    """`!pattern` takes back what a default excludes, and only that."""
    rules = IgnoreRules(["!.env.example", "!certs/ca.pem", "!.git/"])

    kept = {
        path: rules.excluding(path.encode(), directory=False) is None
        for path in [".env.example", ".env", "certs/ca.pem", "certs/b.pem", ".git/HEAD"]
    }

    assert kept == {
        ".env.example": True,
        ".env": False,
        "certs/ca.pem": True,
        "certs/b.pem": False,
        ".git/HEAD": True,
    }


@pytest.mark.parametrize(
    ("pattern", "flaw"),
    [
        ("", "matches nothing"),
        ("   ", "matches nothing"),
        ("!", "matches nothing"),
        ("/", "matches nothing"),
        ("a//b", "matches nothing"),
        ("[a", "matches nothing"),
        ("[/]", "matches nothing"),
        ("a\\", "matches nothing"),
        ("#a", "comment"),
        ("a\nb", "control"),
        ("a\x7f", "control"),
        ("\udc80", "UTF-8"),
    ],
)
def test_flaw(pattern: str, flaw: str) -> None:
    """A pattern that cannot do what its author hoped for says why."""
    assert flaw in (flaw_of_pattern(pattern) or "")


@pytest.mark.parametrize("pattern", ["a", "!a", "/a/", "**", r"\#a", "*.ipynb", "data/", "a b"])
def test_no_flaw(pattern: str) -> None:
    """A usable pattern has no flaw."""
    assert flaw_of_pattern(pattern) is None


def test_hostile_pattern() -> None:
    """A pattern made to be slow costs no more than one that is not."""
    rules = IgnoreRules(["*a*a*a*a*a*a*a*a*a*a*a*a*b", "**/a/**/a/**/a/**/a/**/a/**/a/**/a/b"])
    long_name = b"a" * 250
    deep = b"/".join([b"a"] * 250) + b"/c"

    started = time.process_time()
    found = [rules.excluding(path, directory=False) for path in (long_name, deep)]
    spent = time.process_time() - started

    assert found == [None, None]
    assert spent < 5.0  # a matcher that tries every way needs longer than anyone waits
