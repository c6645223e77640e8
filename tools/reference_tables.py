"""Write the tables of the reference that say what the code says.

A page holds such a table between `<!-- table: NAME -->` and `<!-- end of table -->`.

python tools/reference_tables.py            write them
python tools/reference_tables.py --check    write nothing; exit with 1 if one does not fit
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from moorage.errors import MoorageError
    from moorage.plugin import ProviderInfo

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
REGION = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def main(arguments: Sequence[str]) -> int:
    """Write the tables, or compare them."""
    stale = []
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text("utf-8")
        filled = REGION.sub(_filled, text)
        if filled != text:
            stale.append(page)
    if arguments == ["--check"]:
        for page in stale:
            print(
                f"{page.name} does not fit: run python tools/reference_tables.py", file=sys.stderr
            )
        return 1 if stale else 0
    for page in stale:
        page.write_text(REGION.sub(_filled, page.read_text("utf-8")), "utf-8")
    return 0


def _filled(region: re.Match[str]) -> str:
    lines = TABLES[region[2]]()
    return "\n".join([region[1], *lines, "", region[3]])


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield f"| {' | '.join(headers)} |"
    yield f"|{' --- |' * len(headers)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def providers() -> list[ProviderInfo]:
    """Return what the provider packages of this repository declare."""
    names = sorted(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())
    return [import_module(f"moorage_{name}").moorage_provider() for name in names]


# Capabilities -------------------------------------------------------------------------------------


def capability_names() -> Iterator[str]:
    """Yield every capability, and which calls and options need it."""
    from moorage._capability import NAMES

    needs = _needs()
    yield from table(
        ("capability", "what it is", "needed by"),
        ((f"`{name}`", text, "<br>".join(needs[name]) or "") for name, text in NAMES.items()),
    )


def _needs() -> Mapping[str, list[str]]:
    from moorage._binding import CALLS, OPTIONS
    from moorage._capability import NAMES

    needs: dict[str, list[str]] = {name: [] for name in NAMES}
    for call, capability in CALLS.items():
        for name in NAMES:
            # Where the target decides, the capability's name is the call's and the target's.
            if name == capability or (capability is None and name.startswith(f"{call}.")):
                needs[name].append(f"`{call}`")
    for name, found in needs.items():
        options: dict[str, list[str]] = {}
        for call, bound in OPTIONS.items():
            for option, capability in bound.items():
                pattern = re.escape(capability).replace(re.escape("{value}"), "(.+)")
                if match := re.fullmatch(pattern, name):
                    given = f'{option}="{match[1]}"' if match.groups() else option
                    options.setdefault(given, []).append(f"`{call}`")
        found += [f"`{option}` of {', '.join(calls)}" for option, calls in options.items()]
    needs["deployments.cancel"].append("`Operation.cancel`")
    needs["jobs.output"].append("`Job.output`")
    return needs


def capability_matrix() -> Iterator[str]:
    """Yield what each provider can do."""
    from moorage._capability import NAMES, Capabilities

    records = {info.name: Capabilities(info.name, info.capabilities) for info in providers()}
    yield from table(
        ("capability", *records),
        (
            (f"`{name}`", *(str(record[name].level) for record in records.values()))
            for name in NAMES
        ),
    )
    for provider, record in records.items():
        told = {name: support for name, support in record.items() if support.reason}
        if told:
            yield ""
            yield f"What `{provider}` says about what is not `full`:"
            yield ""
            for name, support in told.items():
                limit = "" if support.limit is None else f" (limit: {support.limit})"
                yield f"- `{name}`, {support.level}: {support.reason}{limit}"


# Errors -------------------------------------------------------------------------------------------


def errors() -> Iterator[str]:
    """Yield every class of error, when it is raised and how a command ends with it."""
    from moorage._cli._exit_codes import exit_code
    from moorage.errors import TimedOutError

    rows = []
    for error in _errors():
        code = str(int(exit_code(error(""))))
        if error is TimedOutError:
            pending: Any = object()
            later = exit_code(TimedOutError("", pending=pending))
            code += f", or {int(later)} where an operation goes on"
        rows.append((f"`{error.__name__}`", _first_line(error), code))
    yield from table(("class", "when", "exit code"), rows)


def error_attributes() -> Iterator[str]:
    """Yield what is the same for all errors of a class."""
    rows = []
    for error in _errors():
        mixed = [base for base in error.__mro__[1:] if base.__module__ == "builtins"]
        natural = f"`{mixed[0].__name__}`" if mixed[0] is not Exception else ""
        code = error("").code
        rows.append(
            (f"`{error.__name__}`", natural, f"`{code}`", f"`{error.retry}`", f"`{error.origin}`")
        )
    yield from table(("class", "is also a", "code", "`retry`", "`origin`"), rows)


def _errors() -> list[type[MoorageError]]:
    from moorage import errors as module

    found = [getattr(module, name) for name in module.__all__]
    return [error for error in found if issubclass(error, module.MoorageError)]


def exit_codes() -> Iterator[str]:
    """Yield every exit code."""
    from moorage._cli._exit_codes import MEANINGS

    yield from table(
        ("exit code", "meaning"), ((str(int(code)), text) for code, text in MEANINGS.items())
    )


# Configuration ------------------------------------------------------------------------------------


def layers() -> Iterator[str]:
    """Yield the layers, highest first."""
    from moorage._config._origin import Layer

    texts = field_texts(Layer)
    rows = (
        (f"`{layer}`", texts[layer.name], "yes" if layer.trusted else "**no**") for layer in Layer
    )
    yield from table(("layer", "where it is", "trusted"), rows)


def settings_of(info: ProviderInfo) -> Iterator[str]:
    """Yield the settings of a provider."""
    from moorage._config._schema import setting_fields

    rows = []
    for field in setting_fields(info).values():
        marks = {
            "a credential": field.secret,
            "not in a project's file": field.trusted,
            "a project's file may not send credentials there": field.destination,
            f"read from `{field.ambient}` last of all": field.ambient is not None,
        }
        remarks = "; ".join(mark for mark, holds in marks.items() if holds)
        rows.append(
            (
                f"`{field.key}`",
                f"{field.description}{f' ({remarks})' if remarks else ''}",
                _type_name(field.type),
                "required" if field.required else _default(field.default),
            )
        )
    yield from table(("key", "meaning", "type", "default"), rows)


def local_settings() -> Iterator[str]:
    """Yield the settings of `local`."""
    yield from settings_of(next(info for info in providers() if info.name == "local"))


def abeja_settings() -> Iterator[str]:
    """Yield the settings of `abeja`."""
    yield from settings_of(next(info for info in providers() if info.name == "abeja"))


def abeja_options() -> Iterator[str]:
    """Yield the deployment options of `abeja`."""
    from moorage_abeja._options import DeploymentOptions

    yield from _fields(DeploymentOptions, "option")


def bentocloud_settings() -> Iterator[str]:
    """Yield the settings of `bentocloud`."""
    yield from settings_of(next(info for info in providers() if info.name == "bentocloud"))


def bentocloud_options() -> Iterator[str]:
    """Yield the deployment options of `bentocloud`."""
    from moorage_bentocloud._deployment_options import DeploymentOptions

    yield from _fields(DeploymentOptions, "option")


def konigle_settings() -> Iterator[str]:
    """Yield the settings of `konigle`."""
    yield from settings_of(next(info for info in providers() if info.name == "konigle"))


def konigle_options() -> Iterator[str]:
    """Yield the deployment options of `konigle`."""
    from moorage_konigle._options import DeploymentOptions

    yield from _fields(DeploymentOptions, "option")


def local_options() -> Iterator[str]:
    """Yield the deployment options of `local`."""
    from moorage_local._deployment_options import DeploymentOptions

    yield from _fields(DeploymentOptions, "option")


def _fields(struct: type[msgspec.Struct], what: str) -> Iterator[str]:
    texts = field_texts(struct)
    rows = (
        (f"`{field.name}`", texts[field.name], _type_name(field.type), _default(field.default))
        for field in msgspec.structs.fields(struct)
    )
    yield from table((what, "meaning", "type", "default"), rows)


def _type_name(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Annotated:
        inner, *marks = typing.get_args(kind)
        bounds = [
            f"{sign} {value}"
            for mark in marks
            if isinstance(mark, msgspec.Meta)
            for sign, value in (
                ("above", mark.gt),
                ("from", mark.ge),
                ("to", mark.le),
                ("below", mark.lt),
            )
            if value is not None
        ]
        return " ".join([_type_name(inner), *bounds])
    if typing.get_origin(kind) in {typing.Union, UnionType}:
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        return " or ".join(map(_type_name, members))
    if typing.get_origin(kind) in {tuple, list}:
        return f"list of {_type_name(typing.get_args(kind)[0])}"
    words = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
    name = kind.__name__
    return words.get(name, {"Path": "path", "SecretValue": "credential"}.get(name, f"`{name}`"))


def _default(value: Any) -> str:
    return "" if value is None or value in ((), {}) else f"`{value!r}`"


# Apps ---------------------------------------------------------------------------------------------


def default_excludes() -> Iterator[str]:
    """Yield the patterns of what is never packed."""
    from moorage._ignore import DEFAULTS

    yield "```text"
    yield from DEFAULTS
    yield "```"


# Plugins ------------------------------------------------------------------------------------------


def hooks() -> Iterator[str]:
    """Yield every hook."""
    from moorage.plugin import _hooks

    rows = []
    for name, function in vars(_hooks).items():
        if name.startswith("moorage_"):
            parameters = ", ".join(inspect.signature(function).parameters)
            rows.append((f"`{name}({parameters})`", _first_line(function)))
    yield from table(("hook", "what it is for"), rows)


# What a driver method has to do for each of these to hold; the test of the tables compares both
# sides with the protocols and with the capabilities that there are.
IMPLEMENTED_BY: Mapping[str, tuple[str, ...]] = {
    "ArtifactDriver.push": (
        "artifacts.push",
        "artifacts.kind.app",
        "artifacts.kind.model",
        "artifacts.kind.data",
        "artifacts.version",
        "artifacts.labels",
    ),
    "ArtifactDriver.pull": ("artifacts.pull",),
    "ArtifactDriver.open": ("artifacts.open",),
    "ArtifactDriver.get": ("artifacts.get",),
    "ArtifactDriver.list": ("artifacts.list",),
    "ArtifactDriver.delete": ("artifacts.delete",),
    "DeploymentDriver.apply": (
        "deployments.deploy",
        "deployments.create",
        "deployments.update",
        "deployments.env",
        "deployments.secrets",
        "deployments.instance_type",
        "deployments.replicas",
        "deployments.autoscaling",
        "deployments.labels",
        "deployments.options",
    ),
    "DeploymentDriver.get": ("deployments.get", "deployments.update", "deployments.plan"),
    "DeploymentDriver.list": ("deployments.list",),
    "DeploymentDriver.start": ("deployments.start",),
    "DeploymentDriver.stop": ("deployments.stop",),
    "DeploymentDriver.delete": ("deployments.delete",),
    "DeploymentDriver.advance": (),
    "DeploymentDriver.call": ("deployments.call",),
    "PromotingDriver.promote": ("deployments.promote",),
    "RememberingDriver.pick_up": (),
    "CancellingDriver.cancel": ("deployments.cancel",),
    "LogDriver.fetch": ("logs.tail.deployment", "logs.tail.job", "logs.since", "logs.until"),
    "StreamingLogDriver.follow": ("logs.follow.deployment", "logs.follow.job"),
    "JobDriver.submit": (
        "jobs.submit.artifact",
        "jobs.submit.deployment",
        "jobs.input",
        "jobs.env",
        "jobs.secrets",
        "jobs.instance_type",
        "jobs.retries",
        "jobs.timeout",
    ),
    "JobDriver.get": ("jobs.get", "jobs.output"),
    "JobDriver.list": ("jobs.list",),
    "JobDriver.cancel": ("jobs.cancel",),
    "SecretDriver.put": ("secrets.put", "secrets.description"),
    "SecretDriver.get": ("secrets.get", "secrets.reveal"),
    "SecretDriver.list": ("secrets.list",),
    "SecretDriver.delete": ("secrets.delete",),
}


def driver_methods() -> Iterator[str]:
    """Yield every method of a driver, and the capabilities that it stands for."""
    from moorage.plugin import _driver

    rows = []
    for name, capabilities in IMPLEMENTED_BY.items():
        protocol, _, method = name.partition(".")
        told = _first_line(getattr(getattr(_driver, protocol), method))
        shown = "<br>".join(f"`{capability}`" for capability in capabilities)
        rows.append((f"`{name}`", told, shown or "every change of a deployment that takes time"))
    yield from table(("method", "what it does", "stands for"), rows)


def plugin_checks() -> Iterator[str]:
    """Yield everything that `moorage plugin check` looks at."""
    from moorage_conformance.kit.check import CHECKS

    yield from table(("check", "what is looked at"), ((f"`{n}`", t) for n, t in CHECKS.items()))


# Reading docstrings -------------------------------------------------------------------------------


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")


def field_texts(owner: type) -> Mapping[str, str]:
    """Return the docstring under each field of a class, as one line."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(node, ast.ClassDef)
    texts: dict[str, str] = {}
    name = ""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
        elif (
            name
            and isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
        ):
            texts[name] = " ".join(statement.value.value.split())
            name = ""
    return texts


TABLES: Mapping[str, Callable[[], Iterator[str]]] = {
    "capability-names": capability_names,
    "capability-matrix": capability_matrix,
    "default-excludes": default_excludes,
    "driver-methods": driver_methods,
    "error-attributes": error_attributes,
    "errors": errors,
    "exit-codes": exit_codes,
    "hooks": hooks,
    "bentocloud-options": bentocloud_options,
    "bentocloud-settings": bentocloud_settings,
    "abeja-options": abeja_options,
    "abeja-settings": abeja_settings,
    "konigle-options": konigle_options,
    "konigle-settings": konigle_settings,
    "layers": layers,
    "local-options": local_options,
    "local-settings": local_settings,
    "plugin-checks": plugin_checks,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
