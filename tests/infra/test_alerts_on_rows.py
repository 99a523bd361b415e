"""Each alert rule is run on rows: it fires for its fault, once the fault's lines have arrived, and for nothing else."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from shared.telemetry import LogEvent
from tests.infra.watching import Log, alerts, line, recorded

Fault = Callable[[Log, int], None]
RPC: Final = "Microsoft.Azure.WebJobs.Script.Workers.Rpc.RpcException"
ABORTED: Final = "Microsoft.AspNetCore.Connections.ConnectionResetException"
TOO_LARGE: Final = "Microsoft.AspNetCore.Server.Kestrel.Core.BadHttpRequestException"
DAY: Final = 24 * 60


def _over(minutes: int, event: LogEvent, **fields: Any) -> Fault:
    """Said every minute for so long."""

    def write(log: Log, at: int) -> None:
        for minute in range(at, at + minutes + 1):
            log.said(minute, event, **fields)

    return write


def _rotated(log: Log, at: int) -> None:
    """A route's secret was changed at one side only; its sender tries each event thrice."""
    log.said(at - 300, LogEvent.MAIL_ACCEPTED, route="generic")
    log.said(at - 298, LogEvent.MAIL_SENT, route="generic", seconds=120.0)
    for minute in range(4):
        log.said(at + minute, LogEvent.EVENT_UNVERIFIED, route="generic", times=3)


def _secret_gone(log: Log, at: int) -> None:
    """Said once a day, whatever comes."""
    log.said(at - 300, LogEvent.MAIL_ACCEPTED, route="generic")
    log.said(at, LogEvent.ROUTE_OFF, route="generic")


def _no_token(log: Log, at: int) -> None:
    """The only caller asks for its token in the wrong place."""
    log.request(at - 600, "send_mail", 202)
    log.said(at, LogEvent.CALLER_REFUSED, status=401, times=12)


def _one_of_two(log: Log, at: int) -> None:
    """One caller may no longer send; the other's mails go on."""
    for minute in range(at - 60, at + 30):
        log.request(minute, "send_mail", 202)
    log.said(at, LogEvent.CALLER_REFUSED, status=403, application="7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10c002", times=12)


def _bounces(log: Log, at: int) -> None:
    """Of 300 mails since the day before 20 come back."""
    for number in range(300):
        log.said(at - 2 * number, LogEvent.MAIL_SENT)
    for number in range(20):
        log.said(at, LogEvent.MAIL_BOUNCED, id=f"{number:032x}", code="5.1.10", kind="permanent")


def _broken_off(log: Log, at: int) -> None:
    log.request(at, "events", 500, ABORTED, times=50)


