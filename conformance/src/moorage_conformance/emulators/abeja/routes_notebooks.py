"""Notebooks of training definitions: none really runs, but each has its states and a log."""

import re

from .call import Call, Route, optional_text, page_of
from .errors import bad_request
from .logs import descending
from .routes_training import definition_of
from .state import Definition, Notebook, Wire, found, newest_first

_N = "/organizations/{organization}/training/definitions/{definition}/notebooks"
_O = f"{_N}/{{notebook}}"

_INSTANCE_TYPE = re.compile(r"(?:cpu|gpu)(?::[abcd])?-\d+(?:\.\d+)?")
_TYPES = frozenset({"notebook", "lab"})
_DEFAULTS = {
    "instance_type": "cpu-1",
    "image": "abeja-inc/all-cpu:19.10",
    "notebook_type": "notebook",
}


async def _wanted(call: Call) -> dict[str, str]:
    """Return what the body asks for."""
    body = await call.body(optional=True)
    wanted: dict[str, str] = {}
    for name in _DEFAULTS:
        value = optional_text(body, name)
        if value is None:
            continue
        known = value in _TYPES if name == "notebook_type" else bool(value)
        if name == "instance_type":
            known = _INSTANCE_TYPE.fullmatch(value) is not None
        if not known:
            raise bad_request(f"{value} cannot be the {name} of a notebook", field=name)
        wanted[name] = value
    return wanted


def _of(call: Call) -> tuple[Definition, Notebook]:
    definition = definition_of(call)
    return definition, found(definition.notebooks, "notebook", call["notebook"])


def _start(call: Call, notebook: Notebook) -> None:
    notebook.course = call.world.course("Pending", "Active")
    notebook.wire["modified_at"] = call.world.stamp()
    notebook.log.add(f"{notebook.wire['notebook_type']} starts", call.world.now())


async def create_notebook(call: Call) -> Wire:
    """Make a notebook, which starts at once."""
    wanted = await _wanted(call)
    definition, world = definition_of(call), call.world
    made, notebook_id = world.stamp(), world.number()
    wire: Wire = {
        "training_notebook_id": notebook_id,
        "job_definition_id": definition.wire["job_definition_id"],
        "name": f"notebook-{1 + len(definition.notebooks)}",
        "status": "Pending",
        "status_message": None,
        **_DEFAULTS,
        **wanted,
        "creator": world.creator,
        "created_at": made,
        "modified_at": made,
    }
    notebook = Notebook(wire, world.course("Pending", "Active"))
    definition.notebooks[notebook_id] = notebook
    notebook.log.add(f"{wire['notebook_type']} starts", world.now())
    return notebook.seen()


async def get_notebooks(call: Call) -> Wire:
    """List them, newest first."""
    notebooks = newest_first(list(definition_of(call).notebooks.values()))
    page, offset, limit = page_of(call, notebooks, 50)
    entries = [notebook.seen() for notebook in page]
    return {"entries": entries, "offset": offset, "limit": limit, "total": len(notebooks)}


async def get_notebook(call: Call) -> Wire:
    """Show one."""
    return _of(call)[1].seen()


async def update_notebook(call: Call) -> Wire:
    """Change what it runs on and in."""
    notebook = _of(call)[1]
    notebook.wire.update(await _wanted(call), modified_at=call.world.stamp())
    return notebook.seen()


async def delete_notebook(call: Call) -> Wire:
    """Delete one."""
    definition, notebook = _of(call)
    del definition.notebooks[notebook.id]
    return {"message": f"{notebook.id} deleted"}


async def start_notebook(call: Call) -> Wire:
    """Start one; that one which runs is left as it is, and not refused, is an assumption."""
    wanted = await _wanted(call)
    notebook = _of(call)[1]
    if notebook.course.current == "Stopped":
        notebook.wire.update(wanted)
        _start(call, notebook)
    return notebook.seen()


async def stop_notebook(call: Call) -> Wire:
    """Stop one, if it is not stopped."""
    notebook = _of(call)[1]
    if notebook.course.current != "Stopped":
        notebook.course = call.world.course(notebook.course.current, "Stopped")
        notebook.wire["modified_at"] = call.world.stamp()
    return notebook.seen()


async def get_recent_logs(call: Call) -> Wire:
    """Answer the descending family; notebooks have no other."""
    return descending(call, _of(call)[1].log.events)


ROUTES: list[Route] = [
    ("POST", _N, create_notebook),
    ("GET", _N, get_notebooks),
    ("GET", _O, get_notebook),
    ("PUT", _O, update_notebook),
    ("DELETE", _O, delete_notebook),
    ("POST", f"{_O}/start", start_notebook),
    ("POST", f"{_O}/stop", stop_notebook),
    ("GET", f"{_O}/recentlogs", get_recent_logs),
]
