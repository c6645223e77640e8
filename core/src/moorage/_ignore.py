"""What is left out of a directory that is pushed: gitignore's rules, and safe defaults.

The syntax and its meaning are those of one `.gitignore` file at the top of the directory: the
last rule that matches decides, `!` takes a rule back, and nothing inside an excluded directory
can be taken back. Like git, matching works on bytes and minds the case. Files named `.gitignore`
or `.dockerignore` are not read: what is kept out of a repository (a trained model, say) is often
just what has to be pushed.
"""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

DEFAULTS = (
    # version control
    ".git",
    ".hg/",
    ".svn/",
    ".bzr/",
    # variables and credentials
    ".env*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.ppk",
    "*.kdbx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".ssh/",
    ".gnupg/",
    ".aws/",
    ".azure/",
    ".kube/",
    ".docker/",
    ".netrc",
    "_netrc",
    ".pypirc",
    ".npmrc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".git-credentials",
    ".vault-token",
    "*.tfstate",
    "*.tfstate.*",
    "client_secret*.json",
    "service[-_]account*.json",
    "kaggle.json",
    # made again wherever it is needed
    "__pycache__/",
    "*.py[co]",
    ".venv",
    "node_modules/",
    "*.egg-info/",
    ".eggs/",
    ".tox/",
    ".nox/",
    ".cache/",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".pytype/",
    ".pyre/",
    ".hypothesis/",
    ".ipynb_checkpoints/",
    ".coverage",
    ".coverage.*",
    "htmlcov/",
    ".moorage-pull-*/",
    # desktops and editors
    ".DS_Store",
    "._*",
    "Thumbs.db",
    "desktop.ini",
    ".idea/",
    ".vscode/",
    "*~",
    ".*.sw[a-p]",
    r"\#*#",
    ".#*",
)
"""Excluded everywhere, in any case, unless a later `!` rule takes it back. Directories that hold a
`pyvenv.cfg`, virtual environments that is, are excluded in the same way."""

VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
"""The file that makes a directory a virtual environment."""


class Rule(NamedTuple):
    """One compiled line."""

    text: str
    """As it was written."""

    negated: bool
    """Whether it takes back what rules before it exclude."""

    directories_only: bool
    """Whether it matches directories alone."""

    whole_path: bool
    """Whether it is held against the path from the top rather than against the last part."""

    expression: bytes
    """What the path, or its last part, has to match in full."""


class IgnoreRules:
    """The defaults, and the rules of one app on top of them."""

    def __init__(self, patterns: Iterable[str] = (), *, defaults: Iterable[str] = DEFAULTS) -> None:
        # Newest first: the first run that matches decides.
        self._runs = [
            _Run(list(rules), negated=negated)
            for negated, rules in groupby(_compiled(patterns)[::-1], lambda rule: rule.negated)
        ]
        self._defaults = _Run(_compiled(defaults), negated=False, any_case=True)

    def decide(self, path: bytes, *, directory: bool) -> Rule | None:
        """Return the rule that decides about a path whose parents are all included.

        Args:
            path: From the top, with `/` between its parts.
            directory: Whether it is one.
        """
        for run in self._runs:
            if rule := run.first_match(path, directory=directory):
                return rule
        return self._defaults.first_match(path, directory=directory)

    def excluding(self, path: bytes, *, directory: bool) -> Rule | None:
        """Return the rule that leaves a path out, by itself or with a directory around it."""
        slash = path.find(b"/")
        while slash >= 0:
            rule = self.decide(path[:slash], directory=True)
            if rule is not None and not rule.negated:
                return rule
            slash = path.find(b"/", slash + 1)
        rule = self.decide(path, directory=directory)
        return None if rule is None or rule.negated else rule


