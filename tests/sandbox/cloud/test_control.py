"""The control endpoint."""

from tests.sandbox.cloud.emulator import BOX, Emulator, mail, marker


async def test_stats_count_requests_to_graph(emulator: Emulator) -> None:
    await emulator.send()
    await emulator.send({})
    await emulator.client.get("/v1.0/me/messages")
    assert await emulator.control("GET", "stats") == {
        "requests": 3,
        "accepted": 1,
        "unauthorized": 1,
        "throttled": 0,
        "in_flight_max": 1,
        "in_flight_max_in_all": 1,
        "over_limits": {},
        "by_status": {"202": 1, "400": 1, "401": 1},
        "faults": {},
    }


async def test_the_requests_of_a_mail_are_told_by_the_id_in_them(emulator: Emulator) -> None:
    """Also those that a fault has hit before anything was read of them. Nothing that stood in them is told."""
    mine = "0123456789abcdef" * 2
    await emulator.control("POST", "settings", {"journal": True})
    await emulator.control("POST", "faults", [{"kind": "unavailable"}, {"kind": "throttle", "on": "read"}])
    for _ in range(2):
        await emulator.send(mail(singleValueExtendedProperties=[marker(mine)]))
    await emulator.send(mail(singleValueExtendedProperties=[marker(mine.replace("0", "1"))]))
    query = f"singleValueExtendedProperties/Any(ep: ep/id eq 'String x' and ep/value eq '{mine}')"
    await emulator.graph("GET", f"users/{BOX}/messages", params={"$filter": query})
    found = await emulator.control("GET", "requests", id=mine)
    seen = [(one["method"], one["path"].rpartition("/")[2], one["fault"], one["status"]) for one in found]
    assert seen == [
        ("POST", "sendMail", "unavailable", "503"),
        ("POST", "sendMail", None, "202"),
        ("GET", "messages", "throttle", "429"),
    ]
    assert all(set(one) == {"at", "method", "path", "fault", "status", "seconds"} for one in found)


async def test_reset_forgets_mail_counters_and_faults_but_not_what_was_set(emulator: Emulator) -> None:
    await emulator.send()
    await emulator.control("POST", "faults", {"kind": "lost"})
    await emulator.control("POST", "settings", {"concurrency": 9})
    await emulator.control("POST", "permissions", {"deny": ["readwrite"]})
    await emulator.control("POST", "reset")
    assert await emulator.accepted() == []
    assert await emulator.sent_items() == []
    assert await emulator.control("GET", "faults") == []
    assert (await emulator.control("GET", "stats"))["accepted"] == 0
    assert (await emulator.control("GET", "settings"))["concurrency"] == 9
    await emulator.control("POST", "reset", {"all": True})
    assert (await emulator.control("GET", "settings"))["concurrency"] == 4
    assert await emulator.control("GET", "permissions") == {}
