"""Whether a letter fits into one request to Graph, as it will be sent: with its stamp and the marks of its thread."""

from shared.errors import Malformed
from shared.letters import limits
from shared.letters.draft import check_sizes
from shared.letters.letter import Letter
from shared.letters.thread import threaded

__all__ = ["check_size"]


def check_size(letter: Letter, *, large: bool) -> None:
    """large: whether it may go by way of a draft where it does not. Raises Malformed, see draft.check_sizes."""
    if letter.mime is None:
        check_sizes(threaded(letter), large=large)
        return
    from shared.letters.mime_send import as_sent  # few mails need the readers of Python's email

    size = (len(as_sent(letter, letter.sender)) + 2) // 3 * 4
    if size > limits.MAX_REQUEST:
        text = (
            f"Found {size} bytes of MIME in base64; Graph takes {limits.MAX_REQUEST} at most. MIME cannot go by a "
            "draft: send larger files as attachments of a JSON message."
        )
        raise Malformed(413, "RequestEntityTooLarge", text, "$")
