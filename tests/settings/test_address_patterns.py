import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings.address_patterns import Patterns

GUID = "0e2c6b8e-1111-4222-8333-abcdefabcdef"

MATCHES = [
    ("alerts@contoso.com", "alerts@contoso.com"), ("alerts@contoso.com", "Alerts@CONTOSO.com"),
    ("Alerts@Contoso.COM", "alerts@contoso.com"), ("*@contoso.com", "anyone+tag@contoso.com"),
    ("*@*.contoso.com", "anyone@mail.contoso.com"), ("alerts@*.contoso.com", "ALERTS@eu.contoso.com"),
    ("*", "anyone@anywhere.example"), ("*", "ü@intranet"), ("a@b.test *@contoso.com", "x@contoso.com"),
    ("a@b.test,  *@contoso.com\n", "x@contoso.com"), ("*@bücher.example", "a@xn--bcher-kva.example"),
    ("*@xn--bcher-kva.example", "a@BÜCHER.example"), ("ü@contoso.com", "ü@contoso.com"), ("a@intranet", "a@intranet"),
    (GUID, GUID.upper()), (GUID.upper(), GUID),
]  # fmt: skip


@pytest.mark.parametrize(("patterns", "address"), MATCHES)
def test_a_pattern_matches(patterns: str, address: str) -> None:
    assert Patterns.parse(patterns).allow(address)
    assert Patterns() == Patterns.parse("")


# By the pattern: what it does not match, full-width letters and the Kelvin sign (in lower case a k) included.
MISSES = {
    "": ["a@contoso.com"],
    " , ": ["a@contoso.com"],
    "alerts@contoso.com": [
        "alert@contoso.com", "alerts@contoso.com.evil.example", "alerts@mail.contoso.com", "alerts@contoso.com.",
        " alerts@contoso.com", "alerts@contoso.com\n", "alerts", "", "\uff41lerts@contoso.com",
    ],
    "kim@contoso.com": ["\u212aim@contoso.com"],
    "a@kontoso.com": ["a@\u212aontoso.com"],
    "*@contoso.com": [
        "evil@fabrikam.com", "a@mail.contoso.com", "@contoso.com", "a@b@contoso.com", "a@evil.example,b@contoso.com",
        '"a@evil.example"@contoso.com', '"a b"@contoso.com', "a\uff20evil.example@contoso.com", "A <a@contoso.com>",
        "a\x00@contoso.com", "a\u200b@contoso.com", "a@contoso\u3002com", "a@contoso.com\ud800", GUID,
    ],
    "*@*.contoso.com": ["a@contoso.com", "a@x.y.contoso.com", "a@.contoso.com", "a@evilcontoso.com"],
    "alerts@*.contoso.com": ["other@eu.contoso.com"],
    "*": [GUID, "nobody", "a@b@c.example", "a b@c.example", "a@c.example\r\nBcc: x@y.example", "@"],
    f"*@contoso.com {GUID}": [GUID.replace("0e2c", "0e2d")],
    GUID: [f"{{{GUID}}}", GUID + " "],
}  # fmt: skip


@pytest.mark.parametrize(("patterns", "addresses"), MISSES.items())
def test_a_pattern_does_not_match(patterns: str, addresses: list[str]) -> None:
    assert [address for address in addresses if Patterns.parse(patterns).allow(address)] == []
    assert "contoso" not in repr(Patterns.parse(patterns)), "addresses do not belong in logs"


WRONG = [
    "contoso.com", "@contoso.com", "alerts@", "@", "al*@contoso.com", "alerts@*", "*@*", "*@*.", "*@mail.*.com",
    "alerts@*contoso.com", "*@**.contoso.com", "**", "**@contoso.com", "a@b@contoso.com", "<a@contoso.com>",
    '"a"@contoso.com', "a@contoso..com", "a@-contoso.com", "*.contoso.com", "a;b@contoso.com", "*@contoso.com;x@y.com",
    "a\u200b@contoso.com", "ａ@contoso.com", "a@[127.0.0.1]", f"{{{GUID}}}", GUID[:-1], "0e2c6b8e-*",  # noqa: RUF001
]  # fmt: skip


@pytest.mark.parametrize("pattern", WRONG)
def test_what_is_no_pattern_is_named_together_with_what_is_expected(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"expected an address") as caught:
        Patterns.parse(f"*@contoso.com {pattern} a@b.test")
    assert repr(pattern) in str(caught.value)


def test_patterns_of_a_list_are_not_split() -> None:
    assert Patterns.of(["a@b.test", "*"]) == Patterns.parse("a@b.test *")
    with pytest.raises(ValueError, match=r"'a@b\.test c@d\.test'"):
        Patterns.of(["a@b.test c@d.test"])


names = st.from_regex(r"[a-zA-Z0-9_+-]{1,4}(\.[a-zA-Z0-9_+-]{1,3})?", fullmatch=True)
labels = st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True)
anything = st.text(max_size=25) | st.text('aA@.*"<> ,;\n\u200b\uff20\u212ax-', max_size=12)


@given(anything, labels, labels)
def test_only_one_plain_address_of_the_domain_matches_a_domains_pattern(text: str, below: str, label: str) -> None:
    """However a text is made, a match means: one @, the domain after it, and nothing odd before it."""
    domain = f"{label}.test"
    for patterns, ends in [(f"*@{domain}", [domain]), (f"*@*.{domain}", [f"{below}.{domain}"])]:
        for candidate in [text, f"{text}@{ends[0]}", f"{text}{ends[0]}", f"a@{text}{ends[0]}", f"a@{ends[0]}{text}"]:
            if Patterns.parse(patterns).allow(candidate):
                local, at, rest = candidate.partition("@")
                assert (local, at) != ("", "")
                assert "@" not in rest
                assert rest.lower().endswith(f".{domain}" if "*." in patterns else domain)
                assert patterns.startswith("*@*") or rest.lower() == domain
                assert not set(local) & set('"<>()[],;: \n\u200b\uff20\u212a')


@given(names, labels, st.data())
def test_an_address_matches_itself_in_any_case_and_no_other(name: str, label: str, data: st.DataObject) -> None:
    address = f"{name}@{label}.test"
    patterns = Patterns.parse(address)
    cased = "".join(data.draw(st.sampled_from([mail.lower(), mail.upper()])) for mail in address)
    assert patterns.allow(cased)
    other = data.draw(names)
    assert patterns.allow(f"{other}@{label}.test") == (other.lower() == name.lower())


@given(anything)
def test_asking_never_raises_and_a_star_passes_one_address_at_most(text: str) -> None:
    for patterns in ("*", "*@contoso.com", "a@b.test", GUID, ""):
        allowed = Patterns.parse(patterns).allow(text)
        assert not allowed or (text.count("@") == 1 and not any(character.isspace() for character in text))
