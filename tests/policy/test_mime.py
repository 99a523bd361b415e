"""What policy changes of a mail that came as MIME, its headers say; and nothing but its headers."""

from dataclasses import replace
from email import message_from_bytes
from email.policy import default

from shared.letters.mime_send import as_sent
from shared.policy.patterns import Patterns
from shared.policy.redirect import ORIGINAL_RECIPIENTS
from tests.letters.test_mime_send import BODY, BOX, MAIL, letter
from tests.policy.test_before_send import CATCHER, NOBODY, LastSettings, goes

OPEN = LastSettings(allowed_senders=Patterns.parse("*@contoso.example"))
REDIRECT = replace(OPEN, mode="redirect", redirect_to=CATCHER)


def test_a_redirected_mail_names_nobody_else_in_any_header_that_is_sent_to() -> None:
    """Nor in one that is answered to; whom it was meant for stands in a header that no program sends to."""
    sent = as_sent(goes(letter(), REDIRECT).letter, BOX)
    mail = message_from_bytes(sent, policy=default)
    assert mail["To"] == CATCHER
    assert not {"cc", "bcc", "reply-to", "disposition-notification-to"} & {name.lower() for name, _ in mail.items()}
    meant = mail[ORIGINAL_RECIPIENTS]
    assert all(word in meant for word in ("to=fannyd@", "to=danas@", "cc=carl@", "bcc=hidden@"))
    others = [str(value) for name, value in mail.items() if name.lower() != ORIGINAL_RECIPIENTS]
    assert not [value for value in others if "fannyd@" in value or "hidden@" in value]


def test_an_unsubscription_from_a_redirected_mail_reaches_nobody() -> None:
    given = letter(MAIL.replace(b"X-Odd:", b"List-Unsubscribe: <mailto:off@contoso.example>\r\nX-Odd:"))
    mail = message_from_bytes(as_sent(goes(given, REDIRECT).letter, BOX), policy=default)
    assert mail["List-Unsubscribe"] is None
    assert mail["X-Odd"]


def test_a_redirected_mail_says_so_in_its_subject_and_keeps_its_body() -> None:
    sent = as_sent(goes(letter(), REDIRECT).letter, BOX)
    assert message_from_bytes(sent, policy=default)["Subject"] == "[Redirected] Grüße"
    assert sent.partition(b"\r\n\r\n")[2] == BODY.removeprefix(b"\r\n")


def test_suppressed_recipients_are_taken_out_of_the_headers() -> None:
    given = goes(letter(), OPEN, frozenset({"danas@contoso.example", "hidden@contoso.example"}))
    assert given.left_out == 2
    mail = message_from_bytes(as_sent(given.letter, BOX), policy=default)
    assert [address.addr_spec for address in mail["To"].addresses] == ["fannyd@contoso.example"]
    assert mail["Bcc"] is None
    assert mail["Cc"] == "carl@contoso.example"


def test_a_mail_that_nothing_is_changed_of_goes_with_its_own_headers() -> None:
    """But for the stamp and the Message-ID: letters/mime_send.py."""
    assert b"Cc: carl@contoso.example\r\n" in as_sent(goes(letter(), OPEN, NOBODY).letter, BOX)