class _Run:
    """Neighbouring rules that all exclude, or all take back: one search finds whether any matches.

    Directories of data have very many files and matching is most of the work of listing them.
    """

    def __init__(self, rules: list[Rule], *, negated: bool, any_case: bool = False) -> None:
        self.negated = negated
        flags = re.DOTALL | (re.IGNORECASE if any_case else 0)
        self._rules = [(rule, re.compile(rule.expression, flags)) for rule in rules]
        self._searches = {
            (whole_path, directory): _alternatives(
                [
                    rule.expression
                    for rule in rules
                    if rule.whole_path == whole_path and (directory or not rule.directories_only)
                ],
                flags,
            )
            for whole_path in (False, True)
            for directory in (False, True)
        }

    def first_match(self, path: bytes, *, directory: bool) -> Rule | None:
        name = path[path.rfind(b"/") + 1 :]
        in_name, in_path = self._searches[False, directory], self._searches[True, directory]
        if not (
            (in_name is not None and in_name.fullmatch(name))
            or (in_path is not None and in_path.fullmatch(path))
        ):
            return None
        for rule, expression in self._rules:
            if (directory or not rule.directories_only) and expression.fullmatch(
                path if rule.whole_path else name
            ):
                return rule
        return None


def _alternatives(expressions: list[bytes], flags: int) -> re.Pattern[bytes] | None:
    if not expressions:
        return None
    return re.compile(b"|".join(b"(?:" + expression + b")" for expression in expressions), flags)


def flaw_of_pattern(pattern: str) -> str | None:
    """Say why a pattern cannot be meant; `None` where it can."""
    if any(character < " " or character == "\x7f" for character in pattern):
        return "has a control character"
    if pattern.startswith("#"):
        return r"is a comment; write \# where a name begins with #"
    try:
        rule = _rule(pattern)
    except UnicodeEncodeError:
        return "is not UTF-8"
    return "matches nothing" if rule is None else None


def _compiled(patterns: Iterable[str]) -> list[Rule]:
    return [rule for rule in map(_rule, patterns) if rule is not None]


def _rule(pattern: str) -> Rule | None:
    """Compile one line; `None` where it is blank, a comment or can match nothing."""
    if pattern.startswith("#"):
        return None
    text = _without_trailing_spaces(pattern)
    negated = text.startswith("!")
    text = text[negated:]
    directories_only = text.endswith("/")
    text = text[: len(text) - directories_only]
    whole_path = "/" in text
    if not text:
        return None
    tokens = _tokens(text.removeprefix("/").encode())
    if tokens is None:
        return None
    expression = _expression(tokens)
    if expression is None:
        return None
    return Rule(pattern, negated, directories_only, whole_path, expression)


def _without_trailing_spaces(text: str) -> str:
    stripped = text.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    # An odd number of backslashes escapes the first of the spaces.
    return stripped + " " if backslashes % 2 and len(stripped) < len(text) else stripped


# A token is `*`, `**`, `/`, or the set of the bytes that one place may have.
_Token = str | frozenset[int]

_ANY = frozenset(range(256)) - {0, ord("/")}


def _tokens(glob: bytes) -> list[_Token] | None:
    """Split a glob; `None` where it is broken, and so matches nothing."""
    tokens: list[_Token] = []
    at = 0
    while at < len(glob):
        byte = glob[at : at + 1]
        if byte == b"*":
            end = at
            while glob[end : end + 1] == b"*":
                end += 1
            # Two stars or more stand for any number of directories where they stand alone.
            alone = (at == 0 or tokens[-1] == "/") and glob[end : end + 1] in {b"", b"/"}
            tokens.append("**" if alone and end - at > 1 else "*")
            at = end
        elif byte == b"/":
            tokens.append("/")
            at += 1
        elif byte == b"?":
            tokens.append(_ANY)
            at += 1
        elif byte == b"[":
            parsed = _bracket(glob, at + 1)
            if parsed is None:
                return None
            chosen, at = parsed
            tokens.append(chosen)
        else:
            if byte == b"\\":
                at += 1
                if at == len(glob):
                    return None
            tokens.append("/" if glob[at] == ord("/") else frozenset({glob[at]}))
            at += 1
    return tokens


