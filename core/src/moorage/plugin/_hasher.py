"""Digests of content, computed while its next block is read, received or sent."""

import threading
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

if TYPE_CHECKING:
    import hashlib

_WORTH_A_THREAD_BYTES = 256 * 1024  # hashing less takes hardly longer than handing it over

_Block: TypeAlias = bytes | memoryview


class Hasher:
    """Computes digests of content given in blocks, of large ones in a thread of its own.

    A block must stay as it is until `settle` or the next `update` returns, so that two buffers
    are enough to have one filled while the other is hashed. Close it, best by a `with` statement:
    that ends the thread.

    Args:
        algorithms: Names that `hashlib` knows, such as `sha256` and `md5`; none computes nothing.

    Raises:
        ValueError: One of them cannot be computed here.
    """

    def __init__(self, *algorithms: str) -> None:
        self._algorithms = algorithms
        self._hashes: dict[str, hashlib._Hash] = {}
        self._thread: threading.Thread | None = None
        self._given: SimpleQueue[_Block | None] = SimpleQueue()
        self._taken: SimpleQueue[Exception | None] = SimpleQueue()
        self._busy = False
        self.restart()

    def restart(self) -> None:
        """Forget every block."""
        self.settle()
        if self._algorithms:
            import hashlib

            self._hashes = {
                name: hashlib.new(name, usedforsecurity=False)  # of content, and for no secret
                for name in self._algorithms
            }

    def update(self, block: _Block) -> None:
        """Add a block to the digests."""
        self.settle()
        if len(block) < _WORTH_A_THREAD_BYTES or not self._hashes:
            self._add(block)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="moorage-hash", daemon=True)
            self._thread.start()
        self._busy = True
        self._given.put(block)

    def settle(self) -> None:
        """Wait until the last block may be changed.

        Raises:
            Exception: It could not be hashed.
        """
        if self._busy:
            error = self._taken.get()
            self._busy = False
            if error is not None:
                raise error

    def digests(self) -> dict[str, str]:
        """Return the digests of all blocks so far, in hexadecimal, by algorithm."""
        self.settle()
        return {name: hash_.hexdigest() for name, hash_ in self._hashes.items()}

    def close(self) -> None:
        """End the thread; a second time does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._given.put(None)
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while (block := self._given.get()) is not None:
            error: Exception | None = None
            try:
                self._add(block)
            except Exception as exc:  # noqa: BLE001  # whoever gave the block gets it
                error = exc
            del block  # the caller's, whose buffer may be resized then
            self._taken.put(error)

    def _add(self, block: _Block) -> None:
        for hash_ in self._hashes.values():
            hash_.update(block)
