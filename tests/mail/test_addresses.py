"""One mailbox has one canonical form, however its address is spelled; what has none is refused."""

import unicodedata

import email_validator
import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mail.addresses import LONGEST, canonical, checked, mailbox_name
from tests.mail.strategies import addresses

ONE = "jane.doe@xn--bcher-kva.example"
SPELLINGS = [
    "jane.doe@xn--bcher-kva.example", "Jane.DOE@XN--BCHER-KVA.EXAMPLE", "jane.doe@bücher.example",
    "jane.doe@BÜCHER.Example", "jane.doe@bu\u0308cher.example",
]  # fmt: skip
# What could be read as jane.doe@contoso.com, or as an address at it, by whoever is less strict.
NO_FORM = [
    # full-width, mathematical and circled letters, the long s, the Kelvin sign
    "jane.doe@\uff43\uff4f\uff4e\uff54\uff4f\uff53\uff4f.com", "jane.doe@\U0001d41c\U0001d428ntoso.com",
    "jane.doe@contoso.\u24d2om", "jane.doe@conto\u017fo.com", "\uff4aane.doe@contoso.com", "\u212aim@contoso.com",
    # full stops of other scripts, a one dot leader, full-width signs
    "jane.doe@contoso\u3002com", "jane.doe@contoso\uff0ecom", "jane.doe@contoso\uff61com", "jane\u2024doe@contoso.com",
    "jane.doe\uff20contoso.com", "jane.doe\uff20x@contoso.com",
    # soft hyphens, joiners, fillers, variation selectors; a mark without its letter
    "jane.doe@conto\u00adso.com", "jane.doe@conto\u200bso.com", "jane.doe@conto\u200dso.com",
    "jane.doe@conto\u2060so.com", "jane.doe@contoso.com\ufeff", "jane.doe@conto\ufe0fso.com",
    "jane.doe\u200b@contoso.com", "jane.doe\u00ad@contoso.com", "jane.doe\u034f@contoso.com",
    "jane.doe\ufe0f@contoso.com", "jane.doe\u3164@contoso.com", "\u0301jane.doe@contoso.com",
    # dots, and encodings of nothing that needs one
    "jane.doe@contoso.com.", "jane.doe@.contoso.com", "jane.doe@contoso..com", "jane..doe@contoso.com",
    ".jane.doe@contoso.com", "jane.doe.@contoso.com", "jane.doe@xn--contoso-.com", "jane.doe@xn--zzzz99999.com",
    "jane.doe@xn--Bcher-Kva.xn--.com",
    # what RFC 5322 allows, and lists
    "jane.doe@[192.0.2.1]", "jane.doe@contoso.com, eve@contoso.com", "jane.doe@contoso.com;eve@contoso.com",
    "jane.doe@contoso.com(comment)", "jane.doe(comment)@contoso.com", "(comment)jane.doe@contoso.com",
    '"jane.doe"@contoso.com', '"jane doe"@contoso.com', "jane\\.doe@contoso.com", "@relay.example:jane.doe@contoso.com",
    "Jane <jane.doe@contoso.com>", "<jane.doe@contoso.com>", "smtp:jane.doe@contoso.com", "/o=Contoso/cn=jane.doe",
    # blanks, line ends, halves of surrogate pairs; no address at all
    " jane.doe@contoso.com", "jane.doe@contoso.com ", "jane doe@contoso.com", "jane.doe@contoso.com\n",
    "jane\r\nBcc: eve@contoso.com", "jane.doe@contoso.com\x00", "jane.doe@contoso.com\ud800", "\ud800@contoso.com",
    "jane.doe@contoso\u2028.com", "jane_doe@contoso_.com", "jane.doe@-contoso.com", "jane.doe@@contoso.com",
    "jane@doe@contoso.com", "jane.doe", "", "@", "jane.doe@", "@contoso.com", "0e2c6b8e-1111-4222-8333-abcdefabcdef",
]  # fmt: skip


@pytest.mark.parametrize("address", SPELLINGS)
def test_every_spelling_of_a_mailbox_has_one_canonical_form(address: str) -> None:
    assert canonical(address) == ONE


@pytest.mark.parametrize("address", NO_FORM)
def test_what_some_would_read_as_another_address_is_refused(address: str) -> None:
    for read in (checked, canonical):
        with pytest.raises(ValueError, match=r"\.$"):
            read(address)


