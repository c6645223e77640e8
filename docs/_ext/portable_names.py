"""Shows the interface as a reader imports it.

What `moorage` exports is defined in private modules, and each name is loaded when it is first
used. Signatures therefore speak of `moorage._deployment.Deployment`; here that becomes a link to
`moorage.Deployment`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import msgspec
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PUBLIC = (
    "moorage",
    "moorage.errors",
    "moorage.plugin",
    "moorage.plugin.archive",
    "moorage.plugin.transport",
    "moorage_local",
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to what Sphinx does."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("missing-reference", _find)
    # Napoleon, at 500, takes what stands before a colon under a field for the field's type.
    app.connect("autodoc-process-docstring", _hide_field, priority=400)
    app.connect("autodoc-process-docstring", _show_field, priority=600)
    app.connect("autodoc-process-signature", _without_fields)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "version": "1"}


def _find(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement
) -> nodes.reference | None:
    """Resolve a private path to the public name of the same thing."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py":
        return None
    for module in PUBLIC:
        name = target.rpartition(".")[2]
        if name in import_module(module).__all__:
            found = env.domains["py"].resolve_xref(
                env,
                node.get("refdoc", ""),
                app.builder,
                "obj",
                f"{module}.{name}",
                node,
                contnode,
            )
            if found is not None:
                return found
    return None


def _without_fields(
    _app: Sphinx, kind: str, name: str, thing: Any, _options: Any, _signature: Any, _returns: Any
) -> tuple[str, str] | None:
    """Leave out how a class is made where a reader does not make it, or has its fields anyway."""
    if kind != "class" or not isinstance(thing, type):
        return None
    made_by_moorage = name.startswith("moorage.") and name.count(".") == 1
    if issubclass(thing, msgspec.Struct) or (made_by_moorage and name != "moorage.SecretValue"):
        return "", ""
    return None


_hidden: dict[str, list[str]] = {}


def _hide_field(
    _app: Sphinx, kind: str, name: str, _thing: Any, _options: Any, lines: list[str]
) -> None:
    if kind in {"attribute", "data"} or (kind == "property" and "Raises:" not in lines):
        _hidden[name] = lines[:]
        lines.clear()


def _show_field(
    _app: Sphinx, _kind: str, name: str, _thing: Any, _options: Any, lines: list[str]
) -> None:
    lines += _hidden.pop(name, [])
