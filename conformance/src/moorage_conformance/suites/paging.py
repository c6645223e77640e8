"""Listings are complete, however many pages they take and whatever these hold."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from moorage.errors import DecodeError, Origin, Retry, UnavailableError
from moorage.plugin import Page

from .._connection import Recorder
from .._metadata import requires
from .._subject import MANY, Subject
from ._base import ANY_FILE, LISTING_NOUNS, Suite, UnsupportedHereError, data_file, put_secret

if TYPE_CHECKING:
    from moorage import Artifact, Cloud

Pages = Sequence[tuple[Sequence[int], str | None]]
"""What each page holds, by number, and the token of the next one."""


class Pager:
    """Replaces a driver's listing by pages of its own items, as a script has them.

    Args:
        recorder: Whose calls.
        call: The listing, `"secrets.list"` for example.
        keep: Which of the items count.
        pages: The script; a token is the number of the page that it leads to.

    Attributes:
        asked: The tokens that were asked with.
        lost: Tokens whose page is lost when it is asked for the next time.
    """

    def __init__(
        self, recorder: Recorder, call: str, keep: Callable[[Any], bool], pages: Pages
    ) -> None:
        self._keep = keep
        self._pages = pages
        self._items: list[Any] = []
        self.asked: list[str | None] = []
        self.lost: set[str] = set()
        recorder.replace(call, self._list)

    def _list(self, real: Callable[..., Page[Any]], **options: Any) -> Page[Any]:
        token = options["page_token"]
        if not self._items:
            following: str | None = None
            while True:
                page = real(**{**options, "page_token": following})
                self._items += filter(self._keep, page.items)
                following = page.next_token
                if not following:
                    break
        self.asked.append(token)
        if token in self.lost:
            self.lost.discard(token)
            raise UnavailableError(
                "the page was lost on purpose", retry=Retry.SAFE, origin=Origin.NETWORK
            )
        numbers, after = self._pages[int(token or "0")]
        return Page(items=tuple(self._items[n] for n in numbers), next_token=after)


class PagingSuite(Suite):
    """Every page, once."""

    resource = "paging"
    creates = ("artifact", "secret")

    @requires("secrets.put", "secrets.list")
    def test_many_secrets(self, subject: Subject, cloud: "Cloud") -> None:
        """A listing of more than a hundred things holds each of them once, in order."""
        names = [put_secret(subject, KEY="some-value") for _ in range(MANY)]
        listed = [secret.name for secret in cloud.secrets.list() if secret.name in set(names)]

        assert listed == sorted(names)

    @requires("artifacts.push", "artifacts.list", ANY_FILE)
    def test_many_versions(self, subject: Subject, cloud: "Cloud") -> None:
        """A listing of more than a hundred versions holds each of them once, newest first."""
        name, versions = subject.versions

        assert [artifact.version for artifact in cloud.artifacts.list(name)] == versions[::-1]

    @requires("artifacts.push", "artifacts.list", ANY_FILE)
    def test_all_artifacts(self, subject: Subject, cloud: "Cloud") -> None:
        """A listing of everything holds more than a hundred versions among the rest, each once."""
        name, versions = subject.versions
        listed = [a.version for a in cloud.artifacts.list() if a.name == name]

        assert len(listed) == len(versions)
        assert set(listed) == set(versions)

    @requires("artifacts.push", "artifacts.list", ANY_FILE)
    def test_moved_between_pages(
        self, subject: Subject, cloud: "Cloud", new_data: "Callable[..., Artifact]"
    ) -> None:
        """What moves to the next page while the listing is read is listed once."""
        name, versions = subject.versions
        pages = cloud.artifacts.list(name).pages()
        seen = [artifact.version for artifact in next(pages)]
        before = list(versions)
        versions.append(new_data(b"one more", name=name).version)
        seen += [artifact.version for page in pages for artifact in page]

        assert len(set(seen)) == len(seen)
        assert set(seen) >= set(before)

    @pytest.mark.parametrize("noun", LISTING_NOUNS)
    def test_lazy(self, subject: Subject, noun: str) -> None:
        """A listing asks for nothing before its first item is wanted."""
        if not subject.supports(f"{noun}.list"):
            reason = subject.cloud.capabilities[f"{noun}.list"].reason
            raise UnsupportedHereError(f"{noun}.list: {reason}")
        recorder, mark = Recorder(), subject.wire.mark()
        with subject.connect(recorder=recorder) as cloud:
            listing = getattr(cloud, noun).list()
            before = [*recorder.calls, *mark.passages]
            listing.first()

        assert before == []
        assert set(recorder.calls) == {f"{noun}.list"}

    # Pages that a cloud may send ------------------------------------------------------------------

    def _paged(
        self, subject: Subject, pages: Pages
    ) -> tuple[Recorder, Pager, Callable[["Cloud"], Any], list[str]]:
        """Return a recorder that pages five items by a script, the listing and their ids."""
        recorder = Recorder()
        if subject.supports("secrets.put", "secrets.list"):
            names = {put_secret(subject, KEY="some-value") for _ in range(5)}
            ids = [s.id for s in subject.cloud.secrets.list() if s.name in names]
            pager = Pager(recorder, "secrets.list", lambda secret: secret.name in names, pages)
            return recorder, pager, lambda cloud: cloud.secrets.list(), ids
        file_kind = any(map(subject.supports, ANY_FILE.split("|")))
        if subject.supports("artifacts.push", "artifacts.list") and file_kind:
            name = subject.run.name("artifact")
            for number in range(5):
                path = data_file(subject, str(number).encode())
                subject.cloud.artifacts.push(path, name=name, kind=subject.kind)
            ids = [artifact.id for artifact in subject.cloud.artifacts.list(name)]
            pager = Pager(recorder, "artifacts.list", lambda _: True, pages)
            return recorder, pager, lambda cloud: cloud.artifacts.list(name), ids
        raise UnsupportedHereError("the provider keeps and lists nothing")

    def test_empty_pages(self, subject: Subject) -> None:
        """Pages that are empty end nothing: what follows them is listed."""
        pages: Pages = [([], "1"), ([0, 1], "2"), ([], "3"), ([], "4"), ([2, 3, 4], "5"), ([], "")]
        recorder, pager, listing, ids = self._paged(subject, pages)
        with subject.connect(recorder=recorder) as cloud:
            found = [item.id for item in listing(cloud)]
            by_page = [len(page) for page in listing(cloud).pages()]

        assert found == ids
        assert by_page == [0, 2, 0, 0, 3, 0]
        assert pager.asked == [None, "1", "2", "3", "4", "5"] * 2

    @pytest.mark.parametrize("last", [None, ""])
    def test_token_ends(self, subject: Subject, last: str | None) -> None:
        """No page token and an empty one both mean the end."""
        recorder, pager, listing, ids = self._paged(subject, [([0, 1, 2, 3, 4], last)])
        with subject.connect(recorder=recorder) as cloud:
            found = [item.id for item in listing(cloud)]

        assert found == ids
        assert pager.asked == [None]

    @pytest.mark.parametrize(
        "pages",
        [
            [([0], "1"), ([1], "2"), ([2], "1")],
            [([0], "1"), ([1], "1")],
            [([], "1"), ([], "2"), ([], "1")],
        ],
        ids=["cycle", "the same again", "cycle of empty pages"],
    )
    def test_circle(self, subject: Subject, pages: Pages) -> None:
        """Page tokens that go round in a circle raise `DecodeError` instead of listing for ever."""
        recorder, pager, listing, ids = self._paged(subject, pages)
        found: list[str] = []
        with subject.connect(recorder=recorder) as cloud, pytest.raises(DecodeError):
            found.extend(item.id for item in listing(cloud))

        assert found == ids[: len(found)]
        assert len(pager.asked) <= len(pages) + 1

    def test_moved_to_next_page(self, subject: Subject) -> None:
        """An item that a cloud gives on two pages, since it moved meanwhile, is listed once."""
        pages: Pages = [([0, 1, 2], "1"), ([2, 3], "2"), ([3, 4], None)]
        recorder, _, listing, ids = self._paged(subject, pages)
        with subject.connect(recorder=recorder) as cloud:
            found = [item.id for item in listing(cloud)]

        assert found == ids

    def test_page_lost(self, subject: Subject) -> None:
        """A page that cannot be fetched raises its error, and a new iteration is complete."""
        pages: Pages = [([0, 1], "1"), ([2, 3, 4], None)]
        recorder, pager, listing, ids = self._paged(subject, pages)
        pager.lost.add("1")
        before: list[str] = []
        with subject.connect(recorder=recorder) as cloud:
            items = iter(listing(cloud))
            with pytest.raises(UnavailableError):
                before.extend(item.id for item in items)
            again = [item.id for item in listing(cloud)]

        assert before == ids[: len(before)]
        assert again == ids

    def test_first_is_one_page(self, subject: Subject) -> None:
        """`first` fetches one page where that has an item, and all that are needed otherwise."""
        recorder, pager, listing, ids = self._paged(subject, [([0], "1"), ([1], None)])
        with subject.connect(recorder=recorder) as cloud:
            first = listing(cloud).first()
        once = list(pager.asked)
        recorder, pager, listing, _ = self._paged(subject, [([], "1"), ([0], None)])
        with subject.connect(recorder=recorder) as cloud:
            later = listing(cloud).first()

        assert first.id == ids[0]
        assert once == [None]
        assert later is not None
        assert pager.asked == [None, "1"]
