"""The fields of what clients send, each checked as the service checks it."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from .._incoming import Form, FormFile, Malformed, json_object
from .errors import invalid


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object that is sent."""
    return json_object(await request.read())


def file_of(form: Form, field: str) -> FormFile:
    """Return a file of a form.

    Raises:
        RefusalError: It is missing, or has no name.
    """
    file = form.files.get(field)
    if file is None or not file.name:
        raise invalid(**{field: "No file was submitted."})
    return file


def short_text(texts: Mapping[str, str], field: str, longest: int) -> str:
    """Return a text of a form.

    Raises:
        RefusalError: It is longer than the service takes.
    """
    text = texts.get(field, "")
    if len(text) > longest:
        raise invalid(**{field: f"Ensure this field has no more than {longest} characters."})
    return text


def tags_of(texts: Mapping[str, str]) -> list[str]:
    """Return the tags of a form, which commas divide."""
    return [tag.strip() for tag in texts.get("tags", "").split(",") if tag.strip()]


def meta_of(text: str | None) -> dict[str, Any]:
    """Return what is attached; nothing is an empty object.

    Raises:
        RefusalError: It is no JSON object.
    """
    try:
        return json_object(text.encode()) if text is not None else {}
    except Malformed as exc:
        raise invalid(meta="Value must be a JSON object.") from exc
