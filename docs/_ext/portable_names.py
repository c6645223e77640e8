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
    app: Sphinx, kind: str, name: str, thing: Any, options: Any, signature: Any, returns: Any
) -> tuple[str, str] | None:
    """Leave the fields of a struct out of its signature: each is described under it."""
    if kind == "class" and isinstance(thing, type) and issubclass(thing, msgspec.Struct):
        return "", ""
    return None


_hidden: dict[str, list[str]] = {}


def _hide_field(
    app: Sphinx, kind: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    if kind in {"attribute", "data"}:
        _hidden[name] = lines[:]
        lines.clear()


def _show_field(
    app: Sphinx, kind: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    lines += _hidden.pop(name, [])