FAULTS: Final[dict[str, list[Fault]]] = {
    "dead-mail": [
        lambda log, at: log.said(at, LogEvent.MAIL_FAILED, code="ErrorInvalidRecipients"),
        lambda log, at: log.said(at, LogEvent.MAIL_REFUSED),
        lambda log, at: log.said(at, LogEvent.MAIL_POISONED, queue="mail-outbox"),
    ],
    "mails-needing-review": [lambda log, at: log.said(at, LogEvent.MAIL_NEEDS_REVIEW, code="ErrorAccessDenied")],
    "table-replaced": [lambda log, at: log.said(at, LogEvent.TABLE_REPLACED, table="mailledger", seen="…", found="…")],
    "resent": [lambda log, at: log.said(at, LogEvent.MAIL_RESENT)],
    "throttled": [_over(11, LogEvent.GRAPH_THROTTLED)],
    "intake-5xx": [
        lambda log, at: log.said(at, LogEvent.INTAKE_UNAVAILABLE, code="ServiceUnavailable"),
        lambda log, at: log.said(at, LogEvent.EVENT_DEFERRED, route="generic", why="ServiceRequestError"),
        lambda log, at: log.request(at, "send_mail", 500, RPC),
        lambda log, at: log.request(
            at, "events", 500, "Microsoft.Azure.WebJobs.Script.Workers.WorkerProcessExitException"
        ),
    ],
    "setting-refused": [_over(0, LogEvent.SETTING_REFUSED, setting="MAIL_SENDER", expected="an address")],
    "nothing-sent": [
        lambda log, at: log.timers(at, at + 30, oldest={"mail-work": 2400.0}),  # visible, and nothing takes it
        lambda log, at: log.timer(at, backlog=2400.0),  # hidden, and put back again and again
    ],
    "producers-wait": [
        lambda log, at: log.timers(at, at + 15, oldest={"mail-outbox": 900.0}),
        lambda log, at: log.timers(at, at + 15, oldest={"mail-events": 900.0}),
    ],
    "poison-stays": [lambda log, at: log.timers(at, at + 15, oldest={"mail-work-poison": 60.0})],
    "mailbox-full": [
        lambda log, at: log.said(at, LogEvent.GRAPH_QUOTA),
        lambda log, at: log.said(at, LogEvent.RECIPIENTS_REACHED, per_day=10_000),
    ],
    "permission": [lambda log, at: log.said(at, LogEvent.GRAPH_PERMISSION)],
    "unreached": [_over(11, LogEvent.GRAPH_UNREACHED, code="connect")],
    "many-bounces": [_bounces],
    "near-limit": [
        lambda log, at: log.said(at, LogEvent.RECIPIENTS_NEAR, per_day=10_000),
        lambda log, at: log.said(at, LogEvent.CALLER_LIMITED, caller="mail-outbox"),
    ],
    "degraded": [
        lambda log, at: log.said(at, LogEvent.BOUNCES_UNREAD, mailbox="0" * 16, status=403, code="ErrorAccessDenied"),
        lambda log, at: log.said(at, LogEvent.VAULT_UNREACHED, route="generic", code="ServiceRequestError"),
        lambda log, at: log.said(
            at, LogEvent.EVENT_DEFERRED, id="0" * 32, route="generic", why="Its template is broken."
        ),
    ],
    "turned-away": [
        _rotated,
        _secret_gone,
        _no_token,
        _one_of_two,
        _broken_off,
    ],
}
CASES: Final = [pytest.param(rule, fault, id=f"{rule}-{n}") for rule in FAULTS for n, fault in enumerate(FAULTS[rule])]


def quiet(first: int, last: int) -> Log:
    """The timer speaks, and now and then a mail goes."""
    log = Log()
    log.host_said(first, "Host started (412ms)")
    log.timers(first, last)
    for minute in range(first, last, 35):
        log.said(minute, LogEvent.MAIL_ACCEPTED, route="generic")
        log.said(minute, LogEvent.MAIL_SENT, route="generic")
        log.request(minute, "events", 202)
    return log


def test_a_fault_is_written_down_for_every_rule() -> None:
    assert FAULTS.keys() | {"silent"} == alerts().keys()


@pytest.mark.parametrize(("rule", "fault"), CASES)
def test_a_fault_fires_its_rule_within_its_time_and_the_rule_is_quiet_before_and_after(rule: str, fault: Fault) -> None:
    """However the moment lies between two evaluations, and although lines arrive late."""
    for at in (181, 194):
        log = quiet(85, 180)
        log.timers(180, 315)
        fault(log, at)
        fired = log.fired(rule, at - 15, 315, late=4.5)
        assert fired, "never fired"
        assert at <= fired[0] <= at + 45
        assert fired[-1] < 315, "fires still when all is over"


def test_a_quiet_app_wakes_nobody() -> None:
    assert quiet(-60, 120).fired_any(0, 120) == {}


def test_an_app_that_has_nothing_to_send_wakes_nobody() -> None:
    log = Log()
    log.timers(-60, 60)
    assert log.fired_any(0, 60) == {}


