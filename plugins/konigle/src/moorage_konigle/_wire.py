"""What Konigle's API sends and takes, in its own words.

Fields, defaults and kinds are those that the service documents. Enumerations are open on the way
in: a word that did not exist when this was written is passed on as it is. Fields that we do not
know are passed over.
"""

from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

T = TypeVar("T")

FileData: TypeAlias = str | Path | bytes | BinaryIO | tuple[bytes | BinaryIO, str]
"""A file to upload: its path, its content, its content with a name, or an `https://` address."""


class Null:
    """The kind of `NULL`."""

    def __repr__(self) -> str:
        return "NULL"


NULL: Final = Null()
"""Stands for JSON's null in what is sent, where `None` leaves a field out."""


class Computer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A virtual machine of the project."""

    id: str
    """Decimal digits."""

    name: str
    """Unique within the project."""

    size: str
    """`S` (1 CPU, 2 GB), `M` (2 CPUs, 4 GB) or `L` (4 CPUs, 8 GB)."""

    region: str
    """Where it is, `singapore` for example."""

    status: str
    """`provisioning`, `ready`, `error`, `destroy_scheduled` or `destroying`."""

    created_at: datetime
    """When it was asked for."""

    display_name: str = ""
    """For people."""

    emoji: str = ""
    """For people."""

    public_ip: str | None = None
    """`None` until it is provisioned."""


class ComputerCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A computer to be made."""

    display_name: str
    """For people."""

    size: Literal["S", "M", "L"]
    """1 CPU and 2 GB, 2 CPUs and 4 GB, or 4 CPUs and 8 GB."""

    region: str
    """Where it shall be; the service has no list."""

    name: str | None = None
    """Unique within the project; the service makes one up where there is none."""

    emoji: str = ""
    """For people."""


class WebApp(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An app of a computer, with a space for trying it and one for production."""

    id: str
    """Decimal digits."""

    name: str
    """Unique among all web apps of everybody; the beginning of its domains."""

    runtime: str
    """`python3` or `nodejs`."""

    created_at: datetime
    """When it was asked for."""

    display_name: str = ""
    """For people."""

    emoji: str = ""
    """For people."""

    computer: str | None = None
    """Id of the computer; missing where the web app was just made."""


class WebAppCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A web app to be made."""

    computer_id: str
    """The computer that it shall be on."""

    name: str
    """Unique among all web apps of everybody; the beginning of its domains."""

    runtime: Literal["python3", "nodejs"]
    """What its processes are written for."""

    web_server: str
    """`nginx` for example."""

    display_name: str | None = None
    """For people."""

    database: str | None = None
    """`postgres` for example; cannot be added later."""

    cache: str | None = None
    """`redis` for example; cannot be added later."""

    emoji: str = ""
    """For people."""


class Space(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where one stage of a web app runs."""

    id: str
    """Decimal digits."""

    space_type: str
    """`uat` or `production`."""

    status: str
    """`provisioning`, `running`, `stopped` or `error`."""

    created_at: datetime
    """When it was made."""

    webapp: str | None = None
    """Id of the web app; in lists, and perhaps not elsewhere."""

    platform_domain: str = ""
    """The host that it is called at."""

    custom_domain: str = ""
    """A host of the user's own."""

    custom_domain_status: str = "unmapped"
    """`pending`, `active`, `failed` or `unmapped`."""

    last_deployed_at: datetime | None = None
    """When something was last deployed to it."""

    last_deployment_status: str | None = None
    """How that went."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer to a deploy or a promotion; the service shows it this once."""

    id: str
    """A UUID, which also names the release's directory on the server."""

    display_name: str
    """As given, or the service's own."""

    space_id: str
    """The space."""

    job_id: str
    """The job that does it."""

    created_at: datetime
    """When it began."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the service does for a while."""

    id: str
    """A UUID."""

    status: str
    """`pending`, `running`, `success` or `failed`."""

    task_name: str
    """What it does, `provision_computer` for example."""

    created_at: datetime
    """When it was asked for."""

    log: list[Any] = []
    """What it has written so far; usually objects with `level` and `message`."""

    completed_at: datetime | None = None
    """When it ended."""

    @property
    def is_terminal(self) -> bool:
        """Whether it never changes again."""
        return self.status in _TERMINAL

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.status == "success"


_TERMINAL = frozenset({"success", "failed"})


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A private file of the project."""

    id: str
    """The service's own."""

    url: str | None
    """Where its content is; `None` until it is there."""

    mime_type: str
    """What it is."""

    created_at: datetime
    """When it was made."""

    name: str = ""
    """For people."""

    size: int = 0
    """In bytes."""

    meta: dict[str, Any] = {}
    """What was attached to it."""

    description: str = ""
    """For people."""

    storage_path: str = ""
    """Where the service keeps it."""

    etag: str = ""
    """The service's own checksum."""

    status: str = "completed"
    """`pending`, `uploading`, `completed` or `failed`."""

    upload_started_at: str | None = None
    """When the transfer was marked as started."""

    upload_ended_at: str | None = None
    """When it was marked as ended."""

    tags: list[str] = []
    """Words to find it by."""


class UploadCreate(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be uploaded."""

    file: FileData
    """Its path, its content as bytes or an open binary file, `(content, filename)`, or an
    `https://` address that it is fetched from."""

    name: str = ""
    """For people; the service takes the file's where it is empty."""

    tags: str = ""
    """Divided by commas."""

    meta: dict[str, Any] | None = None
    """To be attached to it."""

    description: str | None = None
    """For people."""


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list."""

    payload: list[T]
    """The items, in the service's order."""

    count: int
    """How many items all pages have."""

    next: str | None
    """Set where there is another page."""

    previous: str | None
    """Set where there is a page before."""

    num_pages: int
    """How many pages there are."""

    page_size: int
    """How many items were asked for."""

    current_page: int
    """Which page was asked for; the first one is 1."""


class Envelope(msgspec.Struct, Generic[T], frozen=True):
    """How a page travels. The service documents `payload` and also uses `results`."""

    count: int | None = None
    next: str | None = None
    previous: str | None = None
    num_pages: int | None = None
    payload: list[T] | UnsetType | None = UNSET
    results: list[T] | None = None


class MadeComputer(msgspec.Struct, frozen=True):
    """The answer to the creation of a computer."""

    computer: Computer
    job_id: str | int


class MadeWebApp(msgspec.Struct, frozen=True):
    """The answer to the creation of a web app."""

    webapp: WebApp
    job_id: str | int


class Availability(msgspec.Struct, frozen=True):
    """Whether a web app's name can be had; silence means that it cannot."""

    available: bool = False


def to_page(envelope: Envelope[T] | list[T], page: int, page_size: int) -> Page[T]:
    """Return a page; a bare array is one that has no other."""
    if isinstance(envelope, list):
        envelope = Envelope(payload=envelope)
    items = envelope.payload if isinstance(envelope.payload, list) else envelope.results or []
    return Page(
        payload=items,
        count=len(items) if envelope.count is None else envelope.count,
        next=envelope.next,
        previous=envelope.previous,
        num_pages=1 if envelope.num_pages is None else envelope.num_pages,
        page_size=page_size,
        current_page=page,
    )
