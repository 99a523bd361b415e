"""MAIL_MODE=redirect: sends a mail to one address of the operator, and says for whom it was meant.

    to, cc, bcc    only MAIL_REDIRECT_TO
    left out       whatever could lead an answer (a person's, or an absence note) to a customer: replyTo; headers,
                   except those that are known to name nobody (ways_back.py); calendar parts and attached events,
                   whose answers go to the organiser; requests for receipts; extended properties that only
                   MAIL_EXTENDED_PROPERTIES allows. The banner lists what was left out
    a header       x-mailroom-original-recipients is added if Graph's limit of five headers leaves room; the marker's
                   header gives way to it
    a banner       at the top of the visible body, as HTML or as text like the body itself. The body of a MIME mail is
                   not changed: its subject begins with [Redirected], and it has the header x-mailroom-left-out

Everything else stays unchanged, so that the mail can be judged like the real one. The additions must not make a request
too large: if they would, the banner is left out first, then the header.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import Any, Final

import msgspec

from shared.errors import Malformed
from shared.mail.graph_types import BodyType, EmailAddress, InternetMessageHeader, ItemBody, Recipient
from shared.mail.limits import MAX_HEADERS, MAX_REQUEST
from shared.mail.model import Message, SendMail
from shared.mail.outgoing import OutgoingMail
from shared.mail.sizes import MARKER_ROOM, needs_draft, request_size
from shared.mail.ways_back import NAME_NOBODY, invites
from shared.policy.size_limits import check_size
from shared.settings.extended_properties import ExtendedProperties

ORIGINAL_RECIPIENTS: Final = "x-mailroom-original-recipients"
LEFT_OUT: Final = "x-mailroom-left-out"  # of a MIME mail, which has no banner
LONGEST_HEADER: Final = 900  # characters: a line of a mail has at most 998 (RFC 5322, section 2.1.1)
MOST_NAMED: Final = 50  # addresses in a banner, of each kind
LONGEST_NAMED: Final = 80  # characters of what is left out
STYLE: Final = (
    "margin:0 0 16px 0;padding:12px 16px;border:2px solid #b45309;background:#fef3c7;color:#1f2937;"
    "font:14px/1.5 Arial,Helvetica,sans-serif;text-align:left"
)
HEADLINE: Final = "Redirected by Mailroom (MAIL_MODE is redirect). Without that this mail would have gone to:"
PREFIX: Final = "[Redirected] "
WITHOUT_CALENDAR: Final = "[Redirected without its calendar part] "
KINDS: Final = (("To", "to_recipients"), ("Cc", "cc_recipients"), ("Bcc", "bcc_recipients"), ("Reply-To", "reply_to"))

# What may stand before the body, and what hides everything in it up to its end or, where it has none, up to the last
# character. Each alternative that begins to match also ends, so no text is scanned twice.
_BEFORE_BODY: Final = re.compile(
    r"<!--(?:-?>|.*?--!?>|.*)"
    r"|<(?P<raw>title|style|script|noscript|template|textarea|xmp|iframe|noembed|noframes)(?=[\s/>])"
    r"(?:.*?</(?P=raw)(?=[\s/>])|.*)"
    r"|(?P<ends>(?:<!doctype\b|<html(?=[\s/>]))[^>]*+(?:>|\Z)|</head\s*>)"
    r"|(?P<body><body(?=[\s/>]))",
    re.IGNORECASE | re.DOTALL,
)
_REST_OF_TAG: Final = re.compile(r"""(?:"[^"]*"|'[^']*'|[^"'>])*+>""")


def redirected_mail(mail: OutgoingMail, address: str) -> OutgoingMail:
    """The mail as it is sent to `address` instead, JSON or MIME."""
    if mail.mime is None:
        return replace(mail, request=redirected(mail.request, address))
    from shared.mime.strip import without_ways_back  # few mails need the readers of Python's email

    kept = without_ways_back(mail.mime)
    left_out = [f"header {name}" for name in kept.headers]
    if kept.calendar:
        left_out.append(f"{kept.calendar} calendar part{'s' * (kept.calendar > 1)}")
    message = mail.request.message
    bare = msgspec.structs.replace(_alone(message, address), internet_message_headers=None)
    told = msgspec.structs.replace(
        bare,
        subject=f"{WITHOUT_CALENDAR if kept.calendar else PREFIX}{message.subject or ''}".rstrip(),
        internet_message_headers=_headers(message, left_out),
    )
    told_mail, bare_mail = (
        replace(mail, request=msgspec.structs.replace(mail.request, message=one), mime=kept.mime)
        for one in (told, bare)
    )
    try:
        check_size(told_mail, large=False)
    except Malformed:
        return bare_mail
    return told_mail