_CLASSES = {
    b"alnum": rb"[0-9A-Za-z]",
    b"alpha": rb"[A-Za-z]",
    b"blank": rb"[ \t]",
    b"cntrl": rb"[\x00-\x1f\x7f]",
    b"digit": rb"[0-9]",
    b"graph": rb"[!-~]",
    b"lower": rb"[a-z]",
    b"print": rb"[ -~]",
    b"punct": rb"[!-/:-@\[-`{-~]",
    b"space": rb"[\t\n\v\f\r ]",
    b"upper": rb"[A-Z]",
    b"xdigit": rb"[0-9A-Fa-f]",
}


def _bracket(glob: bytes, at: int) -> tuple[frozenset[int], int] | None:
    """Read what follows a `[`: the bytes that it chooses, and where it ends."""
    negated = glob[at : at + 1] in {b"!", b"^"}
    at += negated
    chosen: set[int] = set()
    before: int | None = None  # the lower end, should a range follow
    first = True
    while first or glob[at : at + 1] != b"]":
        first = False
        if at >= len(glob):
            return None
        if glob[at : at + 2] == b"[:" and (named := _class(glob, at + 2)) is not None:
            members, at = named
            if members is None:
                return None
            chosen |= members
            before = None
            continue
        is_range = (
            glob[at] == ord("-") and before is not None and glob[at + 1 : at + 2] not in {b"", b"]"}
        )
        if is_range:
            at += 1
        if glob[at] == ord("\\"):
            at += 1
            if at >= len(glob):
                return None
        if is_range and before is not None:
            chosen.update(range(before, glob[at] + 1))
            before = None
        else:
            chosen.add(glob[at])
            before = glob[at]
        at += 1
    return (_ANY - chosen if negated else _ANY & chosen), at + 1


def _class(glob: bytes, at: int) -> tuple[set[int] | None, int] | None:
    """Read what follows a `[:`; `None` where that is no class but two plain characters."""
    end = glob.find(b"]", at)
    if end < 0:
        return None, at
    if end == at or glob[end - 1 : end] != b":":
        return None
    expression = _CLASSES.get(glob[at : end - 1])
    if expression is None:
        return None, at
    return {byte for byte in range(256) if re.match(expression, bytes([byte]))}, end + 1


def _expression(tokens: list[_Token]) -> bytes | None:
    r"""Write a glob as a regular expression that takes no more than quadratic time.

    What stands between two wildcards is looked for from the left and, once found, never looked
    for again (an atomic group): an earlier place leaves more room for the rest, so that none can
    be missed.
    """
    parts = [list(part) for slash, part in groupby(tokens, lambda t: t == "/") if not slash]
    if len(parts) != tokens.count("/") + 1 or any(frozenset() in part for part in parts):
        return None  # an empty part, or a place where no byte fits: no path has these
    groups = [(stars, list(group)) for stars, group in groupby(parts, lambda part: part == ["**"])]
    written = b""
    for position, (stars, group) in enumerate(groups):
        last = position == len(groups) - 1
        if stars:
            written += rb".+" if last else b""
            continue
        text = rb"/".join(map(_part, group)) + (b"" if last else rb"/")
        if position > 0:
            text = rb"(?:[^/]+/)*" + text if last else rb"(?>(?:[^/]+/)*?" + text + rb")"
        written += text
    return written


def _part(tokens: list[_Token]) -> bytes:
    chunks = [
        b"".join(_one_of(token) for token in chunk if isinstance(token, frozenset))
        for is_star, chunk in groupby(tokens, lambda t: t == "*")
        if not is_star
    ]
    if tokens[0] == "*":
        chunks.insert(0, b"")
    if len(tokens) > 1 and tokens[-1] == "*":
        chunks.append(b"")
    if len(chunks) == 1:
        return chunks[0] if tokens[0] != "*" else rb"[^/]+"
    middle = b"".join(rb"(?>[^/]*?" + chunk + rb")" for chunk in chunks[1:-1])
    return chunks[0] + middle + rb"[^/]*" + chunks[-1] + rb"(?=/|\Z)"


def _one_of(chosen: frozenset[int]) -> bytes:
    if chosen == _ANY:
        return rb"[^/]"
    if len(chosen) == 1:
        return re.escape(bytes(chosen))
    return b"[" + b"".join(rb"\x%02x" % byte for byte in sorted(chosen)) + b"]"
