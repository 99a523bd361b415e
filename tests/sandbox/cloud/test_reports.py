"""What comes back of a mail, how it is searched for, and how it is read as MIME."""

from email import message_from_bytes, policy
from typing import Any

import pytest

from sandbox.cloud.state import Settings
from tests.sandbox.cloud.emulator import BOX, MESSAGES, Emulator, error_code, mail, marker, recipient

CLASS = "singleValueExtendedProperties($filter=id eq 'String 0x001A' or id eq 'Integer 0x0E08')"
REPORTS = "singleValueExtendedProperties/Any(ep: ep/id eq 'String 0x001A' and startswith(ep/value, 'REPORT.'))"
LONG_AGO = "receivedDateTime ge 2026-01-01T00:00:00Z"


async def send(emulator: Emulator, *local_parts: str, **changes: Any) -> None:
    people = [recipient(f"{local}@bounce.example") for local in local_parts]
    assert (await emulator.send(mail(toRecipients=people, **changes))).status_code == 202


async def classes(emulator: Emulator, **params: str) -> list[str]:
    answer = await emulator.graph("GET", MESSAGES, params={"$expand": CLASS, "$top": "50", **params})
    assert answer.status_code == 200, answer.text
    found = [
        {one["id"]: one["value"] for one in item["singleValueExtendedProperties"]} for item in answer.json()["value"]
    ]
    assert all(int(one["Integer 0xe08"]) > 0 for one in found)
    return [one["String 0x1a"] for one in found]


async def test_each_recipient_at_bounce_example_has_what_comes_back(emulator: Emulator) -> None:
    """Every message has a class; the id of a property comes back in Graph's own spelling."""
    for local in ("5.1.1", "4.4.7-delayed", "delivered", "read", "absent", "forged", "anybody"):
        await send(emulator, local)
    back = {
        "REPORT.IPM.Note.NDR": 2,
        "REPORT.IPM.Note.Delayed.DR": 1,
        "REPORT.IPM.Note.DR": 1,
        "REPORT.IPM.Note.IPNRN": 1,
    }
    found = await classes(emulator)
    assert {name: found.count(name) for name in set(found)} == {
        **back,
        "IPM.Note": 7,
        "IPM.Note.Rules.OofTemplate.Microsoft": 1,
    }
    for filter_ in (REPORTS, f"{LONG_AGO} and {REPORTS}"):
        found = await classes(emulator, **{"$filter": filter_})
        assert {name: found.count(name) for name in set(found)} == back
    assert await classes(emulator, **{"$filter": f"receivedDateTime ge 2999-01-01T00:00:00Z and {REPORTS}"}) == []


async def test_a_report_is_read_as_mime_and_holds_the_headers_of_the_mail(emulator: Emulator) -> None:
    await send(emulator, "5.1.10", internetMessageHeaders=[{"name": "x-mailroom-id", "value": "m-1"}])
    answer = await emulator.graph("GET", MESSAGES, params={"$filter": f"{LONG_AGO} and {REPORTS}"})
    (item,) = answer.json()["value"]
    raw = await emulator.graph("GET", f"{MESSAGES}/{item['id']}/$value")
    assert (raw.status_code, raw.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    report = message_from_bytes(raw.content, policy=policy.default)
    assert report.get_content_type() == "multipart/report"
    _, status, headers = report.iter_parts()
    assert "\r\nStatus: 5.1.0\r\n" in raw.text
    assert status.get_content_type() == "message/delivery-status"
    assert "x-mailroom-id: m-1" in headers.get_content()
    below = await emulator.graph("GET", f"users/{BOX}/mailFolders/inbox/messages/{item['id']}/$value")
    assert error_code(below) == (405, "ErrorInvalidRequest")


async def test_a_sent_mail_too_is_read_as_mime(emulator: Emulator) -> None:
    await send(emulator, "anybody", singleValueExtendedProperties=[marker()])
    (item,) = await emulator.sent_items()
    raw = await emulator.graph("GET", f"{MESSAGES}/{item['id']}/$value")
    assert message_from_bytes(raw.content)["Message-ID"] == item["internetMessageId"]


async def test_reports_come_late_and_out_of_order(emulator: Emulator) -> None:
    await emulator.control("POST", "settings", {"report_delay": 60.0, "report_lag": 5.0})
    await send(emulator, "5.1.1+first")
    await send(emulator, "5.1.1+second")
    seen = []
    for seconds in (34, 2, 28, 2):
        emulator.clock.now += seconds
        answer = await emulator.graph("GET", MESSAGES, params={"$filter": REPORTS})
        seen.append(len(answer.json()["value"]))
    assert seen == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"$filter": REPORTS.replace("startswith", "endswith")}, "BadRequest"),
        ({"$filter": REPORTS.replace("startswith(ep/value, 'REPORT.')", "ep/value ge 'REPORT.'")}, "BadRequest"),
        ({"$filter": f"{LONG_AGO} or {REPORTS}"}, "BadRequest"),
        ({"$filter": "receivedDateTime ge yesterday"}, "BadRequest"),
        ({"$filter": REPORTS, "$orderby": "receivedDateTime"}, "InefficientFilter"),
        ({"$filter": f"{REPORTS} and {LONG_AGO}", "$orderby": "receivedDateTime"}, "InefficientFilter"),
    ],
)
async def test_what_graph_does_not_document_is_refused(emulator: Emulator, params: dict[str, str], code: str) -> None:
    assert error_code(await emulator.graph("GET", MESSAGES, params=params)) == (400, code)


async def test_a_tenant_may_refuse_class_and_time_together(emulator: Emulator) -> None:
    assert Settings().class_filters
    await emulator.control("POST", "settings", {"class_filters": False})
    refused = await emulator.graph("GET", MESSAGES, params={"$filter": f"{LONG_AGO} and {REPORTS}"})
    assert error_code(refused) == (400, "InefficientFilter")
    for filter_ in (LONG_AGO, REPORTS):
        assert (await emulator.graph("GET", MESSAGES, params={"$filter": filter_})).status_code == 200
