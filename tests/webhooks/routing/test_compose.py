"""From an event and its route to a mail."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.errors import Malformed, NotAllowed
from shared.mail.graph_types import BodyType, Importance
from shared.mail.model import FileAttachment
from shared.mail.outgoing import OutgoingMail
from shared.mail.threading import marks_of
from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.routing.catalog import BUILT_IN
from shared.webhooks.routing.compose import Composer
from shared.webhooks.routing.route import RouteUnusable
from shared.webhooks.sources.source import SourceEvent
from tests.webhooks.routing.samples import NOW, event, route, settings

RENDERER = Renderer(BUILT_IN / "_layout")


def composed(folder: Path, text: str = "", given: SourceEvent | None = None, **environ: str) -> OutgoingMail:
    found = Composer(settings(**environ), RENDERER).compose(route(folder, text), given or event(), NOW)
    assert found is not None
    return found


def content(mail: OutgoingMail) -> str:
    body = mail.request.message.body
    assert body is not None
    return body.content or ""


def addresses(mail: OutgoingMail, field: str = "to_recipients") -> list[str]:
    return [one.email_address.address for one in getattr(mail.request.message, field) or ()]


def test_mailroom_needs_only_a_sender_and_recipients(tmp_path: Path) -> None:
    mail = composed(tmp_path)
    assert mail.sender == "mailroom@contoso.com"
    assert addresses(mail) == ["ops@contoso.com"]
    assert mail.request.message.subject
    assert mail.request.message.body is not None
    assert mail.request.message.body.content_type is BodyType.HTML
    assert "Order paid" in content(mail)
    assert (mail.origin.kind, mail.origin.name, mail.scope) == ("route", "shop", "route:shop")
    assert mail.request.save_to_sent_items
    pools = '{"team": ["a@contoso.com", "b@contoso.com"]}'
    assert composed(tmp_path, MAIL_SENDER="team", MAIL_SENDER_POOLS=pools).sender == "team"


def test_a_route_says_everything_about_its_mails(tmp_path: Path) -> None:
    text = """
        sender = "shop@contoso.com"
        recipients = ["a@contoso.com", "b@contoso.com"]
        cc = ["c@contoso.com"]
        bcc = ["d@contoso.com"]
        reply_to = ["e@contoso.com"]
        subject = "Paid: {{ at('total') }} & more"
        importance = "high"
        categories = ["Shop"]
        save_to_sent_items = false
        on_unknown = "review"
        keep_days = 30
    """
    mail = composed(tmp_path, text, MAIL_ALLOWED_SENDERS="shop@contoso.com")
    message = mail.request.message
    assert mail.sender == "shop@contoso.com"
    fields = ("to_recipients", "cc_recipients", "bcc_recipients", "reply_to")
    assert ["".join(address[0] for address in addresses(mail, field)) for field in fields] == ["ab", "c", "d", "e"]
    assert message.subject == "Paid: 12 & more"
    assert (message.importance, message.categories) == (Importance("high"), ("Shop",))
    assert (mail.request.save_to_sent_items, mail.on_unknown, mail.keep_days) == (False, "review", 30)


def test_absence_notes_are_kept_away_unless_the_route_wants_them(tmp_path: Path) -> None:
    assert headers(composed(tmp_path))["X-Auto-Response-Suppress"] == "All"
    assert "X-Auto-Response-Suppress" not in headers(composed(tmp_path, "auto_response_suppress = false"))


def headers(mail: OutgoingMail) -> dict[str, str]:
    return {header.name: header.value for header in mail.request.message.internet_message_headers or ()}


def test_the_id_of_the_event_is_in_a_header_that_any_id_fits_into(tmp_path: Path) -> None:
    assert headers(composed(tmp_path))["x-mailroom-event"] == "1"
    ids = {
        "a b\r\nBcc: x": "a%20b%0D%0ABcc:%20x",
        "ü": "%C3%BC",
        "\ud800": "?",
        "100%": "100%25",
        "x" * 999: "x" * 199 + "%E2%80%A6",
    }
    for given, expected in ids.items():
        assert headers(composed(tmp_path, given=event(id=given)))["x-mailroom-event"] == expected


def test_the_settings_of_the_brand_and_the_time_zone_reach_the_mail(tmp_path: Path) -> None:
    picture = tmp_path / "logo.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n...")
    brand = {"MAIL_BRAND_NAME": "Contoso <IT>", "MAIL_BRAND_COLOR": "#7A1FA2", "MAIL_BRAND_LOGO": str(picture)}
    mail = composed(tmp_path, "", None, MAIL_TIME_ZONE="Europe/Berlin", **brand)
    html = content(mail)
    assert "ask whoever runs Contoso &lt;IT&gt;." in html
    assert "22 Nov 2026, 11:00 CET (10:00 UTC)" in html
    assert '<img src="cid:logo" alt="Contoso <IT>' in html
    assert "#7a1fa2" in html
    (logo,) = mail.request.message.attachments or ()
    assert isinstance(logo, FileAttachment)
    assert (logo.name, logo.content_type, logo.is_inline, logo.content_id) == ("logo.png", "image/png", True, "logo")
    mail = composed(tmp_path, 'time_zone = "Asia/Tokyo"', MAIL_TIME_ZONE="Europe/Berlin")
    assert "22 Nov 2026, 19:00 JST (10:00 UTC)" in content(mail)
    assert mail.request.message.attachments is None


def test_a_filter_and_skip_keep_an_event_out(tmp_path: Path) -> None:
    composer = Composer(settings(), RENDERER)
    for text in ("when = \"type == 'other'\"", '[events."order.*"]\nskip = true', "when = 'data.total > `20`'"):
        assert composer.compose(route(tmp_path, text), event(), NOW) is None
    assert composer.compose(route(tmp_path, "when = 'data.total > `10`'"), event(), NOW)


def test_the_same_event_is_the_same_mail_whatever_it_says_the_second_time(tmp_path: Path) -> None:
    """Keys are compared, not bodies: no second mail, and no conflict."""
    first, second = composed(tmp_path), composed(tmp_path, given=event(data={"total": 13}))
    assert (first.id, first.fingerprint) == (second.id, second.fingerprint)
    assert composed(tmp_path, given=event(key="2")).id != first.id
    other = Composer(settings(), RENDERER).compose(route(tmp_path, name="other"), event(), NOW)
    assert other
    assert other.id != first.id


def test_within_the_window_the_same_is_the_same_and_after_it_another_that_names_the_one_before(tmp_path: Path) -> None:
    composer = Composer(settings(), RENDERER)
    shop = route(tmp_path, "repeat_window_minutes = 30")
    mails = [composer.compose(shop, event(), NOW + timedelta(minutes=minutes)) for minutes in (0, 29, 31)]
    first, again, later = [mail for mail in mails if mail]
    assert first.id == again.id != later.id
    assert later.repeats is not None
    assert (later.repeats.of, later.repeats.within) == (first.id, 1800)
    known = composer.compose(shop, event(window=300.0, known_by="identity"), NOW)  # the request has its own window
    assert known
    assert known.repeats
    assert known.repeats.within == 300


def test_conversations_are_on_unless_the_route_says_otherwise(tmp_path: Path) -> None:
    assert composed(tmp_path, given=event(thread="order 1")).thread == "order 1"
    assert composed(tmp_path, "threading = false", event(thread="order 1")).thread is None
    opened = composed(tmp_path, "subject = \"Opened: {{ at('n') }}\"", event(thread="1", subject="Order 1"))
    marks = marks_of(opened)
    assert marks
    assert marks.topic == "Order 1"  # whatever the subjects of its mails say


def test_recipients_out_of_the_event_are_checked_against_the_routes_own_list(tmp_path: Path) -> None:
    text = 'recipients_from = "data.to"\nallow = ["*@contoso.com"]\ncc = ["c@contoso.com"]\n'
    mail = composed(tmp_path, text, event(data={"to": ["a@contoso.com", "b@contoso.com"]}))
    assert addresses(mail) == ["a@contoso.com", "b@contoso.com"]
    assert addresses(mail, "cc_recipients") == ["c@contoso.com"]
    assert addresses(composed(tmp_path, text, event(data={"to": "a@contoso.com"}))) == ["a@contoso.com"]
    for to in ("a@evil.example", ["a@contoso.com", "a@evil.example"]):
        with pytest.raises(NotAllowed, match="allow"):
            composed(tmp_path, text, event(data={"to": to}))
    spelled = composed(tmp_path, text, event(data={"to": ["A@CONTOSO.com"]}))
    assert addresses(spelled) == ["A@contoso.com"]
    with pytest.raises(Malformed):
        composed(tmp_path, text, event(data={"to": "a@\uff43ontoso.com"}))
    everyone = 'recipients_from = "data.to"\nallow = ["*"]\n'
    with pytest.raises(NotAllowed, match="MAIL_ALLOWED_RECIPIENTS"):
        composed(tmp_path, everyone, event(data={"to": "a@evil.example"}), MAIL_ALLOWED_RECIPIENTS="*@contoso.com")


@pytest.mark.parametrize(
    "to", [None, [], "", "nobody", 3, [3], {"a": "a@contoso.com"}, ["a@contoso.com\r\nBcc: x@y.z"]]
)
def test_recipients_that_are_none_refuse_the_event(tmp_path: Path, to: object) -> None:
    with pytest.raises(Malformed):
        composed(tmp_path, 'recipients_from = "data.to"\nallow = ["*"]\n', event(data={"to": to}))


@pytest.mark.parametrize(
    "to", [None, "nobody", "a@evil.example", ["b@contoso.com", "a@evil.example"], ["b@c.de"] * 501]
)
def test_recipients_that_cannot_be_used_are_replaced_by_the_routes_own(
    tmp_path: Path, to: object, caplog: pytest.LogCaptureFixture
) -> None:
    text = 'recipients_from = "data.to"\nallow = ["*@contoso.com"]\nrecipients = ["desk@contoso.com"]\n'
    assert addresses(composed(tmp_path, text, event(data={"to": to}))) == ["desk@contoso.com"]
    (record,) = [record for record in caplog.records if "event.recipients-unusable" in record.message]
    assert "@" not in record.message
    assert addresses(composed(tmp_path, text, event(data={"to": "b@contoso.com"}))) == ["b@contoso.com"]


def test_recipients_that_the_app_may_not_mail_are_replaced_too(tmp_path: Path) -> None:
    text = 'recipients_from = "data.to"\nallow = ["*"]\nrecipients = ["desk@contoso.com"]\n'
    given = event(data={"to": ["b@contoso.com", "a@evil.example"]})
    assert addresses(composed(tmp_path, text, given, MAIL_ALLOWED_RECIPIENTS="*@contoso.com")) == ["desk@contoso.com"]


UNUSABLE = {
    "no sender": ("", {"MAIL_SENDER": ""}, "MAIL_SENDER is not set"),
    "no recipients": ("", {"MAIL_TO": ""}, "MAIL_TO is not set"),
    "a sender that is not allowed": ("", {"MAIL_ALLOWED_SENDERS": "a@contoso.com"}, "MAIL_SENDER is not among"),
    "the route's own sender, not opened": ('sender = "b@contoso.com"', {}, "The route's sender is not among"),
    "a recipient that is not allowed": ("", {"MAIL_ALLOWED_RECIPIENTS": "*@fabrikam.com"}, "MAIL_TO has a recipient"),
    "the route's own, not allowed": (
        'recipients = ["a@x.example"]',
        {"MAIL_ALLOWED_RECIPIENTS": "*@contoso.com"},
        "The route has a recipient",
    ),
}


@pytest.mark.parametrize(("text", "environ", "expected"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_missing_or_wrong_names_itself(
    tmp_path: Path, text: str, environ: dict[str, str], expected: str
) -> None:
    with pytest.raises(RouteUnusable, match=expected) as error:
        Composer(settings(**environ), RENDERER).check(route(tmp_path, text))
    assert "@" not in str(error.value)


def test_a_template_that_fails_gives_the_table_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "shop" / "templates").mkdir(parents=True)
    (tmp_path / "shop" / "templates" / "order.html.j2").write_text(
        '{% extends "mail.html.j2" %}{% block body %}{{ data.secret_of.the_customer }}{% endblock %}'
    )
    assert "twelve" in content(composed(tmp_path, given=event(data={"total": "twelve"})))
    (record,) = [record for record in caplog.records if "template.failed" in record.message]
    assert "twelve" not in record.message


TEMPLATE = '{% extends "mail.html.j2" %}{% set importance = "high" %}{% block body %}of NAME{% endblock %}'


def templates(folder: Path, *names: str) -> None:
    (folder / "shop" / "templates").mkdir(parents=True)
    for name in names:
        (folder / "shop" / "templates" / f"{name}.html.j2").write_text(TEMPLATE.replace("NAME", name))


def test_a_template_says_how_important_it_is_and_the_route_has_the_last_word(tmp_path: Path) -> None:
    templates(tmp_path, "order")
    assert composed(tmp_path).request.message.importance is Importance.HIGH
    assert composed(tmp_path, 'importance = "low"').request.message.importance is Importance.LOW


def test_the_template_of_just_this_event_goes_before_one_of_its_name_and_the_routes_comes_last(tmp_path: Path) -> None:
    templates(tmp_path, "order", "special", "rest")
    assert "of order" in content(composed(tmp_path, 'template = "rest"'))
    assert "of rest" in content(composed(tmp_path, 'template = "rest"', event(type="refund")))
    assert "of special" in content(composed(tmp_path, '[events."order.*"]\ntemplate = "special.html.j2"'))
