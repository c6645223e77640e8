"""What all records of this cloud have in common, and the organization they belong to."""

import functools
import itertools
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from moorage.plugin import Clock

from .errors import ApiError

JsonObject = dict[str, Any]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When the organization was made."""

_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_1123 = re.compile(
    r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)
_TAG = re.compile(r"[a-z0-9]([-._a-z0-9]{0,61}[a-z0-9])?")
_SENT_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")


def moment(at: datetime | None) -> str | None:
    """Return a moment as the cloud writes it."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def sent_moment(text: str, field: str) -> datetime:
    """Return the moment that a client sent; it stands there without an offset and is in UTC.

    Raises:
        ApiError: It has another form.
    """
    if not _SENT_MOMENT.fullmatch(text):
        msg = f"{field}: {text!r} does not have the form 'YYYY-MM-DD HH:MM:SS.ffffff'"
        raise ApiError(msg)
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def check_label(name: str, what: str) -> None:
    """Refuse what cannot be the name of a deployment or a token: it must begin with a letter."""
    _check(_DNS_1035, name, what, "a DNS-1035 label")


def check_key(name: str, what: str) -> None:
    """Refuse what cannot be the name of a secret."""
    _check(_DNS_1123, name, what, "a DNS-1123 subdomain")


def check_tag(name: str, what: str) -> None:
    """Refuse what cannot be the name or version of a bento or a model."""
    _check(_TAG, name, what, "lower-case letters, digits, and '-', '_' or '.' between them")


def _check(pattern: re.Pattern[str], name: str, what: str, form: str) -> None:
    if not pattern.fullmatch(name):
        msg = f"{what}: {name!r} must consist of 1 to 63 characters: {form}"
        raise ApiError(msg)


class Counter:
    """Gives out ids, the later the greater."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def next(self) -> int:
        """Return the next number."""
        return next(self._numbers)


class Resource:
    """A record with what all records have."""

    type: str

    def __init__(
        self,
        counter: Counter,
        clock: Clock,
        name: str,
        labels: Iterable[Mapping[str, str]] | None = None,
    ) -> None:
        self._clock = clock
        self.serial = counter.next()
        self.uid = f"{self.type}-{self.serial:08d}"
        self.name = name
        self.labels = [dict(label) for label in labels or ()]
        self.created_at = clock.now()
        self.updated_at = self.created_at

    def touch(self) -> None:
        """Remember that it was changed now."""
        self.updated_at = self._clock.now()

    def head(self) -> JsonObject:
        """Return the fields that all records have."""
        return {
            "uid": self.uid,
            "created_at": moment(self.created_at),
            "updated_at": moment(self.updated_at),
            "deleted_at": None,
            "name": self.name,
            "resource_type": self.type,
            "labels": self.labels,
        }

    def label(self, key: str) -> str | None:
        """Return the value of a label."""
        return next((each["value"] for each in self.labels if each["key"] == key), None)


def fixed_head(kind: str, name: str) -> JsonObject:
    """Return what all records have, for one that was there from the beginning."""
    return {
        "uid": f"{kind}-{name}",
        "created_at": moment(EPOCH),
        "updated_at": moment(EPOCH),
        "deleted_at": None,
        "name": name,
        "resource_type": kind,
        "labels": [],
    }


USER: JsonObject = {
    **fixed_head("user", "ada"),
    "email": "ada@example.com",
    "first_name": "Ada",
    "last_name": "Lovelace",
}
"""Whom every token of the emulator stands for."""

ORGANIZATION: JsonObject = {**fixed_head("organization", "acme"), "description": "Acme"}
"""The organization of that user."""

NAMESPACE = "acme"
"""Where deployments are, unless they say otherwise."""

CLUSTERS = ("default-cluster", "gpu-cluster")
"""Its clusters, the first of which is meant where none is named."""


@functools.cache
def cluster(name: str) -> JsonObject:
    """Return a cluster as it stands in other records."""
    return {
        **fixed_head("cluster", name),
        "description": "",
        "organization_name": ORGANIZATION["name"],
        "creator": USER,
        "is_first": name == CLUSTERS[0],
    }
