"""Digests of content, computed while its next block is read, received or sent."""

import functools
from typing import TYPE_CHECKING, TypeAlias

from .._closing import Closing
from ._aside import Aside

if TYPE_CHECKING:
    import hashlib

_WORTH_A_THREAD_BYTES = 256 * 1024  # hashing less takes hardly longer than handing it over

_Block: TypeAlias = bytes | memoryview


class Hasher(Closing):
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
        self._aside = Aside[None]("moorage-hash")
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
        else:
            self._aside.begin(functools.partial(self._add, block))

    def settle(self) -> None:
        """Wait until the last block may be changed.

        Raises:
            Exception: It could not be hashed.
        """
        if self._aside.busy:
            self._aside.end()

    def digests(self) -> dict[str, str]:
        """Return the digests of all blocks so far, in hexadecimal, by algorithm."""
        self.settle()
        return {name: hash_.hexdigest() for name, hash_ in self._hashes.items()}

    def close(self) -> None:
        """End the thread; a second time does nothing."""
        self._aside.close()

    def _add(self, block: _Block) -> None:
        for hash_ in self._hashes.values():
            hash_.update(block)
