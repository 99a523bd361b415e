import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cloud.wire import check_message
from shared.mail.graph_types import SingleValueLegacyExtendedProperty
from shared.mail.marker import with_marker
from shared.mail.model import Message, SendMail
from shared.mail.outgoing import OutgoingMail, fingerprint
from shared.mail.threading import marks_of, threaded, topic_of
from tests.mail.samples import outgoing, people

NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def outgoing_mail(thread: str | None = "incident-1", scope: str = "route:alerts", **changes: Any) -> OutgoingMail:
    message = {
        "subject": "[Firing] Disk full",
        "to_recipients": people("ada@contoso.test"),
        **changes.pop("message", {}),
    }
    return outgoing(SendMail(message=Message(**message)), scope=scope, thread=thread, **{"accepted_at": NOON} | changes)


def properties(of: OutgoingMail) -> dict[str, str]:
    found = threaded(of).message.single_value_extended_properties or ()
    values = {one.id: one.value for one in found}
    assert len(values) == len(found), "each property once"
    return values


def test_all_mails_of_a_thread_answer_the_same_root_and_lie_in_the_same_conversation() -> None:
    firing = properties(outgoing_mail())
    resolved = properties(
        outgoing_mail(id="f" * 32, accepted_at=NOON + timedelta(days=3), message={"subject": "[Resolved] Disk full"})
    )
    assert firing.keys() == {"String 0x1042", "String 0x1039", "Binary 0x0071", "Boolean 0x3016", "String 0x0070"}
    for same in ("String 0x1042", "String 0x1039", "Boolean 0x3016", "String 0x0070"):
        assert firing[same] == resolved[same]
    assert firing["String 0x1042"] == firing["String 0x1039"]
    assert firing["String 0x0070"] == "Disk full"
    assert firing["Boolean 0x3016"] == "true"
    first, second = (base64.b64decode(one["Binary 0x0071"]) for one in (firing, resolved))
    assert first[:22] == second[:22]
    assert first != second, "each mail has an index of its own"
    assert len(first) == len(second) == 27


def test_the_marks_stay_what_they_are_from_version_to_version() -> None:
    """The first mail of a conversation may have been sent by last year's version."""
    values = properties(outgoing_mail())
    assert values["String 0x1042"] == "<f5285127031bd99ef6fb28abde4d3764@threads.mailroom.invalid>"
    assert values["Binary 0x0071"] == "AQHVwDZp9ShRJwMb2Z72+yir3k03ZI6SNXZf"


def test_the_index_is_a_header_with_the_threads_guid_and_one_level_with_the_mails_time() -> None:
    """[MS-OXOMSG] 2.2.1.3: 0x01, five bytes of a FILETIME, a GUID; delta code, 31 bits of the difference, a byte."""
    marks = marks_of(outgoing_mail())
    assert marks is not None
    index, epoch = marks.index, datetime(1601, 1, 1, tzinfo=UTC)
    assert index[0] == 1
    root = epoch + timedelta(microseconds=(int.from_bytes(index[1:6]) << 24) // 10)
    assert abs(root - datetime(2020, 1, 1, tzinfo=UTC)) < timedelta(seconds=2)
    assert index[6:22].hex() == marks.root[1:33]
    level = int.from_bytes(index[22:26])
    assert level >> 31 == 1
    at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=(level - (1 << 31) << 23) // 10)
    assert timedelta(0) <= NOON - at < timedelta(seconds=1)


@pytest.mark.parametrize(
    "other",
    [
        {"thread": "incident-2"}, {"scope": "route:other"}, {"thread": "INCIDENT-1"},
        {"thread": "alerts:incident-1", "scope": "route"},
    ],
)  # fmt: skip
def test_threads_of_other_scopes_and_names_are_other_conversations(other: dict[str, Any]) -> None:
    marks, others = marks_of(outgoing_mail()), marks_of(outgoing_mail(**other))
    assert marks is not None
    assert others is not None
    assert marks.root != others.root
    assert marks.index[6:22] != others.index[6:22]


def test_a_mail_without_a_thread_stays_as_it_is() -> None:
    plain = outgoing_mail(None)
    assert threaded(plain) is plain.request
    assert marks_of(plain) is None


def own(*ids: str) -> dict[str, Any]:
    found = tuple(SingleValueLegacyExtendedProperty(id=name, value="x") for name in ids)
    return {"single_value_extended_properties": found}


@pytest.mark.parametrize(
    ("theirs", "left"),
    [
        ("String 0x1042", {"Binary 0x0071", "Boolean 0x3016", "String 0x0070"}),
        ("string 0x1039", {"Binary 0x0071", "Boolean 0x3016", "String 0x0070"}),
        ("String 0x1042001F", {"Binary 0x0071", "Boolean 0x3016", "String 0x0070"}),
        ("Binary 0x71", {"String 0x1042", "String 0x1039", "String 0x0070"}),
        ("Boolean  0x3016", {"String 0x1042", "String 0x1039", "String 0x0070"}),
        ("String 0x070", {"String 0x1042", "String 0x1039", "Binary 0x0071", "Boolean 0x3016"}),
    ],
)
def test_what_the_sender_has_set_wins_in_any_spelling_and_is_not_contradicted(theirs: str, left: set[str]) -> None:
    """A parent without our references, an index without our tracking."""
    assert properties(outgoing_mail(message=own(theirs))).keys() == {theirs, *left}


def test_other_properties_of_the_sender_change_nothing() -> None:
    ids = ["String {66f5a359-4659-4830-9070-00047ec6ac6e} Name 0x1042", "Integer 0x1080", "nonsense"]
    assert properties(outgoing_mail(message=own(*ids))).keys() == {*ids, *properties(outgoing_mail())}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.none() | st.text(max_size=40))
