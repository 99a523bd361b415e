"""Route templates on their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.host.routing import Route, overlap, parse_template, split_path

# Deadlines say how busy the machine is, not whether the code is right.


_WORD = st.text("abcXYZ09-._~", min_size=1, max_size=8)


@given(st.lists(_WORD, min_size=1, max_size=5), st.data())
def test_a_template_of_text_matches_its_own_path_in_any_case(words: list[str], data: st.DataObject) -> None:
    path = [data.draw(st.sampled_from([word.lower(), word.upper()])) for word in words]
    assert parse_template("/".join(words)).match(path) == {}
    assert parse_template("/".join(words)).match([*path, "more"]) is None


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_parameters_take_what_stands_in_their_place(values: list[str]) -> None:
    template = parse_template("/".join(f"{{p{number}}}" for number in range(len(values))))
    assert template.match(values) == {f"p{number}": value for number, value in enumerate(values)}
    assert template.match([*values[:-1], ""]) is None
    assert parse_template("{*rest}").match(values) == {"rest": "/".join(values)}


@given(st.binary(max_size=30))
def test_any_path_is_split_or_refused(raw: bytes) -> None:
    segments = split_path(b"/" + raw)
    assert segments is None or all(isinstance(segment, str) for segment in segments)


@given(st.text(max_size=30))
def test_any_text_is_a_template_or_a_value_error(text: str) -> None:
    try:
        parse_template(text)
    except ValueError:
        return


@pytest.mark.parametrize(
    "template",
    [
        *("/a", "a//b", "{a}/{A}", "{a?}/b", "{*a}/b", "{*a?}", "{a}{b}", "x-{a}", "{a:regex(x)}", "{a=1}", "{a", "a?"),
        *("{}", "{a:int:odd}"),
    ],
)
def test_a_template_that_is_not_known_is_refused_with_its_text(template: str) -> None:
    with pytest.raises(ValueError, match="route"):
        parse_template(template)


@pytest.mark.parametrize(
    ("constraint", "accepted", "refused"),
    [
        ("int", ["0", "-2147483648", "2147483647"], ["x", "", "2147483648", "1.5"]),
        ("long", ["9223372036854775807"], ["9223372036854775808"]),
        ("guid", ["12345678-1234-1234-1234-123456789abc", "1" * 32], ["12345678", "1" * 31]),
        ("alpha", ["abc"], ["a1"]),
        ("bool", ["true", "FALSE"], ["yes"]),
    ],
)
def test_constraints_decide_what_a_parameter_takes(constraint: str, accepted: list[str], refused: list[str]) -> None:
    template = parse_template(f"{{p:{constraint}}}")
    assert all(template.match([value]) == {"p": value} for value in accepted)
    assert all(template.match([value]) is None for value in refused)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("a/{x}", "a/b", True),
        ("a/{x:int}", "a/b", False),
        ("a/{x}/c", "a/b/d", False),
        ("a/{*rest}", "a", True),
        ("a/{x?}", "a", True),
        ("a/{x}", "a", False),
        ("{x}/b", "a/{y}", True),
    ],
)
def test_routes_overlap_when_a_request_could_go_to_either(one: str, other: str, both: bool) -> None:  # noqa: FBT001 (a column of the table)
    routes = [Route(text, parse_template(text), None) for text in (one, other)]
    assert overlap(*routes) is overlap(*reversed(routes)) is both


def test_routes_for_different_methods_do_not_overlap() -> None:
    get, post = (Route(method, parse_template("a"), frozenset([method])) for method in ("GET", "POST"))
    assert not overlap(get, post)
    assert overlap(get, get)
