"""Whatever a parser is given, it returns or raises the one error that it documents.

Those that have no such test beside their own: sendMail's headers, settings, route.toml, Mailroom's own messages. The
others are in tests/mail/test_parse.py (mails), tests/webhooks/sources (each source, CloudEvents, JSON),
tests/auth/test_entra.py (tokens), tests/graph (Retry-After, Graph's answers), tests/settings/test_address_patterns.py,
tests/webhooks/routing/test_event_messages.py (events of queues), and tests/delivery/test_ledger.py (a page's `after`).
"""

import json
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from shared.delivery.queue_messages import ProducerMessage, Work, parse_work
from shared.errors import Malformed
from shared.functions.send_mail import _key, _not_before, _text_of
from shared.mail.limits import LONGEST_THREAD, MAX_KEY
from shared.mail.outgoing import OutgoingMail, decode
from shared.settings.config import Settings, read
from shared.webhooks.routing.route import Route
from shared.webhooks.routing.route_file import RouteError, read_route
from tests.settings.test_config import WRONG

HEADER = st.text(st.characters(max_codepoint=0xFF), max_size=300)  # as the host hands them on
NAMES = sorted({name for name, _ in WRONG} | {"MAIL_SECRET_SHOP", "MAIL_ROUTES_DIR", "WEBSITE_SITE_NAME"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.just("11111111-2222-3333-4444-555555555555"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=10) | st.sampled_from(["senders", "recipients"]), inner, max_size=3)
    ),
    max_leaves=8,
)
TOML = st.lists(
    st.sampled_from(
        [
            'source = "key"', 'source = "hmac"', "source = 1", 'recipients = ["a@b.test"]', "recipients = [1]",
            "[options]",
            '[events."a.b"]', "[events]", 'when = "a["', 'recipients_from = "a"', 'allow = ["*"]', "keep_days = 1e9",
            "repeat_window_minutes = -1", 'header = "x y"', 'x = """', "y = 9999-99-99", "[[options]]", '"" = 1',
        ]
    )
    | st.text(max_size=20),
    max_size=8,
).map("\n".join)  # fmt: skip


@given(HEADER)
@example("9999-12-31T23:59:59-23:59")
@example("0001-01-01T00:00:00+23:59")
def test_a_time_in_a_header_is_a_time_ahead_or_malformed(value: str) -> None:
    with suppress(Malformed):
        found = _not_before({"mailroom-not-before": value})
        assert found is None or found > datetime.now(UTC)


@given(HEADER, HEADER)
@example('"', '""')
def test_a_key_or_a_thread_in_a_header_is_a_text_or_malformed(key: str, other: str) -> None:
    headers = {"idempotency-key": key, "client-request-id": other, "mailroom-thread": key}
    with suppress(Malformed):
        found = _key(headers)
        assert found is not None
        assert len(found) <= MAX_KEY + len("idempotency-key:")
    with suppress(Malformed):
        thread = _text_of(headers, "Mailroom-Thread", LONGEST_THREAD)
        assert thread
        assert thread.isprintable()


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=60) | JSON.map(json.dumps), max_size=4))
def test_whatever_the_environment_holds_reading_it_does_not_fail(environ: dict[str, str]) -> None:
    """And no secret is in what is said of it."""
    found = read(environ)
    assert isinstance(found, Settings)
    for problem in found.problems:
        assert problem.expected


@given(TOML)
def test_whatever_a_route_holds_it_is_a_route_or_an_error_that_names_its_line(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "route.toml")
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            assert isinstance(read_route("shop", path.parent), Route)
        except RouteError as error:
            assert str(path) in str(error)  # noqa: PT017 - either is right


WORK = {
    "kind": "mail", "v": 1, "id": "0" * 32, "scope": "", "fingerprint": "", "mailbox": "",
    "acceptedAt": "2026-07-01T12:00:00Z",
}  # fmt: skip


@given(
    st.binary(max_size=80)
    | st.dictionaries(st.sampled_from([*WORK, "mail", "payload", "queue", "body", "insertedAt"]), JSON, max_size=9).map(
        lambda other: json.dumps(WORK | other).encode()
    )
)
@example(json.dumps(WORK).encode()[:-1] + b', "mail": ' + b"[" * 100_000)
@example(b"[]")
@example(b"{}")
@example(b"null")
def test_a_message_of_mail_work_is_one_or_a_decode_error(body: bytes) -> None:
    """The trigger catches ValueError, of which msgspec's error is one."""
    assert issubclass(msgspec.DecodeError, ValueError)
    with suppress(msgspec.DecodeError):
        assert isinstance(parse_work(body), Work | ProducerMessage)


@given(st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_mail_is_one_or_a_decode_error(data: bytes) -> None:
    with suppress(msgspec.DecodeError):
        assert isinstance(decode(data), OutgoingMail)
