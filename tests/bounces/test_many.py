"""Many mails from several mailboxes, of which one in a hundred comes back, among much that is no bounce."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from tests.bounces.post_office import PostOffice, bounced

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
BOXES = [f"shared{number}@sandbox.example" for number in range(1, 5)]
BOUNCES = ("5.1.10", "5.1.1", "5.7.1-outside", "4.4.7", "5.1.1-bare", "5.2.2-full")
NOISE = ("absent", "4.4.7-delayed", "forged", "read", "delivered")


@pytest.mark.parametrize("mails", [200, pytest.param(5000, marks=pytest.mark.proof)])
@pytest.mark.parametrize("class_filters", [True, False])
async def test_every_bounce_is_on_its_row_and_nothing_else(
    post: PostOffice,
    mails: int,
    class_filters: bool,  # noqa: FBT001
) -> None:
    """In the course of hours, late and out of order, with a run every five minutes."""
    chance = random.Random(7)
    post.cloud.settings.class_filters = class_filters
    post.mailboxes = BOXES
    sent = {}
    for number in range(mails):
        kind = chance.choice(BOUNCES) if number % 100 == 0 else chance.choice(NOISE) if number % 10 == 0 else "anybody"
        row = await post.send(f"{kind}+{number}", box=chance.choice(BOXES))
        sent[row.id] = row, [bounced(f"{kind}+{number}")] if number % 100 == 0 else []
    hours = 1 if mails < 1000 else 4
    arrivals = [item for box in BOXES for item in post.cloud.mailboxes.list(box, "inbox")]
    for item in arrivals:
        item.created -= timedelta(hours=hours * chance.random())
    for item in [item for box in BOXES for item in post.cloud.mailboxes.list(box, "sentitems")]:
        item.created -= timedelta(days=2)
    now, seen = datetime.now(UTC), []
    for item in arrivals:  # what lies ahead cannot be seen yet, and comes up to four minutes late
        post.cloud.mailboxes.remove(item)
        seen.append((item.created + timedelta(seconds=240 * chance.random()), item))
    requests = reports = runs = 0
    for minutes in range(-60 * hours, 15, 5):
        post.late = timedelta(minutes=minutes)
        for item in [item for at, item in seen if at <= now + post.late]:
            post.cloud.mailboxes.add(item)
        counts = await post.collect()
        requests, reports, runs = requests + counts["requests"], reports + counts["reports"], runs + 1
    for row, expected in sent.values():
        found = await post.office.row(row.id)
        assert await post.bounces(row) == expected
        assert (found == row) == (not expected)
    said_failed = sum(item.message_class.endswith(".NDR") for item in arrivals)
    bare = sum(item.mime is not None and b"-bare+" in item.mime for item in arrivals)
    searches = runs * len(BOXES) + (0 if class_filters else len(BOXES))  # the first of each is refused
    assert (reports, requests) == (said_failed, searches + said_failed + bare), "each report is read once"
    print(f"\n{len(arrivals)} of {mails} came back; {runs} runs; {reports} reports read, by {requests} requests")