def test_before_the_first_line_only_silence_is_told_and_no_rule_fails() -> None:
    """No table exists yet. The deployment is under way, or has gone wrong: the first line of the timer ends it."""
    log = Log()
    assert log.fired_any(0, 15) == {"silent": [0, 5, 10, 15]}
    log.host_said(16, "0 functions found (Custom)")
    assert log.fired_any(20, 45).keys() == {"silent"}
    log.timers(50, 120)
    assert log.fired("silent", 50, 120) == [50]
    assert log.fired_any(55, 100) == {}


@pytest.mark.parametrize("missing", ["AppTraces", "AppRequests", "AppExceptions"])
def test_no_rule_fails_for_a_table_that_does_not_exist_yet(missing: str) -> None:
    log = quiet(-60, 30)
    log.request(0, "events", 500, ABORTED)
    del log.tables[missing]
    assert log.fired_any(0, 30).keys() <= {"silent"}


def test_an_app_that_stands_still_is_told_of_until_it_runs_again() -> None:
    log = quiet(-60, 60)
    fired = log.fired("silent", 0, 2 * DAY)
    assert 85 <= fired[0] <= 100
    assert fired == list(range(fired[0], 2 * DAY + 1, 5))


def test_a_backlog_that_drains_wakes_nobody() -> None:
    """Neither while the old ones go, nor when none is left."""
    log = Log()
    log.timers(-60, 15)
    log.timers(20, 60, oldest={"mail-work": 2400.0}, backlog=2400.0)
    for minute in range(20, 64):
        log.said(minute, LogEvent.MAIL_SENT, seconds=2400.0)
    log.timers(65, 150)
    assert log.fired("nothing-sent", 0, 150) == []
    assert log.fired_any(55, 100) == {}


@pytest.mark.parametrize(
    "end", [LogEvent.MAIL_FAILED, LogEvent.MAIL_CAPTURED, LogEvent.MAIL_SUPPRESSED, LogEvent.MAIL_CANCELLED]
)
def test_a_backlog_that_ends_unsent_is_no_standstill(end: LogEvent) -> None:
    log = Log()
    log.timers(0, 20)
    log.timers(25, 40, backlog=2400.0)
    log.said(42, end)
    log.timers(45, 120)
    assert log.fired("nothing-sent", 45, 120) == []


def test_a_standstill_ends_with_the_first_mail_that_goes() -> None:
    log = Log()
    log.timers(0, 60, oldest={"mail-work": 2400.0})
    log.said(62, LogEvent.MAIL_SENT, seconds=6000.0)
    log.timers(65, 120)
    assert log.fired("nothing-sent", 30, 120) == [30, 35, 40, 45, 50, 55, 60]


@pytest.mark.parametrize("queue", ["mail-work", "mail-outbox"])
def test_mail_for_later_that_is_measured_in_the_moment_it_is_due_wakes_nobody(queue: str) -> None:
    """Times are round, and so is the timer's: a message that was put a day ago is visible until it is taken."""
    log = Log()
    log.timers(0, 55)
    log.timer(60, oldest={queue: 86_400.0})
    log.said(60.2, LogEvent.MAIL_SENT, seconds=12.0)
    log.timers(65, 120)
    assert log.fired("nothing-sent", 60, 120) == log.fired("producers-wait", 60, 120) == []


def test_an_answer_429_now_and_then_wakes_nobody() -> None:
    """1,200 mails an hour, and one of forty throttled: it goes when Graph says."""
    log = quiet(0, 60)
    for minute in range(60):
        log.said(minute, LogEvent.MAIL_SENT, times=20)
        log.said(minute, LogEvent.GRAPH_THROTTLED, times=minute % 2)
    assert log.fired("throttled", 0, 60) == []


