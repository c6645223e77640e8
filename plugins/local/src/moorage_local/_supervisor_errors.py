"""How asking the supervisor can fail; for the provider's own modules, users never see these."""


class SupervisorError(Exception):
    """The supervisor cannot be asked now: it is not there, or on its way out."""


class RefusedError(Exception):
    """The supervisor does not do what it was asked.

    Attributes:
        code: supervisord's number for the reason.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
