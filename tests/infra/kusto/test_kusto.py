"""The rows that queries give here are those that Kusto's documentation says they give.

Each line below is one rule of https://learn.microsoft.com/kusto/query, on the page of the operator or function it uses.
"""

from datetime import UTC, datetime
from typing import Any, Final

import pytest

from tests.infra.kusto.expressions import QueryFailed, Row
from tests.infra.kusto.language import read
from tests.infra.kusto.scalars import Unsupported
from tests.infra.kusto.tables import run

NOW: Final = datetime(2026, 3, 1, 12, 7, 30, tzinfo=UTC)
SCALARS: Final[dict[str, Any]] = {
    # Null values: equality, order, logic.
    "int(null) == int(null)": None,
    "int(null) == 1": False,
    "int(null) != int(null)": None,
    "int(null) != 1": True,
    "int(null) > 3": None,
    "not(int(null) > 3)": None,
    "int(null) > 3 and false": False,
    "int(null) > 3 and true": None,
    "int(null) > 3 or true": True,
    "int(null) > 3 or false": None,
    "iff(int(null) > 3, 'then', 'else')": "else",
    "now() - datetime(null)": None,
    "coalesce(int(null), 4)": 4,
    "coalesce('', 'b')": "b",
    "coalesce(long(null), long(null))": None,
    "isempty('')": True,
    "isempty(long(null))": True,
    "isnotempty('a')": True,
    "isnull(datetime(null))": True,
    "isnull('')": False,
    # Strings: == and in tell cases apart, the others do not.
    "'Abc' == 'abc'": False,
    "'Abc' in ('abc')": False,
    "'Abc' !in ('abc', 'x')": True,
    "'Abcd' startswith 'abc'": True,
    "'mail-outbox-poison' !endswith '-POISON'": False,
    "'xRpcException' endswith 'rpcexception'": True,
    "'North America' has 'america'": True,
    "'North America' has 'amer'": False,
    "'x-y_z' has 'y'": True,
    "'Starting Host' has_any ('bundle', 'host')": True,
    "strcat('a', 1, '')": "a1",
    # Dynamic values: what is not there is null, and null as text is empty.
    'tostring(parse_json(\'{"a": "b"}\').a)': "b",
    "tostring(parse_json('{\"a\": 5}').a)": "5",
    "tostring(parse_json('{\"a\": true}').a)": "true",
    "tostring(parse_json('{\"a\": 5}').b)": "",
    "tostring(parse_json('{\"a\": 5}')['a'])": "5",
    "tostring(parse_json('{\"a\": 5}').a.c)": "",
    "tostring(parse_json('no json'))": "no json",
    "tostring(parse_json('{\"a\": null}').a)": "",
    "toreal(parse_json('{\"a\": 5}').a)": 5.0,
    "toreal(parse_json('{\"a\": 5}').b)": None,
    "toreal(parse_json('{\"a\": null}').a) > 1800": None,
    'toint(parse_json(\'{"a": "7"}\').a)': 7,
    "tolong('x')": None,
    "toint(3.9)": 3,
    # Time.
    "bin(datetime(2026-03-01T12:07:30Z), 5m)": datetime(2026, 3, 1, 12, 5, tzinfo=UTC),
    "bin(datetime(null), 5m)": None,
    "bin(17, 5)": 15,
    "3 * 4 > 11": True,
    "1s * 90.0 == 90s": True,
    "ago(30m)": datetime(2026, 3, 1, 11, 37, 30, tzinfo=UTC),
    "now() - ago(30m) == 30m": True,
    "datetime(2026-01-01) < datetime(2026-01-02)": True,
}
SOME: Final = (
    "datatable(k: string, n: long, t: datetime)"
    "['a', 1, datetime(2026-01-01), 'a', long(null), datetime(2026-01-03), 'b', 5, datetime(2026-01-02)]"
)
XY: Final = "datatable(a: string, n: long)['x', 1, 'y', 2]"
TABLES: Final[dict[str, list[Row]]] = {
    f"{SOME} | where n > 0 | project k, n": [{"k": "a", "n": 1}, {"k": "b", "n": 5}],  # null is not true
    f"{SOME} | where not(n > 3) | project k": [{"k": "a"}],
    f"{SOME} | summarize c = count(), s = sum(n), m = max(n) by k": [
        {"k": "a", "c": 2, "s": 1, "m": 1},
        {"k": "b", "c": 1, "s": 5, "m": 5},
    ],
    f"{SOME} | summarize c = countif(n > 0), s = sumif(n, k == 'a'), d = dcount(k)": [{"c": 2, "s": 1, "d": 2}],
    f"{SOME} | summarize newest = maxif(t, k == 'a'), oldest = minif(t, k == 'c')": [
        {"newest": datetime(2026, 1, 3, tzinfo=UTC), "oldest": None}
    ],
    f"{SOME} | summarize arg_max(t, n) by k | project k, n": [{"k": "a", "n": None}, {"k": "b", "n": 5}],
    f"{SOME} | summarize by k": [{"k": "a"}, {"k": "b"}],
    f"{SOME} | distinct k": [{"k": "a"}, {"k": "b"}],
    f"{SOME} | summarize c = count() by big = iff(n > 3, 'yes', 'no')": [{"big": "no", "c": 2}, {"big": "yes", "c": 1}],
    f"{SOME} | order by t desc | take 2 | project k": [{"k": "a"}, {"k": "b"}],
    f"{SOME} | where k == 'a' | summarize p = percentile(n, 50)": [{"p": 1}],
    # An empty table: one row of defaults without `by`, none with it.
    f"{SOME} | where k == 'x' | summarize c = count(), s = sum(n), i = countif(n > 1), m = max(n)": [
        {"c": 0, "s": 0, "i": 0, "m": None}
    ],
    f"{SOME} | where k == 'x' | summarize c = count() by k": [],
    f"{SOME} | where k == 'x' | summarize by k | summarize c = count()": [{"c": 0}],
    # A union has all columns of its tables; what a table has not is null, or an empty string.
    "datatable(a: string)['x'] | union (datatable(b: long)[1])": [{"a": "x", "b": None}, {"a": "", "b": 1}],
    "union isfuzzy=true (datatable(Message: string)[]), AppTraces | summarize c = count()": [{"c": 0}],
    # A join gives the right table's column of the same name a 1; what has no partner is null or empty there.
    f"{XY} | join kind=leftouter (datatable(a: string, n: long)['x', 7]) on a": [
        {"a": "x", "n": 1, "a1": "x", "n1": 7},
        {"a": "y", "n": 2, "a1": "", "n1": None},
    ],
    "datatable(a: string)['x', 'y'] | join kind=leftanti (datatable(a: string)['x']) on a": [{"a": "y"}],
    f"{XY} | join kind=inner (datatable(a: string, m: long)['x', 1, 'x', 2]) on a | project m": [{"m": 1}, {"m": 2}],
    f"let some = {SOME}; let most = toscalar(some | summarize max(n)); some | where n == most | project k": [
        {"k": "b"}
    ],
}