@pytest.mark.parametrize(("bounced", "sent"), [(19, 0), (40, 900)])
def test_a_few_bounces_wake_nobody(bounced: int, sent: int) -> None:
    log = Log()
    for minute in range(sent):
        log.said(minute, LogEvent.MAIL_SENT)
    for minute in range(bounced):
        log.said(minute, LogEvent.MAIL_BOUNCED, id="0" * 32, code="5.1.1", kind="permanent")
    assert log.fired("many-bounces", 900, 930) == []


def test_a_poison_message_that_is_taken_within_minutes_does_not_stay() -> None:
    log = quiet(0, 120)
    log.timers(60, 65, oldest={"mail-outbox-poison": 3.0})
    assert log.fired("poison-stays", 60, 120) == []


def test_one_stranger_wakes_nobody() -> None:
    """One request of each kind that anybody can make."""
    log = quiet(-60, 100)
    log.said(61, LogEvent.EVENT_UNVERIFIED, route="generic")
    log.said(61, LogEvent.EVENT_UNVERIFIED, route="github")
    log.said(61, LogEvent.CALLER_REFUSED, status=401)
    log.said(61, LogEvent.BODY_LOST, function="events", route="generic")
    log.said(61, LogEvent.ROUTE_OFF, route="slack")
    log.request(61, "events", 500, ABORTED)
    log.request(61, "send_mail", 500, TOO_LARGE)
    log.request(61, "events", 404)
    assert log.fired_any(60, 100) == {}


def test_a_stranger_who_tries_a_few_times_wakes_nobody() -> None:
    log = quiet(-60, 100)
    log.said(61, LogEvent.EVENT_UNVERIFIED, route="generic", count=9)
    log.said(61, LogEvent.CALLER_REFUSED, status=401, count=9)
    log.request(61, "events", 500, ABORTED, times=49)
    log.request(61, "send_mail", 500, TOO_LARGE, times=49)
    assert log.fired_any(60, 100) == {}


def test_a_stranger_who_goes_on_for_hours_wakes_nobody_while_others_are_let_in() -> None:
    log = quiet(-60, 120)
    for minute in range(20, 120):
        log.said(minute, LogEvent.EVENT_UNVERIFIED, route="generic", count=60)
        log.said(minute, LogEvent.CALLER_REFUSED, status=401, count=60)
        if not minute % 5:
            log.said(minute + 0.5, LogEvent.EVENT_FILTERED, route="generic")
            log.request(minute + 0.5, "send_mail", 202)
    assert log.fired("turned-away", 0, 120) == []


def test_a_route_that_never_let_anyone_in_wakes_nobody() -> None:
    """It is being set up, or found by a scanner."""
    log = quiet(-60, 120)
    log.said(60, LogEvent.EVENT_UNVERIFIED, route="github", count=600)
    log.said(61, LogEvent.CALLER_REFUSED, status=401, count=600)
    assert log.fired("turned-away", 60, 120) == []


def test_no_stranger_pages_however_many_requests_they_make() -> None:
    """Severity 0 is for what only Mailroom, its operator and its storage can do."""
    log = quiet(-60, 100)
    log.request(60, "events", 500, ABORTED, times=200)
    log.said(60, LogEvent.EVENT_UNVERIFIED, route="generic", count=5000)
    assert log.fired_any(60, 100).keys() == {"turned-away"}
    assert alerts()["turned-away"]["severity"] > 1


def test_a_line_that_stands_for_many_counts_as_many() -> None:
    log = quiet(-60, 55)
    log.said(60, LogEvent.EVENT_UNVERIFIED, route="generic", count=10)
    assert log.fired("turned-away", 60, 120)


def test_lines_are_those_that_the_product_wrote() -> None:
    assert len(recorded()) > 20
    assert {one["event"] for one in recorded()} <= set(LogEvent)
    assert '"queue":"mail-work","messages":0' in line(LogEvent.QUEUE_MEASURED, queue="mail-work")
    assert line(LogEvent.QUEUE_MEASURED, queue="mail-work").startswith('{"event":"queue.measured"')
