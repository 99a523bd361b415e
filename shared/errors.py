"""Refusals: what Mailroom answers instead of sending a mail; nothing is stored. Each text stands where it is raised.

    Refused                 answered with Graph's error JSON
    ├── Malformed           4xx: the mail is not one that Graph takes; names the JSON path
    ├── Unauthenticated     401: the caller did not prove who it is
    └── NotAllowed          403: the caller may not send this mail

Wrong settings are values, not exceptions: see settings.environ.Problem.
"""


class Refused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """A request that is answered with Graph's error JSON.

    status: HTTP status, 400 to 499. code: one of Graph's error codes. message: for a person, without personal data
    that the caller did not send. path: JSON path of the first fault, `$.message.toRecipients[0]`, or its place in a
    MIME mail, `To, address 1`, if any.
    """

    def __init__(self, status: int, code: str, message: str, path: str | None = None) -> None:
        super().__init__(f"{message} - at `{path}`" if path else message)
        self.status = status
        self.message = message
        self.code = code
        self.path = path


class Malformed(Refused):
    """The mail is not one that Graph takes. 400, or 413 when it is too large."""


class Unauthenticated(Refused):
    """The caller did not prove who it is. 401."""

    def __init__(self, message: str, code: str = "InvalidAuthenticationToken") -> None:
        super().__init__(401, code, message)


class NotAllowed(Refused):
    """The caller is known and may not do this. 403."""

    def __init__(self, message: str, code: str = "ErrorAccessDenied", path: str | None = None) -> None:
        super().__init__(403, code, message, path)
