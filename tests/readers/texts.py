"""Readers of one text: an address, a header, a value in a template."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from shared.auth import entra
from shared.mail import addresses, blob_names, graph_types, marker, threading
from shared.mime import address_lists, header_text, parameters
from shared.mime.head import MAX_HEAD, Field
from shared.parsing import charsets
from shared.policy import suppression_list
from shared.policy.address_patterns import Patterns
from shared.policy.extended_properties import ExtendedProperties
from shared.policy.redirect import banner_place
from shared.webhooks.rendering import bounds, filters, markup
from shared.webhooks.rendering.markup import MARKUP_FILTERS
from shared.webhooks.sources import cloudevents, json_values, signatures
from shared.webhooks.sources.source import RawRequest, Source
from tests.readers.reader import ANSWERS, MEGABYTE, Reader, of_texts
from tests.readers.shapes import TEXTS

__all__ = ["READERS"]

NOW: Final = datetime(2026, 11, 22, 10, tzinfo=UTC)
HEADER: Final = 16 * 1024  # bytes of one header as the platform takes it; all together 32 KB
ANYONE: Final = Patterns.parse("*")
SOME: Final = Patterns.parse("*@contoso.com alerts@*.contoso.com")
PROPERTIES: Final = ExtendedProperties()
NAMED: Final = "String {66f5a359-4659-4830-9070-00040ec6ac6e} Name "


def _ascii(text: str) -> str:
    """As a header of a mail may have it."""
    return text.encode("ascii", "replace").decode().translate({code: "?" for code in range(32) if code != 9})


def _request(**headers: str) -> RawRequest:
    return RawRequest(headers={name.replace("_", "-"): value for name, value in headers.items()}, body=b"{}")


def _people(text: str) -> object:
    return address_lists.recipients_of(Field("To", _ascii(text), b"", 0), 500, "too many")


def _with(source: Source, header: str, before: str = "") -> Any:
    """Authenticates a request with this header, the others being right."""
    markers = {"webhook_id": "1", "webhook_timestamp": f"{NOW.timestamp():.0f}"}
    return lambda text: source.authenticate(
        _request(**{**markers, header: before + text}), ["user:one", "whsec_AAAA"], NOW
    )


def _many(unit: str) -> dict[str, Any]:
    return {f"many {unit!r}": lambda size: unit * (size // len(unit))}


ADDRESSES: Final = (
    {f"domain of {name}": shape for name, shape in of_texts(begin="a@", end=".test").items()}
    | {f"local part of {name}": shape for name, shape in of_texts(end="@b.test").items()}
    | {
        f"both of {name}": lambda size, kind=name: f"{TEXTS[kind](size // 2)}@{TEXTS[kind](size // 2)}"
        for name in TEXTS
    }
)
MARKUP: Final = (
    "angle brackets",
    "tags",
    "html comments",
    "html comments closed",
    "attributes",
    "doctypes",
    "scripts",
    "quotes",
    "em spaces",
    "nested tables",
)
HTML: Final = (
    of_texts()
    | _many("<div><p>")
    | _many("</div>")
    | _many("<b><i><u>")
    | _many("<table><tr><td><table>")
    | _many("<a href='https://a.test'>")
    | _many("<p style='color:red' class=a>x</p>")
    | _many("&#x41;")
    | _many("<ul><li>")
    | _many("<!doctype html><head>")
)

READERS: Final = [
    Reader(
        name="an address",
        covers=("mail.addresses:checked", "mail.addresses:canonical", "mail.addresses:mailbox_name"),
        read=lambda text: (addresses.Several().checked(text), addresses.mailbox_name(text)),
        largest=addresses.LONGEST,
        shapes=ADDRESSES,
    ),
    Reader(
        name="an address that is looked for",
        covers=("policy.suppression_list:entry_id",),
        read=suppression_list.entry_id,
        largest=addresses.LONGEST,
        shapes=ADDRESSES,
    ),
    Reader(
        name="an address among patterns",
        covers=(),
        read=lambda text: (ANYONE.allow(text), SOME.allow(text)),
        largest=addresses.LONGEST,
        shapes=ADDRESSES,
    ),
    Reader(
        name="the name of a blob",
        covers=("mail.blob_names:split",),
        read=blob_names.split,
        largest=10_000,
        shapes=of_texts(begin="abc/"),
    ),
    Reader(
        name="the id of an extended property",
        covers=("mail.marker:forged",),
        read=lambda text: marker.forged(property_id=text),
        largest=graph_types.LONGEST_ID,
        shapes=of_texts(),
    ),
    Reader(
        name="the name of an extended property",
        covers=(),
        read=lambda text: (PROPERTIES.allow(text), marker.forged(property_id=text), threading._tag(text)),
        largest=graph_types.LONGEST_ID,
        shapes=of_texts(begin=NAMED),
        bounded=False,
    ),
    Reader(
        name="a subject as a topic",
        covers=("mail.threading:topic_of",),
        read=threading.topic_of,
        largest=graph_types.LONGEST_SUBJECT,
        shapes=of_texts(),
        bounded=False,
    ),
    Reader(
        name="encoded words",
        covers=("mime.address_lists:decoded", "mime.address_lists:holds_an_address"),
        read=lambda text: address_lists.holds_an_address(address_lists.decoded(_ascii(text), "Subject")),
        largest=graph_types.LONGEST_SUBJECT,
        shapes=of_texts() | _many("=?utf-8?b?YQ==?= ") | _many("=?utf-8?q?=41?=") | _many("=?x?q?a?= a "),
        bounded=False,
    ),
    Reader(
        name="a header of addresses",
        covers=("mime.address_lists:recipients_of",),
        read=_people,
        largest=MAX_HEAD,
        shapes=of_texts()
        | _many('"a b, c" <a@b.test>, ')
        | _many("a b c d e f <a@b.test>, ")
        | _many("=?utf-8?q?a?= =?utf-8?b?YQ==?= <a@b.test>, ")
        | {"names of all signs": lambda size: ", ".join(f'"{chr(33 + n % 90)}" <a@b.test>' for n in range(size // 16))}
        | {"names that differ": lambda size: ", ".join(f'"{",(" * (n % 90)}" <a@b.test>' for n in range(size // 100))},
    ),
    Reader(
        name="one address with its name",
        covers=(),
        read=_people,
        largest=address_lists.LONGEST,
        shapes=of_texts(begin='"', end='" <a@b.test>') | of_texts(end=" <a@b.test>"),
    ),
    Reader(
        name="a header with parameters",
        covers=("mime.parameters:read_parameters", "mime.parameters:words_decoded"),
        read=lambda text: parameters.read_parameters(_ascii(text), is_type=True),
        largest=parameters.LONGEST_HEADER,
        shapes={
            **of_texts(begin="text/plain; "),
            **{f"quoted {name}": shape for name, shape in of_texts(begin='text/plain; name="', end='"').items()},
            **{f"in pieces {name}": shape for name, shape in of_texts(begin="a/b; name*0*=utf-8''").items()},
            "encoded words": lambda size: f'a/b; name="{"=?utf-8?b?YQ==?= " * (size // 17)}"',
        },
    ),
    Reader(
        name="a header written",
        covers=("mime.header_text:unstructured", "mime.header_text:address_list"),
        read=lambda text: (
            header_text.unstructured("Subject", text),
            header_text.address_list(
                [graph_types.Recipient(email_address=graph_types.EmailAddress(address="a@b.test", name=text))]
            ),
        ),
        largest=graph_types.LONGEST_SUBJECT,
        shapes=of_texts(),
        bounded=False,
    ),
    Reader(
        name="the domain of a message id",
        covers=("mail.marker:message_id",),
        read=lambda text: marker.message_id("0", f"a@{text}"),
        largest=graph_types.LONGEST_LINE,
        shapes=of_texts(),
        bounded=False,
    ),
    Reader(
        name="where a banner goes",
        covers=("policy.redirect:banner_place",),
        read=banner_place,
        largest=MEGABYTE,
        shapes=of_texts(only=MARKUP) | of_texts(begin="<body ", only=MARKUP),
        bounded=False,
    ),
    Reader(
        name="a token",
        covers=(),
        read=lambda text: entra._read(entra._bearer_token(text)),
        largest=entra.LONGEST_HEADER,
        shapes=of_texts(begin="Bearer ") | of_texts(begin="Bearer e30.", end=".e30"),
    ),
    Reader(
        name="a Content-Type",
        covers=("parsing.charsets:charset_of",),
        read=charsets.charset_of,
        largest=HEADER,
        shapes=of_texts(begin="text/plain; "),
        bounded=False,
    ),
    Reader(
        name="a signature, a secret, a time",
        covers=(
            "sources.signatures:basic",
            "sources.signatures:bearer",
            "sources.signatures:in_header",
            "sources.signatures:recent",
            "sources.signatures:unbase64",
            "sources.signatures:unhex",
            "sources.signatures:octets",
            "sources.signatures:mac",
            "sources.signatures:one_of",
            "sources.signatures:header",
            "sources.signatures:basic_or_bearer",
            "sources.signatures:in_chosen_header",
            "sources.signatures:in_query",
        ),
        read=lambda text: _quietly(
            text,
            lambda text: signatures.basic(_request(authorization=f"Basic {text}"), ["user:one"]),
            lambda text: signatures.bearer(_request(authorization=f"Bearer {text}"), ["one"]),
            lambda text: signatures.in_header(_request(x_key=text), "x-key", ["one"]),
            lambda text: signatures.recent(text, NOW, 300),
            signatures.unbase64,
            signatures.unhex,
        ),
        largest=HEADER,
        shapes=of_texts(),
        bounded=False,
    ),
    Reader(
        name="many signatures",
        covers=("sources:hmac",),
        read=lambda text: _quietly(text, *_signed()),
        largest=HEADER,
        shapes=of_texts() | _many("v1,AA== ") | _many("v1=00,") | _many("t=1,"),
        bounded=False,
    ),
    Reader(
        name="an attribute in a header",
        covers=("sources.cloudevents:is_binary", "sources.cloudevents:allow"),
        read=lambda text: (
            cloudevents._header_value("ce-subject", text),
            cloudevents.allow(_request(webhook_request_origin=text), None),
        ),
        largest=cloudevents.LONGEST_ATTRIBUTE,
        shapes=of_texts() | of_texts(begin='"') | of_texts(begin='"', end='"') | _many('"\\'),
    ),
    Reader(
        name="data that is text",
        covers=("sources.cloudevents:content", "parsing.charsets:decode", "parsing.charsets:sniffed"),
        read=lambda text: [
            cloudevents.content(text.encode("utf-8", "surrogatepass"), kind, charset)
            for kind, charset in (("", ""), ("text/plain", "utf-16"), ("text/plain", "gb18030"))
        ],
        largest=MEGABYTE,
        shapes=of_texts(only=("letters", "combining marks, unsorted", "em spaces", "controls", "arabic")),
        bounded=False,
    ),
    Reader(
        name="a time",
        covers=(
            "sources.json_values:moment",
            "sources.json_values:digest",
            "sources.json_values:text",
            "sources.json_values:first_text",
            "sources.json_values:pick",
        ),
        read=lambda text: (json_values.moment(text), json_values.digest(text), json_values.text({"a": text}, "a")),
        largest=MEGABYTE,
        shapes=of_texts(only=("letters", "digits", "combining marks, unsorted", "em spaces", "dashes")),
        bounded=False,
    ),
    Reader(
        name="other people's HTML",
        covers=(
            "rendering.markup:clean_html",
            "rendering.markup:html_to_text",
            "rendering.markup:depth_of",
            "rendering.plain_text:text_of",
        ),
        read=lambda text: (MARKUP_FILTERS["clean_html"](text), MARKUP_FILTERS["html_to_text"](text)),
        largest=markup.LONGEST_HTML,
        shapes=HTML,
    ),
    Reader(
        name="a link",
        covers=("rendering.markup:link", "rendering.markup:web_address"),
        read=lambda text: (markup.link(text, text), markup.link(text, f"https://{text}")),
        largest=bounds.LONGEST_TEXT,
        shapes=of_texts(),
        bounded=False,
    ),
    Reader(
        name="a subject of a mail of an event",
        covers=(
            "rendering.filters:one_line",
            "rendering.filters:cut",
            "rendering.filters:shown",
            "rendering.filters:told",
        ),
        read=lambda text: (filters.one_line(text), filters.cut(text), filters.shown([text]), filters.told(text)),
        largest=bounds.LONGEST_TEXT,
        shapes=of_texts(),
        bounded=False,
    ),
]


def _quietly(text: str, *readers: Any) -> None:
    """What one refuses the next may take."""
    for read in readers:
        with suppress(*ANSWERS):
            read(text)


def _signed() -> list[Any]:
    from shared.webhooks.sources.hmac_signed import Hmac
    from shared.webhooks.sources.standard_webhooks import StandardWebhooks
    from shared.webhooks.sources.stripe import Stripe

    return [
        _with(StandardWebhooks(), "webhook_signature"),
        _with(Stripe(), "stripe_signature", f"t={NOW.timestamp():.0f},"),
        _with(Stripe(), "stripe_signature"),
        _with(Hmac(header="x-signature"), "x_signature"),
    ]
