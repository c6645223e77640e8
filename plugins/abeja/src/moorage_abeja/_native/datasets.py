"""Data sets: annotated items for training."""

from collections.abc import Iterable, Mapping
from typing import Any

from .._wire_storage import Dataset, DatasetItem, DatasetItems
from .noun import ORGANIZATION, Noun

_DATASETS = f"{ORGANIZATION}/datasets"
_DATASET = f"{_DATASETS}/{{dataset_id}}"
_ITEMS = f"{_DATASET}/items"
_ITEM = f"{_ITEMS}/{{dataset_item_id}}"


class DatasetsApi(Noun):
    """The data sets of an organization."""

    def create_dataset(
        self,
        name: str,
        type: str,  # noqa: A002  # the API's own argument
        props: Mapping[str, Any],
        *,
        organization_id: str | None = None,
    ) -> Dataset:
        """Create a data set."""
        body = {"name": name, "type": type, "props": props}
        return self._call("POST", _DATASETS, Dataset, organization_id, json=body)

    def list_datasets(
        self,
        *,
        max_results: int | None = None,
        next_token: str | None = None,
        organization_id: str | None = None,
    ) -> list[Dataset]:
        """Return a page of data sets.

        Args:
            max_results: At most this many; by default, and for 0, the platform decides.
            next_token: Where to go on. How an answer tells it is not documented.
            organization_id: By default the client's.
        """
        query = {"max_results": max_results or None, "next_token": next_token or None}
        return self._call("GET", _DATASETS, list[Dataset], organization_id, query=query)

    def get_dataset(self, dataset_id: str, *, organization_id: str | None = None) -> Dataset:
        """Return one data set."""
        return self._call("GET", _DATASET, Dataset, organization_id, {"dataset_id": dataset_id})

    def delete_dataset(self, dataset_id: str, *, organization_id: str | None = None) -> Dataset:
        """Delete a data set and return what it was."""
        return self._call("DELETE", _DATASET, Dataset, organization_id, {"dataset_id": dataset_id})

    def create_dataset_item(
        self,
        dataset_id: str,
        source_data: Any,
        attributes: Mapping[str, Any] | None = None,
        *,
        organization_id: str | None = None,
    ) -> DatasetItem:
        """Add an item to a data set."""
        body = {"source_data": source_data, "attributes": attributes}
        ids = {"dataset_id": dataset_id}
        return self._call("POST", _ITEMS, DatasetItem, organization_id, ids, json=body)

    def list_dataset_items(
        self,
        dataset_id: str,
        params: Mapping[str, str | int] | None = None,
        *,
        organization_id: str | None = None,
    ) -> DatasetItems:
        """Return a page of a data set's items."""
        ids = {"dataset_id": dataset_id}
        return self._call("GET", _ITEMS, DatasetItems, organization_id, ids, query=params or {})

    def get_dataset_item(
        self, dataset_id: str, dataset_item_id: int | str, *, organization_id: str | None = None
    ) -> DatasetItem:
        """Return one item."""
        ids = {"dataset_id": dataset_id, "dataset_item_id": dataset_item_id}
        return self._call("GET", _ITEM, DatasetItem, organization_id, ids)

    def update_dataset_item(
        self,
        dataset_id: str,
        dataset_item_id: int | str,
        attributes: Mapping[str, Any] | None = None,
        *,
        organization_id: str | None = None,
    ) -> DatasetItem:
        """Change the annotations of an item."""
        ids = {"dataset_id": dataset_id, "dataset_item_id": dataset_item_id}
        body = {"attributes": attributes}
        return self._call("PUT", _ITEM, DatasetItem, organization_id, ids, json=body)

    def bulk_update_dataset_item(
        self,
        dataset_id: str,
        bulk_attributes: Iterable[Mapping[str, Any]] | None = None,
        *,
        organization_id: str | None = None,
    ) -> list[DatasetItem]:
        """Change the annotations of many items, each named by `dataset_item_id`."""
        body = {} if bulk_attributes is None else {"json": list(bulk_attributes)}
        ids = {"dataset_id": dataset_id}
        return self._call("PUT", _ITEMS, list[DatasetItem], organization_id, ids, **body)

    def delete_dataset_item(
        self, dataset_id: str, dataset_item_id: int | str, *, organization_id: str | None = None
    ) -> DatasetItem:
        """Delete an item and return what it was."""
        ids = {"dataset_id": dataset_id, "dataset_item_id": dataset_item_id}
        return self._call("DELETE", _ITEM, DatasetItem, organization_id, ids)
