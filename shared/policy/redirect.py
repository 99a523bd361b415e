"""MAIL_MODE redirect: the mail goes to one address of the operator's, and says whom it was meant for.

    to, cc, bcc    MAIL_REDIRECT_TO alone
    replyTo        dropped, and named in the banner: whoever answers at MAIL_REDIRECT_TO, a person or an absence note,
                   must not reach a customer
    other headers  that name people, or ask for answers, are dropped (people_headers.py)
    a header       x-mailroom-original-recipients, where Graph's five leave room: it goes before Mailroom's own stamp,
                   which the extended property carries as well, and a mail that has five already is told by its banner
    a banner       above what the body shows, in its own kind of text; for a body that is not written into, the
                   subject begins with [Redirected]

Subject, sender and everything else stay as they are, so that the mail can be judged, and is grouped, as the real one.
What the banner adds may not be what makes a request too large: there the header alone says it.
"""

import re
from collections.abc import Iterator
from html import escape
from typing import Final

import msgspec

from shared.letters.limits import MAX_REQUEST, request_size
from shared.letters.parts import BodyType, EmailAddress, InternetMessageHeader, ItemBody, Recipient
from shared.letters.people_headers import ASK_FOR_ANSWERS, NAME_RECIPIENTS
from shared.letters.stamp import MAX_HEADERS
from shared.letters.wire import Message, SendMail

__all__ = ["ORIGINAL_RECIPIENTS", "banner_place", "redirected"]

ORIGINAL_RECIPIENTS: Final = "x-mailroom-original-recipients"
LONGEST_HEADER: Final = 900  # characters: a line of a mail has at most 998 (RFC 5322, section 2.1.1)
MOST_NAMED: Final = 50  # addresses in a banner, of each kind
STAMP_ROOM: Final = 1_000  # bytes of a request that the stamp and the marks of a thread may need
STYLE: Final = (
    "margin:0 0 16px 0;padding:12px 16px;border:2px solid #b45309;background:#fef3c7;color:#1f2937;"
    "font:14px/1.5 Arial,Helvetica,sans-serif;text-align:left"
)
HEADLINE: Final = "Redirected by Mailroom (MAIL_MODE is redirect). Without that this mail would have gone to:"
PREFIX: Final = "[Redirected] "
KINDS: Final = (("To", "to_recipients"), ("Cc", "cc_recipients"), ("Bcc", "bcc_recipients"), ("Reply-To", "reply_to"))

# What may stand before the body, and what hides everything in it up to its end or, where it has none, up to the last
# character. Each alternative that begins to match also ends: no text makes this scan anything twice.
_BEFORE_BODY: Final = re.compile(
    r"<!--(?:-?>|.*?--!?>|.*)"
    r"|<(?P<raw>title|style|script|noscript|template|textarea|xmp|iframe|noembed|noframes)(?=[\s/>])"
    r"(?:.*?</(?P=raw)(?=[\s/>])|.*)"
    r"|(?P<ends>(?:<!doctype\b|<html(?=[\s/>]))[^>]*+(?:>|\Z)|</head\s*>)"
    r"|(?P<body><body(?=[\s/>]))",
    re.IGNORECASE | re.DOTALL,
)
_REST_OF_TAG: Final = re.compile(r"""(?:"[^"]*"|'[^']*'|[^"'>])*+>""")


def redirected(mail: SendMail, address: str, *, banner: bool = True) -> SendMail:
    """The mail as it goes to `address` instead. banner: whether its body may be written into; else the subject says it.

    A body that is not here (a mail that came as MIME) cannot be.
    """
    message = mail.message
    alone = (Recipient(email_address=EmailAddress(address=address)),)
    changed = msgspec.structs.replace(
        message,
        to_recipients=alone,
        cc_recipients=None,
        bcc_recipients=None,
        reply_to=None,
        internet_message_headers=_headers(message),
    )
    if not banner:
        subject = f"{PREFIX}{message.subject or ''}".rstrip()
        return msgspec.structs.replace(mail, message=msgspec.structs.replace(changed, subject=subject))
    plain = msgspec.structs.replace(mail, message=changed)
    told = msgspec.structs.replace(mail, message=msgspec.structs.replace(changed, body=_body(message)))
    room = MAX_REQUEST - STAMP_ROOM
    return plain if request_size(told) > room >= request_size(plain) else told


def banner_place(html: str) -> int:
    """The index in a document at which what is put shows first: after the start of its body, or where that would be."""
    place = 0
    for match in _BEFORE_BODY.finditer(html):
        if match["body"]:
            rest = _REST_OF_TAG.match(html, match.end())
            return rest.end() if rest else place
        if match["ends"]:
            place = match.end()
    return place


def _body(message: Message) -> ItemBody:
    body = message.body or ItemBody(content_type=BodyType.TEXT)
    content = body.content or ""
    if body.content_type is BodyType.HTML:
        lines = "".join(f"<br>{escape(line)}" for line in _meant_for(message))
        banner = f'<div style="{STYLE}"><strong>{escape(HEADLINE)}</strong>{lines}</div>'
        place = banner_place(content)
        return msgspec.structs.replace(body, content=content[:place] + banner + content[place:])
    lines = "\r\n".join([HEADLINE, *_meant_for(message), "-" * 72])
    return msgspec.structs.replace(body, content=f"{lines}\r\n\r\n{content}")


def _meant_for(message: Message) -> Iterator[str]:
    for kind, name in KINDS:
        addresses = [one.email_address.address for one in getattr(message, name) or ()]
        if addresses:
            more = f" and {len(addresses) - MOST_NAMED} more" if len(addresses) > MOST_NAMED else ""
            yield f"{kind}: {', '.join(addresses[:MOST_NAMED])}{more}"


def _headers(message: Message) -> tuple[InternetMessageHeader, ...]:
    named = NAME_RECIPIENTS | ASK_FOR_ANSWERS
    headers = tuple(one for one in message.internet_message_headers or () if one.name.lower() not in named)
    if len(headers) >= MAX_HEADERS:
        return headers
    return (*headers, InternetMessageHeader(name=ORIGINAL_RECIPIENTS, value=_value(message)))


def _value(message: Message) -> str:
    """`to=a@b.c cc=d@e.f`, as many as fit into a line."""
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
