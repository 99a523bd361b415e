"""Whatever is killed, cut or lost, no acknowledged mail is lost, and none that can be looked up goes twice."""

import pytest

from tests.chaos.plan import FAULTS, Mail, Options, Way, faults, mails
from tests.chaos.run import chaos
from tests.chaos.senders import Known
from tests.chaos.verdict import offences, untold


async def check(options: Options) -> None:
    report = await chaos(options)
    assert report.kept, f"\n{report}"
    # Otherwise nothing has been proved.
    assert all(report.done[what] for what in ("hosts killed", "storage stopped", "storage connections cut")), (
        report.done
    )
    assert report.by_way["all"]["mails"] == options.mails
    assert report.by_way["all"]["acknowledged"] > options.mails * 0.8, f"\n{report}"
    assert report.stats["faults"], f"\n{report}"


async def test_every_acknowledged_mail_goes_once_while_graph_fails_and_hosts_and_storage_die() -> None:
    await check(Options(mails=40, seconds=14, seed=11))


@pytest.mark.proof
@pytest.mark.parametrize("faults", [20, 30])
async def test_the_same_with_many_mails_and_three_hosts(faults: float) -> None:
    await check(Options(mails=2000, hosts=3, seconds=240, seed=20 + int(faults), faults=faults))


@pytest.mark.proof
async def test_the_same_where_webhooks_only_queue() -> None:
    await check(Options(mails=400, seconds=90, seed=41, at_once=False))


@pytest.mark.proof
async def test_without_a_copy_a_mail_goes_twice_at_most_and_its_state_says_so() -> None:
    await check(Options(mails=400, seconds=90, seed=31, copies=False, faults=40))


@pytest.mark.parametrize("percent", [0, 20, 30, 100])
def test_so_many_of_a_hundred_requests_are_hit_by_a_fault(percent: float) -> None:
    """On sending and on verifying alike, though the emulator draws one fault after the other."""
    for on in FAULTS:
        spared = 1.0
        for fault in faults(percent):
            if fault["on"] == on:
                spared *= 1 - float(str(fault["probability"]))
        assert spared == pytest.approx(1 - percent / 100, abs=1e-9)


def test_a_seed_makes_the_same_mails() -> None:
    assert mails(Options(seed=3)) == mails(Options(seed=3)) != mails(Options(seed=4))


SENT = {"state": "sent", "mayHaveGoneTwice": False}
TWICE = {"state": "sent", "mayHaveGoneTwice": True}
HELD = {"state": "review", "mayHaveGoneTwice": True}
FAILED = {"state": "failed", "mayHaveGoneTwice": False}


@pytest.mark.parametrize(
    ("copy", "acknowledged", "times", "row", "broken"),
    [
        (True, True, 1, SENT, False),
        (True, True, 0, FAILED, True),
        (True, True, 0, None, True),
        (True, True, 2, SENT, True),
        (True, True, 2, TWICE, True),
        (True, True, 1, {"state": "accepted", "mayHaveGoneTwice": False}, True),
        (True, True, 1, FAILED, True),
        (True, True, 1, HELD, True),
        (True, False, 0, FAILED, False),
        (True, False, 0, {"state": "sending", "mayHaveGoneTwice": False}, True),
        (True, False, 0, None, False),
        (True, False, 1, SENT, False),
        (True, False, 2, SENT, True),
        (False, True, 2, TWICE, False),
        (False, True, 2, SENT, True),
        (False, True, 3, TWICE, True),
        (False, True, 0, HELD, False),
        (False, True, 0, SENT, True),
        (False, False, 2, SENT, True),
    ],
)
def test_the_verdict_is_what_was_promised(
    *, copy: bool, acknowledged: bool, times: int, row: dict[str, object] | None, broken: bool
) -> None:
    mail = Mail("one", "http", "a@sandbox.example", 0, 1, large=False, copy=copy)
    known = {"one": Known(acknowledged=acknowledged, ids={"id"})}
    found = offences([mail], known, {"one": ["id"] * times}, {"id": row} if row else {})
    assert bool(found) == broken


@pytest.mark.parametrize("way", ["http-keyless", "queue"])
def test_a_mail_under_two_ids_is_one_that_went_twice(way: Way) -> None:
    mail = Mail("one", way, "a@sandbox.example", 0, 1, large=False, copy=True)
    assert offences([mail], {"one": Known(acknowledged=True)}, {"one": ["a", "b"]}, {"a": SENT, "b": SENT})


@pytest.mark.parametrize(
    ("state", "told", "missing"),
    [
        ("sent", ["mail.sent"], 0),
        ("sent", ["mail.failed", "mail.sent"], 0),
        ("failed", ["mail.sent"], 1),
        ("sent", [], 1),
        ("accepted", [], 0),
    ],
)
def test_an_end_that_was_not_told_is_found(state: str, told: list[str], missing: int) -> None:
    assert len(untold({"id": {"state": state}}, {"id": told})) == missing
