"""Readers of one text: an address, a header, a value in a template."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from shared.auth import entra
from shared.functions import http_answers
from shared.mail import addresses, graph_types, limits, marker, threading
from shared.mime import address_lists, header_parameters, write
from shared.mime.head import MAX_HEAD, HeaderField
from shared.parsing import charsets
from shared.policy.redirect import banner_place
from shared.settings.address_patterns import Patterns
from shared.settings.extended_properties import ExtendedProperties
from shared.webhooks.rendering import bounds, filters, markup
from shared.webhooks.rendering.jira_markup import jira_markup
from shared.webhooks.rendering.markdown import LONGEST_MARKDOWN
from shared.webhooks.rendering.markup import MARKUP_FILTERS
from shared.webhooks.rendering.mrkdwn import LONGEST_MRKDWN
from shared.webhooks.rendering.slack_message import slack_message
from shared.webhooks.rendering.teams_message import teams_message
from shared.webhooks.sources import cloudevents, json_values, signatures
from shared.webhooks.sources.source import RawRequest, Source
from tests.readers.reader import ANSWERS, MEGABYTE, Reader
from tests.readers.shapes import HOSTILE, TEXTS, many, of_texts

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
    return address_lists.recipients_of(HeaderField("To", _ascii(text), b"", 0), 500, "too many")


def _with(source: Source, header: str, before: str = "") -> Any:
    """Authenticates a request with this header, the others being right."""
    markers = {"webhook_id": "1", "webhook_timestamp": f"{NOW.timestamp():.0f}"}
    return lambda text: source.authenticate(
        _request(**{**markers, header: before + text}), ["user:one", "whsec_AAAA"], NOW
    )


ADDRESSES: Final = (
    {f"domain of {name}": shape for name, shape in of_texts(begin="a@", end=".test").items()}
    | {f"local part of {name}": shape for name, shape in of_texts(end="@b.test").items()}
    | {
        f"both of {name}": lambda size, kind=name: f"{TEXTS[kind](size // 2)}@{TEXTS[kind](size // 2)}"
        for name in TEXTS
    }
)
MARKUP: Final = (
    "angle brackets", "tags", "html comments", "html comments closed", "attributes", "doctypes", "scripts", "quotes",
    "em spaces", "nested tables",
)  # fmt: skip
HTML: Final = of_texts() | many(
    "<div><p>", "</div>", "<b><i><u>", "<table><tr><td><table>", "<a href='https://a.test'>",
    "<p style='color:red' class=a>x</p>", "&#x41;", "<ul><li>", "<!doctype html><head>",
)  # fmt: skip
# Of the texts those that mean something where people write markup by hand.
BY_HAND: Final = (
    *HOSTILE, *MARKUP, "blanks", "blank lines", "parentheses", "colons", "dots", "dashes", "underscores", "equals",
    "ampersands", "entities", "braces", "percent-encoded", "diff",
)  # fmt: skip
CHAT: Final = of_texts(only=BY_HAND) | many(
    "*a* ", "_a_", "~", "*_", "<https://a.test|b> ", "<!date^1^a|", "<", "```a", "``` ", ":x:", "> a\n", "{code}",
    "{code:", "[a|https://b.test]", "[~a]", "h1. a\n", "!a!", "{{a}}", "* a\n", "{color:red}", "<at>",
)  # fmt: skip

READERS: Final = [
    Reader(
        "an address",
        lambda text: _quietly(
            text,
            lambda text: addresses.AddressesOfMail().checked(text),
            addresses.mailbox_name,
            addresses.address_hash,
            ANYONE.allow,
            SOME.allow,
        ),
        addresses.LONGEST,
        ADDRESSES,
        bounded=True,
    ),
    Reader("the name of a blob", addresses.split_blob, 10000, of_texts(begin="abc/"), bounded=True),
    Reader(
        "the id of an extended property",
        lambda text: marker.forged(property_id=text),
        limits.LONGEST_ID,
        of_texts(),
        bounded=True,
    ),
    Reader(
        "the name of an extended property",
        lambda text: (PROPERTIES.allow(text), marker.forged(property_id=text), threading._tag(text)),
        limits.LONGEST_ID,
        of_texts(begin=NAMED),
    ),
    Reader("a subject as a topic", threading.topic_of, limits.LONGEST_SUBJECT, of_texts()),
    Reader(
        "encoded words",
        lambda text: address_lists.holds_an_address(address_lists.decoded(_ascii(text), "Subject")),
        limits.LONGEST_SUBJECT,
        of_texts() | many("=?utf-8?b?YQ==?= ", "=?utf-8?q?=41?=", "=?x?q?a?= a "),
    ),
    Reader(
        "a header of addresses",
        _people,
        MAX_HEAD,
        of_texts()
        | many('"a b, c" <a@b.test>, ', "a b c d e f <a@b.test>, ", "=?utf-8?q?a?= =?utf-8?b?YQ==?= <a@b.test>, ")
        | {"names of all signs": lambda size: ", ".join(f'"{chr(33 + n % 90)}" <a@b.test>' for n in range(size // 16))}
        | {"names that differ": lambda size: ", ".join(f'"{",(" * (n % 90)}" <a@b.test>' for n in range(size // 100))},
        bounded=True,
    ),
    Reader(
        "one address with its name",
        _people,
        address_lists.LONGEST,
        of_texts(begin='"', end='" <a@b.test>') | of_texts(end=" <a@b.test>"),
        bounded=True,
    ),
    Reader(
        "a header with parameters",
        lambda text: header_parameters.read_parameters(_ascii(text), is_type=True),
        header_parameters.LONGEST_HEADER,
        {
            **of_texts(begin="text/plain; "),
            **{f"quoted {name}": shape for name, shape in of_texts(begin='text/plain; name="', end='"').items()},
            **{f"in pieces {name}": shape for name, shape in of_texts(begin="a/b; name*0*=utf-8''").items()},
            "encoded words": lambda size: f'a/b; name="{"=?utf-8?b?YQ==?= " * (size // 17)}"',
        },
        bounded=True,
    ),
    Reader(
        "a header written",
        lambda text: (
            write.unstructured("Subject", text),
            write.address_list(
                [graph_types.Recipient(email_address=graph_types.EmailAddress(address="a@b.test", name=text))]
            ),
        ),
        limits.LONGEST_SUBJECT,
        of_texts(),
    ),
    Reader(
        "the domain of a message id", lambda text: marker.message_id("0", f"a@{text}"), limits.LONGEST_LINE, of_texts()
    ),
    Reader("a message id", marker.mail_of, limits.LONGEST_LINE, of_texts(begin="<")),
    Reader(
        "where a banner goes", banner_place, MEGABYTE, of_texts(only=MARKUP) | of_texts(begin="<body ", only=MARKUP)
    ),
    Reader(
        "a token",
        lambda text: entra._read(entra._bearer_token(text)),
        entra.LONGEST_HEADER,
        of_texts(begin="Bearer ") | of_texts(begin="Bearer e30.", end=".e30"),
        bounded=True,
    ),
    Reader("a Content-Type", charsets.charset_of, HEADER, of_texts(begin="text/plain; ")),
    Reader(
        "a signature, a secret, a time",
        lambda text: _quietly(
            text,
            lambda text: signatures.basic_or_bearer(_request(authorization=f"Basic {text}"), ["user:one"]),
            lambda text: signatures.basic_or_bearer(_request(authorization=f"Bearer {text}"), ["one"]),
            lambda text: signatures.in_chosen_header(_request(x_key=text), "x-key", ["one"]),
            lambda text: signatures.in_query(RawRequest(query={"key": text}), "key", ["one"]),
            lambda text: signatures.recent(text, NOW, 300),
            signatures.unbase64,
            signatures.unhex,
        ),
        HEADER,
        of_texts(),
    ),
    Reader(
        "many signatures",
        lambda text: _quietly(text, *_signed()),
        HEADER,
        of_texts() | many("v1,AA== ", "v1=00,", "t=1,"),
    ),
    Reader(
        "an attribute in a header",
        lambda text: (
            cloudevents._header_value("ce-subject", text),
            cloudevents.allow(_request(webhook_request_origin=text), None),
        ),
        cloudevents.LONGEST_ATTRIBUTE,
        of_texts() | of_texts(begin='"') | of_texts(begin='"', end='"') | many('"\\'),
        bounded=True,
    ),
    Reader(
        "data that is text",
        lambda text: [
            cloudevents.content(text.encode("utf-8", "surrogatepass"), kind, charset)
            for kind, charset in (("", ""), ("text/plain", "utf-16"), ("text/plain", "gb18030"))
        ],
        MEGABYTE,
        of_texts(only=("letters", "combining marks, unsorted", "em spaces", "controls", "arabic")),
    ),
    Reader(
        "a time",
        lambda text: (json_values.moment(text), json_values.digest(text), json_values.first_text({"a": text}, "a")),
        MEGABYTE,
        of_texts(only=("letters", "digits", "combining marks, unsorted", "em spaces", "dashes")),
    ),
    Reader("a time with its offset", http_answers.time_of, HEADER, of_texts(only=("letters", "digits", "dashes"))),
    Reader(
        "other people's HTML",
        lambda text: (MARKUP_FILTERS["clean_html"](text), MARKUP_FILTERS["html_to_text"](text)),
        markup.LONGEST_HTML,
        HTML,
        bounded=True,
    ),
    Reader(
        "a text of Slack",
        lambda text: slack_message(
            {"text": text, "attachments": [{"color": text, "fields": [{"title": text, "value": text[:99]}]}]}
        ),
        LONGEST_MRKDWN,
        CHAT,
        bounded=True,
    ),
    Reader(
        "a text of Teams",
        lambda text: teams_message({"title": text[:99], "sections": [{"facts": [{"name": text, "value": text}]}]}),
        LONGEST_MARKDOWN,
        CHAT,
        bounded=True,
    ),
    Reader("a text of Jira", jira_markup, LONGEST_MARKDOWN, CHAT, bounded=True),
    Reader(
        "a link",
        lambda text: (markup.link(text, text), markup.link(text, f"https://{text}")),
        bounds.LONGEST_TEXT,
        of_texts(),
    ),
    Reader(
        "a subject of a mail of an event",
        lambda text: (filters.one_line(text), filters.cut(text), filters.shown([text]), filters.told(text)),
        bounds.LONGEST_TEXT,
        of_texts(),
    ),
]


def _quietly(text: str, *readers: Any) -> None:
    """What one refuses the next may take."""
    for read in readers:
        with suppress(*ANSWERS):
            read(text)


def _signed() -> list[Any]:
    from shared.webhooks.sources.hmac_signed import Hmac
    from shared.webhooks.sources.pagerduty import PagerDuty
    from shared.webhooks.sources.sentry import Sentry
    from shared.webhooks.sources.standard_webhooks import StandardWebhooks
    from shared.webhooks.sources.stripe import Stripe

    return [
        _with(StandardWebhooks(), "webhook_signature"),
        _with(Stripe(), "stripe_signature", f"t={NOW.timestamp():.0f},"),
        _with(Stripe(), "stripe_signature"),
        _with(PagerDuty(), "x_pagerduty_signature"),
        _with(Sentry(), "sentry_hook_signature"),
        _with(Hmac(header="x-signature"), "x_signature"),
    ]
