"""What a portable app's `moorage.toml` says."""

import keyword
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from ._artifact import ArtifactKind, check_label, check_name, check_version
from ._ignore import flaw_of_pattern
from ._portable_path import flaw_of
from ._shown import shown
from ._toml_keys import KeyPath, line_of
from .errors import InvalidRequestError

FILE_NAME = "moorage.toml"
"""The file that makes a directory an app."""

SIZE_LIMIT_BYTES = 1 << 20
"""No manifest is larger; what is larger is something else by mistake."""


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """`[service]`: what answers HTTP requests."""

    app: str
    """An ASGI or WSGI callable, `"module:attribute"`."""

    health: str | None = None
    """Path that answers below 400 once the app can serve; `None` asks for an open port only."""

    @property
    def module(self) -> str:
        """The dotted module of `app`."""
        return self.app.partition(":")[0]

    @property
    def attribute(self) -> str:
        """The attribute of that module, dotted where it is nested."""
        return self.app.partition(":")[2]


class JobEntry(msgspec.Struct, frozen=True, kw_only=True):
    """`[jobs.NAME]`: a function that a job runs."""

    handler: str
    """A function of one JSON value that returns one, `"module:function"`."""

    @property
    def module(self) -> str:
        """The dotted module of `handler`."""
        return self.handler.partition(":")[0]

    @property
    def function(self) -> str:
        """The function of that module, dotted where it is nested."""
        return self.handler.partition(":")[2]


