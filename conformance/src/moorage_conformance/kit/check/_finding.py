"""What a look finds."""

import enum
from collections.abc import Mapping

import msgspec


class Status(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and its users would be better off otherwise."""

    FAILED = "failed"
    """It does not work, or breaks a promise."""


CHECKS: Mapping[str, str] = {
    "metadata.entry-point": "Is a provider registered, under a name and a module that exist?",
    "metadata.name": "Is the package called `moorage-` and the provider's name?",
    "metadata.installed": "Is what is installed of a project what its file says now?",
    "metadata.requires-python": "Is it said which Python is needed, and does moorage have it?",
    "metadata.dependency": "Does it depend on moorage, on this release, and not on all to come?",
    "metadata.suite": "Is the conformance suite left to those who develop it?",
    "metadata.licence": "Is it said under which licence it may be used?",
    "metadata.description": "Is there a line and a readme for whoever looks for it?",
    "metadata.classifiers": "Do the classifiers say that it is typed?",
    "layout.typed": "Do type checkers read its types?",
    "layout.files": "Are the files there that every provider package has?",
    "layout.syntax": "Can every module be read?",
    "layout.interface": "Does it import `moorage.plugin` and `moorage.errors` alone?",
    "layout.imports": "Does every import come with a declared dependency?",
    "layout.waiting": "Does it leave waiting to the portable layer?",
    "loading.import": "Can it be imported, and does that end?",
    "loading.light": "Does the import leave driver and transport alone?",
    "loading.time": "Is the import quick?",
    "loading.silent": "Does the import print nothing?",
    "loading.hooks": "Is each hook known, marked, and given what it asks for?",
    "loading.load": "Does moorage accept it, and its window of interface versions?",
    "loading.harness": "Is there a harness, whole, which answers for this provider alone?",
    "loading.commands": "Does `moorage_cli` add commands, where there is one?",
    "declarations.summary": "Is there one short line about it?",
    "declarations.docs": "Is there an address of its pages?",
    "declarations.capabilities": "Does each capability exist, and say why it is less than full?",
    "settings.fields": "Is each setting explained, and none unknown accepted?",
    "settings.secret": "Is each credential a `SecretValue`?",
    "settings.destination": "Is each address that credentials travel to marked as one?",
    "settings.trusted": "Can no project's file weaken what protects a connection?",
}
"""Everything that is looked at, as the question that it answers."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    check: str
    """What: `metadata.licence`, for example."""

    status: Status
    """How bad it is."""

    detail: str
    """What was found."""

    hint: str = ""
    """What to do about it; empty where there is nothing to do."""


def ok(check: str, detail: str) -> Finding:
    """Return what is as it should be."""
    return Finding(check=check, status=Status.OK, detail=detail)


def warning(check: str, detail: str, hint: str) -> Finding:
    """Return what could be better."""
    return Finding(check=check, status=Status.WARNING, detail=detail, hint=hint)


def failed(check: str, detail: str, hint: str) -> Finding:
    """Return what is wrong."""
    return Finding(check=check, status=Status.FAILED, detail=detail, hint=hint)
