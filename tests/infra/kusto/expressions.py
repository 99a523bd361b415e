"""Kusto's scalar expressions, made into functions of a row. A column that is not there fails before any row is seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.infra.kusto.language import Node
from tests.infra.kusto.scalars import COMPARISONS, LITERALS, OPERATORS, TYPES, Unsupported, equal, has, member

type Row = dict[str, Any]
type Value = Callable[[Row], Any]


class QueryFailed(Exception):  # noqa: N818 - the query failed, not this program
    """Azure would answer with an error instead of rows."""


def bare(node: Node) -> Node:
    """The expression without the name that it is given."""
    return dict(node["Expression"]) if node["kind"] == "SimpleNamedExpression" else node


@dataclass(frozen=True, slots=True)
class Expressions:
    lets: Mapping[str, Node]
    functions: Mapping[str, Callable[..., Any]]
    first_value_of: Callable[[Node], Any]
    """Of a table, for `toscalar`."""

    def of(self, node: Node, columns: Mapping[str, str]) -> Value:
        """The value of `node` in a row with these columns; a function's must be of the type that the service says."""
        node = bare(node)
        value = self._of(node, columns)
        kind = TYPES.get(node["type"])
        if kind is None or node["kind"] != "FunctionCallExpression":
            return value

        def checked(row: Row) -> Any:
            found = value(row)
            if found is not None and (not isinstance(found, kind) or (kind is int and found is True)):
                raise Unsupported(f"{found!r} is no {node['type']}: {node['text']}")
            return found

        return checked

    def _of(self, node: Node, columns: Mapping[str, str]) -> Value:
        kind = node["kind"]
        if kind in LITERALS:
            constant = LITERALS[kind](node["value"])
            return lambda _: constant
        if kind in OPERATORS:
            if kind in COMPARISONS and "dynamic" in (node["Left"]["type"], node["Right"]["type"]):
                raise Unsupported(f"a dynamic compared: {node['text']}")
            left, right, operator = self.of(node["Left"], columns), self.of(node["Right"], columns), OPERATORS[kind]
            return lambda row: operator(left(row), right(row))
        if kind in ("InExpression", "NotInExpression", "HasAnyExpression"):
            return self._in(node, columns)
        return self._named(node, columns)

    def _in(self, node: Node, columns: Mapping[str, str]) -> Value:
        left = self.of(node["Left"], columns)
        several = [self.of(one, columns) for one in node["Right"]["Expressions"]]
        test = has if node["kind"] == "HasAnyExpression" else equal
        negated = node["kind"].startswith("Not")

        def found(row: Row) -> bool:
            value = left(row)
            return any(bool(test(value, one(row))) for one in several) is not negated

        return found

    def _named(self, node: Node, columns: Mapping[str, str]) -> Value:
        match node["kind"]:
            case "ParenthesizedExpression":
                return self.of(node["Expression"], columns)
            case "NameReference":
                return self._name(node["Name"], columns)
            case "PathExpression":
                whole, key = self.of(node["Expression"], columns), node["Selector"]["Name"]
                return lambda row: member(whole(row), key)
            case "ElementExpression" if node["Selector"]["Expression"]["kind"] == "StringLiteralExpression":
                whole, key = self.of(node["Expression"], columns), node["Selector"]["Expression"]["value"]
                return lambda row: member(whole(row), key)
            case "ToScalarExpression":
                constant = self.first_value_of(node["Expression"])
                return lambda _: constant
            case "FunctionCallExpression" if function := self.functions.get(node["Name"]["Name"]):
                arguments = [self.of(one, columns) for one in node["ArgumentList"]["Expressions"]]
                return lambda row: function(*[argument(row) for argument in arguments])
        raise Unsupported(f"{node['kind']}: {node['text']}")

    def _name(self, name: str, columns: Mapping[str, str]) -> Value:
        if name in columns:
            return lambda row: row[name]
        if name not in self.lets:
            raise QueryFailed(f"QueryFailed to resolve column or scalar expression named '{name}'")
        constant = self.of(self.lets[name], {})({})
        return lambda _: constant
