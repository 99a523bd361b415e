"""The limits on who is named are above what a mail to a whole company has: 500 people, as mail programs write them."""

from collections.abc import Iterator
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from shared.mail.limits import check
from shared.mail.model import SendMail
from shared.mime.read import read_mime

NAMES = (
    "Łukasz Wójcik", "Schäfer-Großmann, Änne (Einkauf & Logistik)", 'Robert "Bob" O\'Neill, Jr.',
    "Nguyễn Thị Minh Khai", "山田 太郎, 営業部 第二課", "Dr. med. María-José de la Cruz y Fernández de Córdoba",
    "Facilities; Building 7 <Ground floor>", "محمد عبد الله", "ACME Corp. [External]",
    "плановый отдел, Санкт-Петербург",
)  # fmt: skip


def people(count: int = 500) -> Iterator[tuple[str, str]]:
    for number in range(count):
        yield f"{NAMES[number % len(NAMES)]} {number}", f"first.last-{number}@department{number % 7}.contoso.example"


def named(mail: SendMail) -> list[tuple[str, str]]:
    found = [*(mail.message.to_recipients or ()), *(mail.message.cc_recipients or ())]
    return [(bare(one.email_address.name or ""), one.email_address.address) for one in found]


def bare(name: str) -> str:
    """Without blanks: where it folds, Python's writer loses some and doubles others."""
    return "".join(name.split())


@pytest.mark.parametrize(("most", "count"), [(76, 60), (990, 500)])
def test_500_people_with_quoted_and_encoded_names_are_a_mail_in_mime(most: int, count: int) -> None:
    """As Python's own writer folds, quotes and encodes them, in long lines; in short ones it takes long."""
    written = EmailMessage(SMTP.clone(max_line_length=most))
    addresses = [Address(name, addr_spec=address) for name, address in people(count)]
    written["To"], written["Cc"] = addresses[: count // 2], addresses[count // 2 :]
    written["Subject"] = "all hands"
    written.set_content("The canteen is open.")
    mail = read_mime(written.as_bytes())
    check(mail)
    assert named(mail) == [(bare(name), address) for name, address in people(count)]