@pytest.mark.parametrize("expression", SCALARS)
def test_an_expression_is_worth_what_is_documented(expression: str) -> None:
    query = f"print value = {expression}"
    assert read(query).faults == ()
    assert run(query, {}, NOW).rows == [{"value": SCALARS[expression]}]


@pytest.mark.parametrize("query", TABLES)
def test_an_operator_gives_the_rows_that_are_documented(query: str) -> None:
    assert [fault for fault in read(query).faults if not fault.startswith("Information")] == []
    assert run(query, {}, NOW).rows == TABLES[query]


@pytest.mark.parametrize(
    "query",
    [
        "AppTraces | take 1",  # no such table yet
        "union isfuzzy=true AppTraces, AppRequests",  # none of them
        "union (datatable(Message: string)[]), AppTraces",  # not fuzzy
        "union isfuzzy=true (datatable(a: string)[]), AppTraces | where Message == 'x'",  # nothing has this column
    ],
)
def test_a_query_of_what_does_not_exist_fails(query: str) -> None:
    assert [fault for fault in read(query).faults if fault.startswith("Error")] == []
    with pytest.raises(QueryFailed):
        run(query, {}, NOW).rows  # noqa: B018


@pytest.mark.parametrize(
    "query",
    [
        f"{SOME} | top 1 by n",
        f"{SOME} | summarize make_set(k)",
        f"{SOME} | extend x = strlen(k)",
        f"{SOME} | extend x = n / 2",
        f"{SOME} | join (datatable(k: string)['a']) on k",
        f"{SOME} | order by n desc",  # where nulls go
        "datatable(a: long)[long(null)] | join kind=inner (datatable(a: long)[long(null)]) on a",
        "print value = bin(now(), 7d)",  # from which day on
        "print value = parse_json('{}').a == 1",
        "print value = parse_json('[1]')[0]",
        "union (datatable(a: string)['x']), (datatable(a: long)[1])",
    ],
)
def test_what_is_not_written_down_is_refused_instead_of_guessed(query: str) -> None:
    with pytest.raises(Unsupported):
        run(query, {}, NOW)


def test_the_language_service_finds_what_is_wrong() -> None:
    assert read("AppTraces | where Nope == 1").faults
    assert read("union isfuzzy=true (datatable(a: string)[]), AppTrace").faults
