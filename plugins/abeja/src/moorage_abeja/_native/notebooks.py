"""Notebooks of training definitions."""

from moorage.errors import InvalidRequestError

from .._wire import Message, RecentLogEvents
from .._wire_training import Notebook, Notebooks
from .models import DEFINITION
from .noun import Noun, check_given, given, recent_query

_NOTEBOOKS = f"{DEFINITION}/notebooks"
_NOTEBOOK = f"{_NOTEBOOKS}/{{notebook_id}}"

_INSTANCE_TYPES = ("cpu-1", "cpu-2", "cpu-4", "cpu-8", "cpu-16", "gpu-1")
_TYPES = ("notebook", "lab")


class NotebooksApi(Noun):
    """The notebooks of an organization's training definitions; any image will do."""

    def create_notebook(
        self,
        job_definition_name: str,
        *,
        instance_type: str | None = None,
        image: str | None = None,
        notebook_type: str | None = None,
        organization_id: str | None = None,
    ) -> Notebook:
        """Create a notebook.

        Args:
            job_definition_name: Whose.
            instance_type: The machine: `"cpu-1"`, with 2, 4, 8 and 16 as well, or `"gpu-1"`.
            image: What it runs in, a custom image too.
            notebook_type: `"notebook"` or `"lab"`.
            organization_id: By default the client's.

        Raises:
            InvalidRequestError: The machine, the image or the kind is none; nothing was sent.
        """
        body = _body(instance_type, image, notebook_type)
        ids = {"job_definition_name": job_definition_name}
        return self._call("POST", _NOTEBOOKS, Notebook, organization_id, ids, json=body)

    def get_notebooks(
        self, job_definition_name: str, *, organization_id: str | None = None
    ) -> Notebooks:
        """Return the notebooks of a definition."""
        ids = {"job_definition_name": job_definition_name}
        return self._call("GET", _NOTEBOOKS, Notebooks, organization_id, ids)

    def get_notebook(
        self, job_definition_name: str, notebook_id: str, *, organization_id: str | None = None
    ) -> Notebook:
        """Return one notebook."""
        ids = {"job_definition_name": job_definition_name, "notebook_id": notebook_id}
        return self._call("GET", _NOTEBOOK, Notebook, organization_id, ids)

    def update_notebook(
        self,
        job_definition_name: str,
        notebook_id: str,
        *,
        instance_type: str | None = None,
        image: str | None = None,
        notebook_type: str | None = None,
        organization_id: str | None = None,
    ) -> Notebook:
        """Change a notebook; the arguments are those of `create_notebook`."""
        body = _body(instance_type, image, notebook_type)
        ids = {"job_definition_name": job_definition_name, "notebook_id": notebook_id}
        return self._call("PUT", _NOTEBOOK, Notebook, organization_id, ids, json=body)

    def delete_notebook(
        self, job_definition_name: str, notebook_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Delete a notebook."""
        ids = {"job_definition_name": job_definition_name, "notebook_id": notebook_id}
        return self._call("DELETE", _NOTEBOOK, Message, organization_id, ids)

    def start_notebook(
        self,
        job_definition_name: str,
        notebook_id: str,
        *,
        notebook_type: str | None = None,
        organization_id: str | None = None,
    ) -> Notebook:
        """Start a notebook."""
        body = _body(None, None, notebook_type)
        ids = {"job_definition_name": job_definition_name, "notebook_id": notebook_id}
        return self._call("POST", f"{_NOTEBOOK}/start", Notebook, organization_id, ids, json=body)

    def stop_notebook(
        self, job_definition_name: str, notebook_id: str, *, organization_id: str | None = None
    ) -> Notebook:
        """Stop a notebook."""
        ids = {"job_definition_name": job_definition_name, "notebook_id": notebook_id}
        return self._call("POST", f"{_NOTEBOOK}/stop", Notebook, organization_id, ids, json={})

    def get_notebook_recent_logs(
        self,
        job_definition_name: str,
        notebook_id: str,
        *,
        next_forward_token: str | None = None,
        next_backward_token: str | None = None,
        organization_id: str | None = None,
    ) -> RecentLogEvents:
        """Return a page of a notebook's log, newest first."""
        ids = {"job_definition_name": job_definition_name, "notebook_id": notebook_id}
        query = recent_query(next_forward_token, next_backward_token, None, None)
        path = f"{_NOTEBOOK}/recentlogs"
        return self._call("GET", path, RecentLogEvents, organization_id, ids, query=query)


def _body(
    instance_type: str | None, image: str | None, notebook_type: str | None
) -> dict[str, object]:
    """Return what is given, where notebooks can be that.

    Images are the one list that is not kept here: it goes stale, and custom images are none of it.
    """
    _check("instance_type", instance_type, _INSTANCE_TYPES)
    _check("notebook_type", notebook_type, _TYPES)
    if image is not None:
        check_given(image=image)
    return given(instance_type=instance_type, image=image, notebook_type=notebook_type)


def _check(name: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise InvalidRequestError(
            f"a notebook's {name} cannot be {value!r}",
            hint=f"use {', '.join(known)}",
            fields={name: f"one of {', '.join(known)}"},
        )