def test_any_thread_and_subject_make_marks_that_graph_takes_and_nothing_else_changes(
    thread: str, subject: str | None
) -> None:
    whole = outgoing_mail(thread, message={"subject": subject, **own("String 0x3FEF")})
    marked = threaded(whole)
    check_message(msgspec.json.decode(msgspec.json.encode(with_marker(marked.message, whole.id))))
    original = whole.request.message.single_value_extended_properties
    assert msgspec.structs.replace(marked.message, single_value_extended_properties=original) == whole.request.message
    assert (marked.message.single_value_extended_properties or ())[: len(original or ())] == original


@pytest.mark.parametrize(
    ("subject", "topic"),
    [
        ("Disk full", "Disk full"), ("[Firing] Disk full", "Disk full"), ("[FIRING:2] Disk full", "Disk full"),
        ("[RESOLVED] Disk full", "Disk full"), ("[Resolved] - Disk full", "Disk full"),
        ("[ no data ]: Disk full", "Disk full"), ("Resolved: Disk full", "Disk full"), ("RE: Disk full", "Disk full"),
        ("AW: WG: Fwd: re:  [Firing] Disk full", "Disk full"), ("回复: Disk full", "Disk full"),
        ("[contoso/shop] Issue 7: Disk full", "[contoso/shop] Issue 7: Disk full"),
        ("[Resolved] [contoso/shop] Disk full", "[contoso/shop] Disk full"),
        ("Resolved Disk full", "Resolved Disk full"), ("Disk full: C:\\logs", "Disk full: C:\\logs"),
        ("C:\\logs is full", "C:\\logs is full"), ("12: Disk full", "12: Disk full"),
        ("  Disk \r\n full ", "Disk   full"), ("[Resolved]", "[Resolved]"), ("RE: ", "RE:"), ("", ""),
    ],
)  # fmt: skip
def test_the_topic_is_the_subject_without_what_changes_from_mail_to_mail(subject: str, topic: str) -> None:
    assert topic_of(subject) == topic


@given(st.text(st.sampled_from("[] :REre\n\tFiring0x"), max_size=30) | st.text(max_size=30))
def test_a_topic_is_one_line_and_its_own_topic_and_the_end_of_its_subject(subject: str) -> None:
    topic = topic_of(subject)
    assert topic.splitlines() in ([], [topic])
    assert topic_of(topic) == topic
    assert subject.rstrip().endswith(topic) or any(sign < " " or sign >= "\x7f" for sign in subject)


def test_another_thread_is_another_mail_and_none_is_the_mail_as_before() -> None:
    """Under a key that was used, a changed thread must not be dropped without a word."""
    mail = outgoing_mail().request
    plain = fingerprint("a", mail)
    assert plain == fingerprint("a", mail, None)
    assert len({plain, fingerprint("a", mail, "1"), fingerprint("a", mail, "2"), fingerprint("a", mail, "")}) == 4
