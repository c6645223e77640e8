"""What is closed at the end of a `with` statement."""

import abc
from types import TracebackType
from typing import Self


class Closing(abc.ABC):
    """Base of what holds connections, files or threads until it is closed."""

    __slots__ = ()

    @abc.abstractmethod
    def close(self) -> None:
        """Release what is held; a second time does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
