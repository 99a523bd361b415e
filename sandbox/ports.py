"""Ports on 127.0.0.1: is one free, and which could be taken."""

import errno
import os
import secrets
import socket
from collections.abc import Collection

# Below the ranges that systems hand out for port 0 and for outgoing connections (Linux 32768, macOS and Windows 49152):
# so nobody is given the port between the moment it is picked here and the moment the part binds it.
_FROM, _TO = 20000, 32000


def why_not(port: int) -> str | None:
    """Say why nothing can listen on `port`, or None when something can."""
    with socket.socket() as trial:
        # As servers do: connections of an earlier run that are still closing are no hindrance.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "in use by another program"
            return f"not available ({os.strerror(error.errno or 0)})"
    return None


def free(besides: Collection[int] = ()) -> int:
    """Pick a free port that is not in `besides`, for a part that cannot tell which one it got for 0."""
    while True:
        port = _FROM + secrets.randbelow(_TO - _FROM)
        if port not in besides and why_not(port) is None:
            return port