def test_what_goes_to_graph_is_the_canonical_form_but_for_the_case_before_the_at() -> None:
    assert checked("Jane.Doe+Tag-4aB@BÜCHER.example") == "Jane.Doe+Tag-4aB@xn--bcher-kva.example"
    assert checked("E\u0301lodie@contoso.com") == "Élodie@contoso.com"
    for address in ("a@b.test", "a+b@c.test", "O'Neil@contoso.com", "a@intranet", "ü@contoso.com"):
        assert checked(address) == address
    assert canonical("ΟΔΟΣ@contoso.com") == canonical("οδος@contoso.com") == canonical("οδοσ@contoso.com")


@pytest.mark.parametrize("address", ["a" * 64 + "@x.test", "a@" + ".".join(["b" * 63] * 3), "ü" * 32 + "@x.test"])
def test_lengths_end_where_smtp_ends_them(address: str) -> None:
    assert canonical(address)
    with pytest.raises(ValueError, match=r"\.$"):
        canonical(address.replace("@", "a@b" if address[0] == "a" else "ü@") + "." + "c" * 63)


def test_a_text_without_end_is_refused_by_its_length_alone() -> None:
    """Normalising a run of marks takes time that grows with its square."""

    class Counted(str):
        """Notes whether anything but its length was asked for."""

        __slots__ = ("touched",)

        def partition(self, sep: str, /) -> tuple[str, str, str]:
            raise AssertionError("it was read")

    with pytest.raises(ValueError, match=str(LONGEST)):
        checked(Counted("a" + "\u0301" * 100_000 + "@x.test"))


def test_mailboxes_are_named_by_id_pool_or_canonical_address() -> None:
    assert mailbox_name("Alerts@BÜCHER.example") == "alerts@xn--bcher-kva.example"
    assert mailbox_name("0E2C6B8E-1111-4222-8333-ABCDEFABCDEF") == "0e2c6b8e-1111-4222-8333-abcdefabcdef"
    assert mailbox_name("Team-1") == "team-1"


def lenient(address: str) -> str | None:
    """How a service reads addresses that maps whatever can be mapped (UTS #46, NFKC, nothing unseen)."""
    local, _, domain = address.rpartition("@")
    seen = "".join(c for c in unicodedata.normalize("NFKC", local) if unicodedata.category(c) not in {"Cf", "Cc"})
    try:
        return f"{seen.strip(' .').casefold()}@{idna.encode(domain.strip(' .'), uts46=True).decode()}"
    except UnicodeError:
        return None


def variants(character: str) -> list[str]:
    """Spellings of one character that some reader takes for it."""
    full = chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character
    bold = chr(0x1D41A + ord(character) - ord("a")) if "a" <= character <= "z" else character
    apart = unicodedata.normalize("NFD", character)
    return [character, character, character.upper(), full, bold, apart, f"{character}\u200b", f"{character}\u00ad"]


def spelled(address: str) -> st.SearchStrategy[str]:
    return st.tuples(*(st.sampled_from(variants(character)) for character in address)).map("".join)


MAILBOXES = ["a@b.test", "k.s@bü.test", "xi@sub.ss.test", "é@strasse.test", "i@straße.test", "\u03c3@\u03c2.test"]


@given(st.sampled_from(MAILBOXES).flatmap(lambda one: st.tuples(spelled(one), spelled(one))))
def test_two_spellings_that_reach_one_mailbox_have_one_canonical_form(spellings: tuple[str, str]) -> None:
    forms = []
    for address in spellings:
        try:
            forms.append((canonical(address), lenient(address), lenient(checked(address))))
        except ValueError:
            continue
    for form, as_written, as_sent in forms:
        assert as_written == as_sent, (
            "what goes to Graph is what the sender's spelling means to the most lenient reader"
        )
        assert canonical(form) == form
    assert len({form for form, _, _ in forms}) == len({as_written for _, as_written, _ in forms})


@given(addresses() | st.text(max_size=20) | st.text('aA1.@-"ü\u0308漢\uff58\u200b ', max_size=14))
def test_whatever_has_a_form_is_an_address_to_others_too(text: str) -> None:
    try:
        form = canonical(text)
    except ValueError:
        return
    assert checked(form) == form
    local, _, domain = form.partition("@")
    assert domain == idna.encode(domain).decode() or "--" in domain
    assert local.isprintable()
    email_validator.validate_email(form, check_deliverability=False, test_environment=True, globally_deliverable=False)