def redirected(mail: SendMail, address: str) -> SendMail:
    """A JSON mail as it is sent to `address` instead."""
    message = mail.message
    kept, left_out = _without_ways_back(message)
    alone = _alone(kept, address)
    headers = kept.internet_message_headers or ()
    plain = msgspec.structs.replace(
        alone, internet_message_headers=(*headers, *_headers(message, ()))[: max(MAX_HEADERS, len(headers))]
    )
    told = msgspec.structs.replace(plain, body=_body(message, left_out))
    told_mail, plain_mail, bare = (msgspec.structs.replace(mail, message=one) for one in (told, plain, alone))
    for one in (told_mail, plain_mail):
        if request_size(one) <= MAX_REQUEST - MARKER_ROOM:
            return one
    # A mail that does not fit even without banner and header goes by way of a draft, where a banner costs nothing.
    return told_mail if needs_draft(bare) else bare


def _alone(message: Message, address: str) -> Message:
    return msgspec.structs.replace(
        message,
        to_recipients=(Recipient(email_address=EmailAddress(address=address)),),
        cc_recipients=None,
        bcc_recipients=None,
        reply_to=None,
    )


def _without_ways_back(message: Message) -> tuple[Message, list[str]]:
    """The message, and what was left out, in words for the banner."""
    left_out: list[str] = []
    properties = ExtendedProperties()

    def kept(attribute: str, stays: Callable[[Any], bool], name: Callable[[Any], str]) -> Any:
        there = getattr(message, attribute) or ()
        left_out.extend(name(one) for one in there if not stays(one))
        return tuple(filter(stays, there)) or None

    def kept_properties(attribute: str) -> Any:
        return kept(attribute, lambda one: properties.allow(one.id), lambda one: f"property {one.id}")

    changed = msgspec.structs.replace(
        message,
        internet_message_headers=kept(
            "internet_message_headers", lambda one: one.name.lower() in NAME_NOBODY, lambda one: f"header {one.name}"
        ),
        attachments=kept("attachments", lambda one: not invites(one), lambda one: f"calendar {one.name}"),
        single_value_extended_properties=kept_properties("single_value_extended_properties"),
        multi_value_extended_properties=kept_properties("multi_value_extended_properties"),
        is_delivery_receipt_requested=None,
        is_read_receipt_requested=None,
    )
    if message.is_delivery_receipt_requested:
        left_out.append("the request for a delivery receipt")
    if message.is_read_receipt_requested:
        left_out.append("the request for a read receipt")
    return changed, left_out


def banner_place(html: str) -> int:
    """The index in a document at which text shows first: after the start of its body, or where that would be."""
    place = 0
    for match in _BEFORE_BODY.finditer(html):
        if match["body"]:
            rest = _REST_OF_TAG.match(html, match.end())
            return rest.end() if rest else place
        if match["ends"]:
            place = match.end()
    return place


def _body(message: Message, left_out: Sequence[str]) -> ItemBody:
    body = message.body or ItemBody(content_type=BodyType.TEXT)
    content = body.content or ""
    if body.content_type is BodyType.HTML:
        lines = "".join(f"<br>{escape(line)}" for line in _said(message, left_out))
        banner = f'<div style="{STYLE}"><strong>{escape(HEADLINE)}</strong>{lines}</div>'
        place = banner_place(content)
        return msgspec.structs.replace(body, content=content[:place] + banner + content[place:])
    lines = "\r\n".join([HEADLINE, *_said(message, left_out), "-" * 72])
    return msgspec.structs.replace(body, content=f"{lines}\r\n\r\n{content}")


def _said(message: Message, left_out: Sequence[str]) -> Iterator[str]:
    """The lines of the banner."""
    for kind, name in KINDS:
        addresses = [one.email_address.address for one in getattr(message, name) or ()]
        if addresses:
            yield f"{kind}: {_listed(addresses)}"
    if left_out:
        yield f"Left out: {_listed([one[:LONGEST_NAMED] for one in left_out])}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"


def _headers(message: Message, left_out: Sequence[str]) -> tuple[InternetMessageHeader, ...]:
    """The headers that redirecting adds."""
    headers = [InternetMessageHeader(name=ORIGINAL_RECIPIENTS, value=_original_recipients(message))]
    if left_out:
        headers.append(InternetMessageHeader(name=LEFT_OUT, value=", ".join(left_out)[:LONGEST_HEADER]))
    return tuple(headers)


def _original_recipients(message: Message) -> str:
    """The original recipients as `to=a@b.c cc=d@e.f`, as many as fit into a line."""
    words = [
        f"{kind.lower()}={one.email_address.address}"
        for kind, name in KINDS[:3]
        for one in getattr(message, name) or ()
    ]
    value, count = "", 0
    for word in words:
        if len(value) + len(word) > LONGEST_HEADER:
            return f"{value} and {len(words) - count} more".strip()
        value, count = f"{value} {word}".strip(), count + 1
    return value
