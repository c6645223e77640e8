"""A package as moorage loads it: its hooks, what it declares, and what its import costs."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from moorage._capability import NAMES, near
from moorage._shown import shown

from ._finding import Finding, failed, ok, warning
from ._package import Package

_PROBE = Path(__file__).with_name("_probe.py")
_TIMEOUT_S = 60
_RUNS = 3
_SLOW_S = 0.1
_WORDS = 3  # of a reason that tells a user something

# A capability, and one without which it is of no use.
_NEEDS = {
    "artifacts.pull": "artifacts.get",
    "artifacts.open": "artifacts.get",
    "artifacts.delete": "artifacts.get",
    "deployments.deploy": "deployments.get",
    "deployments.create": "deployments.get",
    "deployments.update": "deployments.get",
    "deployments.plan": "deployments.get",
    "jobs.submit.artifact": "jobs.get",
    "jobs.submit.deployment": "jobs.get",
    "jobs.output": "jobs.get",
    "logs.follow.deployment": "logs.tail.deployment",
    "logs.follow.job": "logs.tail.job",
    "secrets.reveal": "secrets.get",
}


def look_at_loading(package: Package) -> Generator[Finding, None, Mapping[str, Any] | None]:
    """Yield what importing the package shows, and return its settings if they could be read."""
    if package.provider is None or package.directory is None:
        return None
    said = _probed(package)
    if isinstance(said, Finding):
        yield said
        return None
    if error := said.get("import_error"):
        yield failed(
            "loading.import",
            f"{package.module} cannot be imported: {error}",
            "install what it needs, or correct it; a broken package is a line in"
            " `moorage providers list` and disturbs no other",
        )
        return None
    yield from _cost(package, said)
    yield from _hooks(said["hooks"])
    yield _loads(said["load"])
    if "info" in said:
        yield from _info(said["info"])
        yield from _capabilities(said["info"]["capabilities"])
    yield _harness(said["harness"])
    if "commands" in said:
        yield _commands(said["commands"])
    settings: Mapping[str, Any] | None = said.get("settings")
    return settings


# The process --------------------------------------------------------------------------------------


def _probed(package: Package) -> dict[str, Any] | Finding:
    """Import the package, again where that was slow, and return what the quickest run says."""
    with tempfile.TemporaryDirectory(prefix="moorage-check-") as directory:
        best = _run(package, Path(directory))
        for _ in range(_RUNS - 1):
            if isinstance(best, Finding) or best.get("seconds", 0.0) <= _SLOW_S:
                break
            again = _run(package, Path(directory))
            if not isinstance(again, Finding) and again["seconds"] < best["seconds"]:
                best = again
        return best


def _run(package: Package, directory: Path) -> dict[str, Any] | Finding:
    request, reply = directory / "request.json", directory / "reply.json"
    asked = {
        "module": package.module,
        "provider": package.provider,
        "distribution": package.distribution or "?",
        "version": package.version or "?",
        "path": str(package.path) if package.path else "",
        "compiled": str(directory / "compiled"),
    }
    request.write_text(json.dumps(asked), "utf-8")
    reply.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            [sys.executable, "-P", _PROBE, request, reply],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return failed(
            "loading.import",
            f"importing {package.module} had not ended after {_TIMEOUT_S} s",
            "an import asks nobody and waits for nothing; connect when the driver is opened",
        )
    if not reply.exists():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return failed(
            "loading.import",
            f"importing {package.module} ended the process with {done.returncode}: {last}",
            "an import defines things, and does nothing else",
        )
    found: dict[str, Any] = json.loads(reply.read_text("utf-8"))
    found["printed"] = (done.stdout + done.stderr).strip()
    return found


# What it costs ------------------------------------------------------------------------------------


def _cost(package: Package, said: Mapping[str, Any]) -> Iterator[Finding]:
    if heavy := said["heavy"]:
        yield failed(
            "loading.light",
            f"importing {package.module} imports {', '.join(heavy)}",
            "import them in the function that opens the driver: every command that lists"
            " providers imports this module",
        )
    else:
        yield ok("loading.light", "the import brings neither a driver nor a transport")
    milliseconds = round(said["seconds"] * 1000, 1)
    if said["seconds"] > _SLOW_S:
        yield warning(
            "loading.time",
            f"the import takes {milliseconds} ms",
            f"`python -X importtime -c 'import {package.module}'` shows where they go",
        )
    else:
        yield ok("loading.time", f"the import takes {milliseconds} ms")
    if printed := said["printed"]:
        yield warning(
            "loading.silent",
            f"the import prints: {shown(printed.splitlines()[0])}",
            "standard output belongs to the data of commands; use logging, which is quiet until"
            " somebody listens",
        )


# Hooks --------------------------------------------------------------------------------------------


def _hooks(hooks: list[dict[str, Any]]) -> Iterator[Finding]:
    check = "loading.hooks"
    wrong = False
    for hook in hooks:
        name = hook["name"]
        detail, hint = "", ""
        if not hook["known"]:
            detail = f"there is no hook {name!r}{hook['near']}"
            hint = "the reference of the driver interface lists the hooks"
        elif not hook["marked"]:
            detail = f"{name} has the name of a hook and is not marked as one"
            hint = "put @hookimpl before it: from moorage.plugin import hookimpl"
        elif hook["strange"]:
            arguments = ", ".join(hook["given"]) or "nothing"
            detail = f"{name} takes {', '.join(hook['strange'])}, which the hook does not give"
            hint = f"a hook gets its arguments by their names; this one gives {arguments}"
        if detail:
            wrong = True
            yield failed(check, detail, hint)
    if not any(hook["name"] == "moorage_provider" for hook in hooks):
        wrong = True
        yield failed(
            check,
            "moorage_provider() is missing, so that there is no provider to be found",
            "define it in the module of the entry point, marked with @hookimpl",
        )
    if not wrong:
        yield ok(check, ", ".join(sorted(hook["name"] for hook in hooks)))


def _loads(load: Mapping[str, str]) -> Finding:
    if not load["phase"]:
        return ok("loading.load", "moorage loads it")
    return failed(
        "loading.load",
        f"moorage refuses it in phase {load['phase']!r}: {load['error']}",
        load["hint"] or "compare the package with the reference of the driver interface",
    )


def _info(info: Mapping[str, Any]) -> Iterator[Finding]:
    check = "declarations.summary"
    summary = info["summary"]
    if not isinstance(summary, str) or not summary or "\n" in summary or len(summary) > 80:
        yield warning(
            check,
            "the summary is no short line",
            "one line of at most 80 characters stands beside the name in `moorage providers list`",
        )
    else:
        yield ok(check, summary)
    if not info["docs_url"]:
        yield warning(
            "declarations.docs",
            "there is no docs_url",
            "say in ProviderInfo where the cloud's or the package's pages are",
        )


def _capabilities(declared: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    check = "declarations.capabilities"
    wrong = False
    for name, support in declared.items():
        if name not in NAMES:
            wrong = True
            yield failed(
                check,
                f"there is no capability {name!r}{near(name)}",
                "the reference lists every name there is",
            )
        elif support["level"] != "full" and len(support["reason"].split()) < _WORDS:
            wrong = True
            yield failed(
                check,
                f"{name} is {support['level']} and says why in no sentence",
                "give Support a reason: users read it in the refusal and in the matrix",
            )
    usable = {n for n, s in declared.items() if s["level"] in {"full", "emulated", "partial"}}
    for name, needed in _NEEDS.items():
        if name in usable and needed not in usable:
            wrong = True
            yield warning(
                check,
                f"{name} is declared and {needed} is not",
                f"nothing can be done with the one without the other; declare {needed}",
            )
    kinds = {"artifacts.kind.app", "artifacts.kind.data", "artifacts.kind.model"}
    if "artifacts.push" in usable and not usable & kinds:
        wrong = True
        yield failed(
            check,
            "artifacts.push is declared and no kind of artifact, so that every push is refused",
            f"declare what can be pushed: {', '.join(sorted(kinds))}",
        )
    left_out = [name for name in NAMES if name not in declared]
    if left_out and not wrong:
        some = ", ".join(left_out[:4]) + (", ..." if len(left_out) > 4 else "")
        yield warning(
            check,
            f"{len(usable)} of {len(NAMES)} can be used; {len(left_out)} are not mentioned: {some}",
            "say of each that it is unsupported (the cloud cannot) or not_implemented (the package"
            " does not yet), and why; else the refusal says only that it is not declared",
        )
    elif not wrong:
        yield ok(check, f"{len(usable)} of {len(NAMES)} can be used, the others say why not")


def _commands(commands: Mapping[str, Any]) -> Finding:
    check = "loading.commands"
    hint = "add commands to the group that moorage_cli is given: @group.command(...)"
    if error := commands.get("error"):
        return failed(check, f"moorage_cli failed: {error}", hint)
    if not commands["names"]:
        return warning(check, "moorage_cli adds no commands", hint)
    return ok(check, ", ".join(commands["names"]))


def _harness(harness: Mapping[str, Any]) -> Finding:
    check = "loading.harness"
    if error := harness.get("error"):
        return failed(check, f"moorage_conformance_harness failed: {error}", "correct it")
    if not harness["there"]:
        return warning(
            check,
            "there is no harness, so that the conformance suite cannot be run",
            "implement moorage_conformance_harness(provider) beside moorage_provider()",
        )
    if harness["missing"]:
        return failed(
            check,
            f"the harness lacks {', '.join(harness['missing'])}",
            "the reference of the suite describes the seven methods",
        )
    if harness["greedy"]:
        return failed(
            check,
            "moorage_conformance_harness answers for providers that are not its own",
            "return None unless the name is that of this provider: every package is asked",
        )
    return ok(check, "the harness is whole")
