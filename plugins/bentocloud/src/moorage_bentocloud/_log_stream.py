"""Following all logs of a deployment at once, as one."""

import queue
import threading
from collections.abc import Callable, Iterator

from moorage.errors import (
    MoorageError,
    NotFoundError,
    OperationCancelledError,
    TimedOutError,
)
from moorage.plugin import LogRecord
from moorage.plugin.transport import WebSocket

from . import _tail
from ._connection import Connection
from ._log_lines import Line, LineReader, Places, to_record
from ._log_sources import Source

_LOOK_S = 3.0
_PAUSE_S = 0.5
_HELD = 200  # batches of lines that nobody has read yet


class _End:
    """Says that the log of a source is over, and why."""

    def __init__(self, source: Source, error: BaseException | None) -> None:
        self.source = source
        self.error = error


class MergedStream:
    """A `moorage.plugin.LogStream` of every replica of a deployment, new ones included.

    A thread for each source reads its socket, and one looks for new sources. They end with the
    stream.

    Args:
        connection: The API's.
        look: Returns the sources that there are; `None` once there will be none any more.
        places: Where the reader is.
        tail_lines: How many lines of a source that the reader knows are asked for again.
        from_now: Whether what the sources that are there have written before is left out.
    """

    def __init__(
        self,
        connection: Connection,
        look: Callable[[], list[Source] | None],
        places: Places,
        *,
        tail_lines: int,
        from_now: bool,
    ) -> None:
        self.finished = False
        self._connection = connection
        self._look = look
        self._places = places
        self._tail_lines = tail_lines
        self._queue: queue.Queue[tuple[Source, list[Line]] | _End | None] = queue.Queue(_HELD)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._sockets: dict[str, WebSocket] = {}
        self._known: set[str] = set()
        self._running = 0
        self._over = False
        self._threads: list[threading.Thread] = []
        first = look() or []
        # Opened before this returns, so that nothing that is written from now on is missed.
        opened = [(source, self._open(source, from_now=from_now)) for source in first]
        for source, socket in opened:
            if socket is not None:
                self._begin(self._read_new if from_now else self._read_all, source, socket)
        self._begin(self._watch)

    def __iter__(self) -> Iterator[LogRecord]:
        """Yield the records, each source's in its order.

        Raises:
            UnavailableError: A connection was lost.
        """
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, _End):
                if item.error is not None and not self._closing.is_set():
                    self.close()
                    raise item.error
                if self._is_over():
                    self.finished = True
                    self.close()
                    return
                continue
            source, lines = item
            for line in lines:
                self._places.add(source.name, line)
                yield to_record(line, source.name, self._places.cursor())

    def close(self) -> None:
        """End it at once; may be called from another thread, and twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        with self._lock:
            sockets = list(self._sockets.values())
        for socket in sockets:
            socket.close()
        while True:  # whoever waits for room ends, and whoever reads too
            try:
                self._queue.put_nowait(None)
                break
            except queue.Full:
                try:
                    self._queue.get_nowait()
                except queue.Empty:
                    continue
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5.0)

    def _begin(self, run: Callable[..., None], *words: object) -> None:
        thread = threading.Thread(target=run, args=words, name="moorage-log", daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _open(self, source: Source, *, from_now: bool) -> WebSocket | None:
        """Open the log of a source; `None` where it has gone already."""
        self._known.add(source.name)
        try:
            socket = _tail.open_tail(
                self._connection,
                cluster=source.cluster,
                namespace=source.namespace,
                pod=source.pod,
                container=source.container,
                tail_lines=0 if from_now else self._tail_lines,
                timestamps=True,
            )
        except NotFoundError:
            return None
        with self._lock:
            self._sockets[source.name] = socket
            self._running += 1
        return socket

    def _read_new(self, source: Source, socket: WebSocket) -> None:
        self._read(source, socket, from_now=True)

    def _read_all(self, source: Source, socket: WebSocket) -> None:
        self._read(source, socket, from_now=False)

    def _read(self, source: Source, socket: WebSocket, *, from_now: bool) -> None:
        """Read one source to its end."""
        error: BaseException | None = None
        reader = LineReader()
        try:
            ended = not from_now and self._read_again(source, socket, reader)
            if not ended:
                for text in socket.messages(bytes):
                    items = _tail.items_of(text)
                    if items is None:
                        ended = True
                        break
                    self._put(source, list(reader.feed(items)))
            if ended:
                self._put(source, list(reader.finish()))
            elif not self._closing.is_set():
                error = _tail.cut_off()
        except (NotFoundError, OperationCancelledError) as exc:
            error = None if isinstance(exc, NotFoundError) else exc  # the pod has gone
        except MoorageError as exc:
            error = exc
        except BaseException as exc:  # noqa: BLE001  # it is raised where the records are read
            error = exc
        finally:
            socket.close()
            with self._lock:
                self._sockets.pop(source.name, None)
                self._running -= 1
            self._hand(_End(source, error))

    def _read_again(self, source: Source, socket: WebSocket, reader: LineReader) -> bool:
        """Read what there was before, of which the rest is new; return whether that is all.

        It may come in several messages, after which there is a pause, or as many lines as were
        asked for.
        """
        seen: list[Line] = []
        ended = False
        while len(seen) < self._tail_lines:
            try:
                items = _tail.items_of(socket.receive(bytes, timeout=_PAUSE_S))
            except TimedOutError:
                break
            if items is None:
                ended = True
                break
            seen += reader.feed(items)
            if seen and seen[-1].at is not None and self._places.find(source.name, seen):
                break  # with its moment, no line is mistaken for another
        self._put(source, self._places.unread(source.name, seen))
        return ended

    def _watch(self) -> None:
        """Look for new sources again and again."""
        clock = self._connection.clock
        while not clock.wait(_LOOK_S, self._closing):
            try:
                found = self._look()
            except NotFoundError:
                found = None
            except MoorageError as exc:
                self._hand(_End(Source("", "", "", ""), exc))
                return
            if found is None:
                with self._lock:
                    self._over = True
                self._hand(_End(Source("", "", "", ""), None))
                return
            for source in found:
                if source.name in self._known or self._closing.is_set():
                    continue
                try:
                    socket = self._open(source, from_now=False)
                except MoorageError as exc:
                    self._hand(_End(source, exc))
                    return
                if socket is not None:
                    self._begin(self._read_all, source, socket)

    def _is_over(self) -> bool:
        with self._lock:
            return self._over and self._running == 0

    def _put(self, source: Source, lines: list[Line]) -> None:
        if lines:
            self._hand((source, lines))

    def _hand(self, item: "tuple[Source, list[Line]] | _End") -> None:
        while not self._closing.is_set():
            try:
                self._queue.put(item, timeout=0.5)
            except queue.Full:
                continue
            return
