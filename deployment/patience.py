"""Waiting until a role works.

Azure tells nobody when a role assignment has reached every server: a first deployment asks minutes after its roles were
made, and is answered 403 for up to half an hour (https://github.com/Azure/azure-dev/issues/8026). So 403, and nothing
else, is asked again, with pauses that grow, for longer than that; and each time it is said which role is waited for.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Final

from deployment.errors import DeploymentError

__all__ = ["VARIABLE", "WITHIN", "Refused", "until_allowed", "within"]

VARIABLE: Final = "MAILROOM_ROLES_WITHIN"
WITHIN: Final = 2400.0  # seconds
_FIRST, _LONGEST = 5.0, 60.0  # seconds; both are shorter where all the waiting is


class Refused(DeploymentError):  # noqa: N818 - the answer, and mostly not for long
    """Azure has answered 403. The text says to what, and which role is missing."""


def within() -> float:
    """Seconds to wait for roles, from the environment. Raises DeploymentError."""
    given = os.environ.get(VARIABLE, "").strip()
    try:
        seconds = float(given) if given else WITHIN
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise DeploymentError(f"{VARIABLE}: found {given!r}, expected a number of seconds, such as {WITHIN:.0f}.")
    return seconds


def until_allowed[T](action: Callable[[], T], seconds: float) -> T:
    """Do it until it is not Refused. Raises what else it raises, and DeploymentError when so many seconds are over."""
    deadline = time.monotonic() + seconds
    pause, longest = min(_FIRST, seconds / 50), min(_LONGEST, seconds / 10)
    while True:
        try:
            return action()
        except Refused as refused:
            left = deadline - time.monotonic()
            if left <= 0:
                waited = f"It was asked for {seconds / 60:.0f} minutes. Was the role given?"
                at_once = "A role that was just given takes up to 30 minutes to work; then try again."
                raise DeploymentError(f"{refused} {waited if seconds else at_once}") from None
            print(
                f"{refused} A role that was just given takes up to 30 minutes to work; "
                f"trying again for {left / 60:.0f} minutes more.",
                file=sys.stderr,
                flush=True,
            )
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, longest)