class AppManifest(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed and checked `moorage.toml`, without its `[moorage]` table, which is config."""

    name: str
    """Name of the artifact."""

    version: str | None = None
    """Version of the artifact; `None` lets the provider choose."""

    kind: ArtifactKind = ArtifactKind.APP
    """What it is for; only an app has a service and jobs."""

    python: str | None = None
    """Python that it runs on, `"3.12"`; `None` leaves it to the provider."""

    requirements: str | None = None
    """A pip requirements file, relative to the directory; `None` needs no package."""

    exclude: tuple[str, ...] = ()
    """What is left out, in gitignore's syntax, on top of the safe defaults."""

    labels: dict[str, str] = {}
    """What is attached to the artifact."""

    service: ServiceEntry | None = None
    """What answers HTTP requests, if anything does."""

    jobs: dict[str, JobEntry] = {}
    """What can be run as a job, by name."""


def read_app(content: bytes, where: str) -> AppManifest:
    """Parse and check a `moorage.toml` that describes an artifact.

    Args:
        content: The file's bytes.
        where: What errors call the file.

    Raises:
        InvalidRequestError: It is not TOML or not a manifest; the message names the file, the
            line and the key, and `fields` has every key that is wrong.
    """
    manifest = find_app(content, where)
    if manifest is None:
        raise InvalidRequestError(
            f"{where}: there is no [artifact] table",
            hint='begin with [artifact] and name = "..."; `moorage init` writes an example',
            fields={"artifact": "missing"},
        )
    return manifest


def find_app(content: bytes, where: str) -> AppManifest | None:
    """Parse and check a `moorage.toml`; `None` where it holds nothing but `[moorage]`.

    Raises:
        InvalidRequestError: As for `read_app`.
    """
    text = _decoded(content, where)
    document = _parsed(text, where)
    if document.keys() <= {"moorage"}:
        return None
    reader = _Reader(text, where)
    manifest = reader.manifest(document)
    if manifest is None or reader.problems:
        raise reader.error()
    return manifest


class Problem(msgspec.Struct, frozen=True):
    """Something that is wrong at one place of a manifest."""

    path: KeyPath
    """The key."""

    message: str
    """What is wrong with it, to be read after `FILE:LINE: `."""

    hint: str
    """What to write instead."""

    field: str
    """The same in a word or two."""


def refusal(text: str, where: str, problems: Iterable[Problem]) -> InvalidRequestError:
    """Return the error about a manifest, with the line of each problem.

    Args:
        text: The manifest.
        where: What the error calls the file.
        problems: At least one.
    """
    placed = sorted(
        ((_line(text, problem.path), problem) for problem in problems), key=lambda pair: pair[0]
    )
    message = "; ".join(f"{where}:{line}: {problem.message}" for line, problem in placed)
    fields = {_dotted(problem.path): problem.field for _, problem in placed}
    hint = placed[0][1].hint
    if len(placed) > 1:
        hint = "; ".join(f"line {line}: {problem.hint}" for line, problem in placed)
    return InvalidRequestError(message, hint=hint, fields=fields)


# Reading ------------------------------------------------------------------------------------------


def _decoded(content: bytes, where: str) -> str:
    if len(content) > SIZE_LIMIT_BYTES:
        raise InvalidRequestError(
            f"{where} has {len(content)} bytes, more than any manifest needs",
            hint=f"the limit is {SIZE_LIMIT_BYTES} bytes; is it the right file?",
        )
    if content.startswith(b"\xef\xbb\xbf"):
        raise InvalidRequestError(
            f"{where}:1: the file begins with a byte order mark, which TOML does not allow",
            hint="save it as UTF-8 without a byte order mark (BOM)",
        )
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise InvalidRequestError(
            f"{where}:{line}: the file is not UTF-8", hint="save it with the encoding UTF-8"
        ) from exc


_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def _parsed(text: str, where: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except ValueError as exc:  # of a number with too many digits, it is not a TOMLDecodeError
        reason = str(exc)
        line = text.rstrip("\n").count("\n") + 1  # where the document ends too early
        if place := _PLACE.search(reason):
            line = int(place[1] or line)
            reason = reason[: place.start()] + (f" (column {place[2]})" if place[2] else "")
        raise InvalidRequestError(
            f"{where}:{line}: not valid TOML: {reason}", hint="see https://toml.io for the syntax"
        ) from exc
    except RecursionError as exc:
        raise InvalidRequestError(
            f"{where}: the values are nested too deeply", hint="no key of a manifest needs this"
        ) from exc


class _Reader:
    """Checks a document key by key and remembers everything that is wrong."""

    def __init__(self, text: str, where: str) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._where = where

    def error(self) -> InvalidRequestError:
        return refusal(self._text, self._where, self.problems)

    def manifest(self, document: Mapping[str, Any]) -> AppManifest | None:
        self._known((), document, ("artifact", "service", "jobs", "moorage"))
        if "artifact" not in document:
            if not self.problems:
                self._refuse(
                    (min(document.keys() - {"moorage"}),),
                    "there is no [artifact] table",
                    hint='add [artifact] with name = "..."',
                    field="belongs to an [artifact]",
                )
            return None
        values: dict[str, Any] = {}
        artifact = self._table(("artifact",), document["artifact"], _ARTIFACT, required="name")
        for key, value in artifact.items():
            if (checked := self._checked(("artifact", key), value, _ARTIFACT[key])) is not None:
                values[key] = checked
        kind = values.get("kind", ArtifactKind.APP)
        if kind is not ArtifactKind.APP:
            for table in ("service", "jobs"):
                if table in document:
                    self._refuse(
                        (table,),
                        f"[{table}] belongs to an app, and this artifact's kind is '{kind}'",
                        hint=f"remove [{table}], or make the kind 'app'",
                        field="only for an app",
                    )
        else:
            if "service" in document:
                values["service"] = self._service(document["service"])
            if "jobs" in document:
                values["jobs"] = self._jobs(document["jobs"])
        return None if self.problems else AppManifest(**values)

    def _service(self, value: object) -> ServiceEntry | None:
        service = self._table(("service",), value, _SERVICE, required="app")
        checked = {
            key: self._checked(("service", key), part, _SERVICE[key])
            for key, part in service.items()
        }
        return ServiceEntry(**checked) if checked.get("app") else None

    def _jobs(self, value: object) -> dict[str, JobEntry]:
        jobs: dict[str, JobEntry] = {}
        if not isinstance(value, dict):
            self._wrong_type(("jobs",), value, "a table for each job", "[jobs.NAME]")
            return jobs
        plain: dict[str, str] = {}  # names as the providers see them that know no hyphen
        for name, entry in value.items():
            path = ("jobs", name)
            if not _JOB_NAME.fullmatch(name):
                self._refuse(
                    path,
                    f"{shown(name)} cannot be the name of a job",
                    hint="use 1 to 63 lower-case letters, digits, '-' and '_', a letter first",
                    field="not a portable name",
                )
                continue
            if (other := plain.setdefault(name.replace("-", "_"), name)) != name:
                self._refuse(
                    path,
                    f"the jobs {other!r} and {name!r} differ only in '-' and '_'",
                    hint="rename one: some providers cannot tell them apart",
                    field=f"too near to {other!r}",
                )
            job = self._table(path, entry, _JOB, required="handler")
            if "handler" in job:
                handler = self._checked((*path, "handler"), job["handler"], _JOB["handler"])
                if handler is not None:
                    jobs[name] = JobEntry(handler=handler)
        return jobs

    def _table(
        self, path: KeyPath, value: object, keys: Iterable[str], *, required: str
    ) -> dict[str, Any]:
        """Return what is known of a table; everything else is a problem."""
        if not isinstance(value, dict):
            self._wrong_type(path, value, "a table", f"[{_dotted(path)}]")
            return {}
        self._known(path, value, keys)
        if required not in value:
            self._refuse(
                path,
                f"[{_dotted(path)}] has no {required!r}",
                hint=f"add {required} = {_EXAMPLES[required]}",
                field=f"{required!r} is missing",
            )
        return {key: part for key, part in value.items() if key in keys}

    def _known(self, path: KeyPath, table: Mapping[str, Any], keys: Iterable[str]) -> None:
        for key in table:
            if key not in keys:
                import difflib

                near = difflib.get_close_matches(key, list(keys), n=1)
                what = f"[{_dotted(path)}] has no key {shown(key)}" if path else ""
                self._refuse(
                    (*path, key),
                    what or f"there is no table or key {shown(key)} in a manifest",
                    hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(keys)}",
                    field="unknown" + (f"; near: {near[0]}" if near else ""),
                )

    def _checked(self, path: KeyPath, value: Any, check: "Check") -> Any:
        try:
            return check(path, value)
        except _ProblemError as exc:
            self.problems.append(exc.problem)
            return None

    def _wrong_type(self, path: KeyPath, value: object, wanted: str, example: str) -> None:
        self.problems.append(_wrong_type(path, value, wanted, example))

    def _refuse(self, path: KeyPath, message: str, *, hint: str, field: str) -> None:
        self.problems.append(Problem(path, message, hint, field))


# Checking -----------------------------------------------------------------------------------------

Check = Callable[[KeyPath, Any], Any]

_EXAMPLES = {
    "name": '"iris"',
    "version": '"1.0"',
    "kind": '"app"',
    "python": '"3.12"',
    "requirements": '"requirements.txt"',
    "app": '"app:app"',
    "health": '"/healthz"',
    "handler": '"score:main"',
}
_JOB_NAME = re.compile(r"[a-z](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_PYTHON = re.compile(r"3\.(\d{1,2})")
_OLDEST_PYTHON = 8


class _ProblemError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def _text(path: KeyPath, value: object) -> str:
    if not isinstance(value, str):
        key = str(path[-1])
        raise _ProblemError(_wrong_type(path, value, "a string", f"{key} = {_EXAMPLES[key]}"))
    return value


def _refuse(path: KeyPath, value: object, reason: str, hint: str) -> _ProblemError:
    message = f"{_dotted(path)} = {shown(value)} {reason}"
    return _ProblemError(Problem(path, message, hint, reason))


def _as_named(check: Callable[[str], str]) -> Check:
    def checked(path: KeyPath, value: Any) -> str:
        try:
            return check(_text(path, value))
        except InvalidRequestError as exc:
            raise _ProblemError(_problem(path, exc)) from exc

    return checked


def _problem(path: KeyPath, refusal: InvalidRequestError) -> Problem:
    """Return what a check of the portable calls refuses, as it is said of a manifest."""
    return Problem(
        path,
        f"{_dotted(path)}: {refusal.message}",
        refusal.hint or "",
        next(iter(refusal.fields.values()), "not usable"),
    )


def _kind(path: KeyPath, value: Any) -> ArtifactKind:
    try:
        return ArtifactKind(_text(path, value))
    except ValueError as exc:
        hint = f"use {', '.join(repr(str(kind)) for kind in ArtifactKind)}"
        raise _refuse(path, value, "is not a kind of artifact", hint) from exc


def _python(path: KeyPath, value: Any) -> str:
    if isinstance(value, float):
        # 3.10 is the number 3.1, so what was written cannot be shown.
        raise _refuse(path, value, "is a number", 'put the version into quotes: "3.12"')
    text = _text(path, value)
    match = _PYTHON.fullmatch(text)
    if match is None:
        hint = 'name the minor version alone, "3.12" for example'
        raise _refuse(path, text, "is not a Python version", hint)
    if int(match[1]) < _OLDEST_PYTHON or match[1].startswith("0"):
        raise _refuse(path, text, "is too old to run anywhere", 'name a newer one, "3.12"')
    return text


def _requirements(path: KeyPath, value: Any) -> str:
    text = _text(path, value)
    if flaw := flaw_of(text):
        hint = "name a file in the directory, relative to it and with '/' between the parts"
        raise _refuse(path, text, flaw, hint)
    return text


def _exclude(path: KeyPath, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        example = f"exclude = [{value!r}]" if isinstance(value, str) else 'exclude = ["data/"]'
        raise _ProblemError(_wrong_type(path, value, "a list of strings", example))
    for index, pattern in enumerate(value):
        inside = (*path, index)
        if not isinstance(pattern, str):
            raise _ProblemError(_wrong_type(inside, pattern, "a string", '"data/"'))
        if flaw := flaw_of_pattern(pattern):
            hint = 'write patterns as in a .gitignore file: "data/", "*.ipynb", "!keep.pem"'
            raise _refuse(inside, pattern, flaw, hint)
    return tuple(value)


def _labels(path: KeyPath, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _ProblemError(_wrong_type(path, value, "a table of strings", 'team = "flowers"'))
    for key, text in value.items():
        inside = (*path, key)
        if not isinstance(text, str):
            example = f'{key} = "{text}"' if isinstance(text, int | float) else f'{key} = "..."'
            raise _ProblemError(_wrong_type(inside, text, "a string", example))
        try:
            check_label(key, text)
        except InvalidRequestError as exc:
            raise _ProblemError(_problem(inside, exc)) from exc
    return dict(value)


def _callable(path: KeyPath, value: Any) -> str:
    text = _text(path, value)
    module, colon, name = text.partition(":")
    if colon and _is_dotted(module) and _is_dotted(name):
        return text
    example = _EXAMPLES[str(path[-1])]
    if name.endswith(")"):
        hint = f"name something that exists once the module is imported, as in {example}"
    elif re.fullmatch(r"[\w./]+\.py(?::\w+)?", text):
        module = module.removesuffix(".py").strip("./").replace("/", ".")
        usual = example.strip('"').partition(":")[2]
        hint = f'name the module, not the file: "{module}:{name or usual}"'
    else:
        hint = f"write the module, a colon and the name in it, as in {example}"
    raise _refuse(path, text, "does not name a callable as 'module:name'", hint)


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in text.split("."))


_HEALTH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")


def _health(path: KeyPath, value: Any) -> str:
    text = _text(path, value)
    if not _HEALTH.fullmatch(text) or {".", ".."} & set(text.partition("?")[0].split("/")):
        hint = 'write the path of a URL: "/healthz"'
        raise _refuse(path, text, "is not a path that can be asked for", hint)
    return text


_ARTIFACT: dict[str, Check] = {
    "name": _as_named(lambda text: check_name(text, "artifact")),
    "version": _as_named(check_version),
    "kind": _kind,
    "python": _python,
    "requirements": _requirements,
    "exclude": _exclude,
    "labels": _labels,
}
_SERVICE: dict[str, Check] = {"app": _callable, "health": _health}
_JOB: dict[str, Check] = {"handler": _callable}


def _wrong_type(path: KeyPath, value: object, wanted: str, example: str) -> Problem:
    found = _TYPES.get(type(value), "a date or a time")
    return Problem(
        path,
        f"{_dotted(path)} must be {wanted}, and is {found}",
        f"write {example}",
        f"must be {wanted}",
    )


_TYPES: dict[type, str] = {
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a truth value",
    list: "a list",
    dict: "a table",
}


def _dotted(path: KeyPath) -> str:
    written = ""
    for key in path:
        if isinstance(key, int):
            written += f"[{key}]"
        else:
            plain = re.fullmatch(r"[A-Za-z0-9_-]+", key)
            written += ("." if written else "") + (key if plain else shown(key))
    return written


def _line(text: str, path: KeyPath) -> int:
    try:
        return line_of(text, path)
    except RecursionError:  # what is nested that deeply stands in [moorage], and is not ours
        return 1
