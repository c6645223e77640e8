"""Data sets and their items."""

from datetime import UTC
from typing import Any

import msgspec

from .._incoming import Malformed
from .call import Call, Route, text_of
from .errors import bad_request, not_found
from .state import ORGANIZATION_ID, Dataset, Wire, World, found

_S = "/organizations/{organization}/datasets"
_I = f"{_S}/{{dataset}}/items"


def _stamp(world: World) -> str:
    """Return the moment as data sets have it: in microseconds, without a zone."""
    return world.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _of(call: Call) -> Dataset:
    return found(call.world.datasets, "dataset", call["dataset"])


def _item(dataset: Dataset, key: object) -> Wire:
    for item in dataset.items.values():
        if str(item["dataset_item_id"]) == str(key):
            return item
    raise not_found("dataset item", str(key))


# Data sets ----------------------------------------------------------------------------------------


async def create_dataset(call: Call) -> Wire:
    """Make a data set."""
    body, world = await call.body(), call.world
    made = _stamp(world)
    props = body.get("props")
    if not isinstance(props, dict):
        raise bad_request("props must be an object", field="props")
    dataset = Dataset(
        {
            "dataset_id": world.number(),
            "organization_id": ORGANIZATION_ID,
            "name": text_of(body, "name"),
            "type": text_of(body, "type"),
            "props": props,
            "created_at": made,
            "updated_at": made,
        }
    )
    world.datasets[dataset.id] = dataset
    return dataset.seen()


async def list_datasets(call: Call) -> list[Wire]:
    """List them as a bare array.

    How an answer tells the token of the next page is not documented; here it is the id of the
    last data set of a page.
    """
    datasets = list(call.world.datasets.values())
    token = call.text("next_token")
    if token is not None:
        ids = [dataset.id for dataset in datasets]
        if token not in ids:
            raise bad_request(f"{token} is not a token of this list")
        datasets = datasets[ids.index(token) + 1 :]
    size = call.number("max_results", 100, least=1)
    return [dataset.seen() for dataset in datasets[:size]]


async def get_dataset(call: Call) -> Wire:
    """Show one."""
    return _of(call).seen()


async def delete_dataset(call: Call) -> Wire:
    """Delete one with its items and return it."""
    dataset = _of(call)
    del call.world.datasets[dataset.id]
    return dataset.seen()


# Items --------------------------------------------------------------------------------------------


async def create_item(call: Call) -> Wire:
    """Add an item; its source is a list of where its data are."""
    dataset, body = _of(call), await call.body()
    source = body.get("source_data")
    if not isinstance(source, list) or not source:
        raise bad_request("source_data must be a list", field="source_data")
    made = _stamp(call.world)
    dataset.last_item += 1
    item: Wire = {
        "dataset_item_id": dataset.last_item,
        "dataset_id": dataset.id,
        "organization_id": ORGANIZATION_ID,
        "source_data": source,
        "attributes": _attributes(body),
        "created_at": made,
        "updated_at": made,
    }
    dataset.items[dataset.last_item] = item
    return item


def _attributes(body: dict[str, Any]) -> dict[str, Any]:
    attributes = body.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise bad_request("attributes must be an object", field="attributes")
    return attributes


async def list_items(call: Call) -> Wire:
    """List items by pages; a token is the id of the last item of a page."""
    dataset = _of(call)
    items = list(dataset.items.values())
    token = call.text("next_page_token")
    if token is not None:
        if not token.isdecimal():
            raise bad_request(f"{token} is not a token of this list")
        items = [item for item in items if item["dataset_item_id"] > int(token)]
    size = call.number("limit", 50, least=1)
    page = items[:size]
    more = len(items) > size
    return {
        "items": page,
        "next_page_token": str(page[-1]["dataset_item_id"]) if more else None,
        "total_count": len(dataset.items),
    }


async def get_item(call: Call) -> Wire:
    """Show one."""
    return _item(_of(call), call["item"])


def _annotate(call: Call, item: Wire, body: dict[str, Any]) -> Wire:
    item.update(attributes=_attributes(body), updated_at=_stamp(call.world))
    return item


async def update_item(call: Call) -> Wire:
    """Change the annotations of one."""
    body = await call.body()
    return _annotate(call, _item(_of(call), call["item"]), body)


async def update_items(call: Call) -> list[Wire]:
    """Change the annotations of many, all of them or none."""
    dataset = _of(call)
    content = await call.request.read() or b"[]"  # the library can send nothing at all
    try:
        changes = msgspec.json.decode(content, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        msg = f"this is not a JSON array of objects: {error}"
        raise Malformed(msg) from error
    items = [_item(dataset, change.get("dataset_item_id")) for change in changes]
    for change in changes:
        _attributes(change)
    return [_annotate(call, item, change) for item, change in zip(items, changes, strict=True)]


async def delete_item(call: Call) -> Wire:
    """Delete one and return it."""
    dataset = _of(call)
    item = _item(dataset, call["item"])
    del dataset.items[item["dataset_item_id"]]
    return item


ROUTES: list[Route] = [
    ("POST", _S, create_dataset),
    ("GET", _S, list_datasets),
    ("GET", f"{_S}/{{dataset}}", get_dataset),
    ("DELETE", f"{_S}/{{dataset}}", delete_dataset),
    ("POST", _I, create_item),
    ("GET", _I, list_items),
    ("PUT", _I, update_items),
    ("GET", f"{_I}/{{item}}", get_item),
    ("PUT", f"{_I}/{{item}}", update_item),
    ("DELETE", f"{_I}/{{item}}", delete_item),
]
