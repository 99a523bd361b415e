"""Kusto queries run on rows: the operators that Mailroom's queries use, from the tree of Microsoft's language service.

What is not known here raises Unknown. A table that does not exist, and a column that its table does not have, raise
Failed, as they fail a query in Azure; unless a `union isfuzzy=true` does without the table.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tests.infra.kusto.language import SCHEMAS, Node, read
from tests.infra.kusto.scalars import COMPARISONS, FUNCTIONS, LITERALS, OPERATORS, TYPES, Unknown, equal, has, member

__all__ = ["Failed", "Row", "Table", "run"]

type Row = dict[str, Any]
HAS_IT: Final = {"InExpression": equal, "NotInExpression": equal, "HasAnyExpression": has}
# Of the values that are not null. https://learn.microsoft.com/kusto/query/summarize-operator, "default values".
AGGREGATES: Final[dict[str, Callable[..., Any]]] = {
    "sum": sum,
    "max": lambda values: max(values, default=None),
    "min": lambda values: min(values, default=None),
    "dcount": lambda values: len(set(values)),
    "percentile": lambda values, share=0: _ranked(values, share),
}


class Failed(Exception):  # noqa: N818 - the query's failure, not this program's
    """What Azure would answer instead of rows."""


@dataclass(frozen=True, slots=True)
class Table:
    columns: dict[str, str]
    rows: list[Row] = field(default_factory=list)


def run(query: str, tables: Mapping[str, list[Row]], now: datetime) -> Table:
    """The rows of the query. tables: those that exist, by their names; columns that a row leaves out are null."""
    return _Run({name: _filled(name, rows) for name, rows in tables.items()}, now).last_of(read(query).tree)


def _filled(name: str, rows: list[Row]) -> Table:
    columns = SCHEMAS[name]
    assert all(row.keys() <= columns.keys() for row in rows), f"{name} has other columns"
    return Table(columns, [{column: row.get(column, _null(kind)) for column, kind in columns.items()} for row in rows])


def _null(kind: str) -> str | None:
    return "" if kind == "string" else None


class _Run:
    def __init__(self, tables: Mapping[str, Table], now: datetime) -> None:
        self.tables = dict(tables)
        self.lets: dict[str, Node] = {}
        self.functions = FUNCTIONS | {"now": lambda: now, "ago": lambda before: now - before}

    # Tables

    def last_of(self, tree: Node) -> Table:
        *lets, last = tree["Statements"]
        for let in lets:
            if let["kind"] != "LetStatement":
                raise Unknown(let["text"])
            self.lets[let["Name"]["Name"]] = let["Expression"]
        return self.of(last["Expression"])

    def of(self, node: Node) -> Table:
        match node["kind"]:
            case "PipeExpression":
                return self._piped(self.of(node["Expression"]), node["Operator"])
            case "ParenthesizedExpression":
                return self.of(node["Expression"])
            case "NameReference":
                return self._table(node["Name"])
            case "UnionOperator":
                return self._union(node, None)
            case "DataTableExpression":
                return self._datatable(node)
            case "PrintOperator":
                return self._extended(Table({}, [{}]), node)
            case kind:
                raise Unknown(f"{kind}: {node['text']}")

    def _table(self, name: str) -> Table:
        if name in self.lets:
            return self.of(self.lets[name])
        if name not in self.tables:
            raise Failed(f"Failed to resolve table or column expression named '{name}'")
        return self.tables[name]

    def _piped(self, table: Table, node: Node) -> Table:
        known: dict[str, Callable[[Table, Node], Table]] = {
            "FilterOperator": self._where,
            "ExtendOperator": self._extended,
            "ProjectOperator": lambda before, now: self._extended(before, now, only=True),
            "SummarizeOperator": self._summarized,
            "DistinctOperator": self._distinct,
            "JoinOperator": self._joined,
            "UnionOperator": lambda before, now: self._union(now, before),
            "SortOperator": self._sorted,
            "TakeOperator": lambda before, now: Table(
                before.columns, before.rows[: self.value(now["Expression"], {}, {})]
            ),
        }
        if node["kind"] not in known:
            raise Unknown(f"{node['kind']}: {node['text']}")
        if node["kind"] not in ("UnionOperator", "JoinOperator"):  # a query fails though there be no row
            for name in _names(node):
                if name not in self.lets:
                    self._column(table.columns, name)
        return known[node["kind"]](table, node)

    def _where(self, table: Table, node: Node) -> Table:
        return Table(table.columns, [row for row in table.rows if self._in(table, node["Condition"], row) is True])

    def _extended(self, table: Table, node: Node, *, only: bool = False) -> Table:
        named = [(self._named(one, node), one) for one in node["Expressions"]]
        columns = {name: one["type"] for name, one in named}
        rows = [{name: self._in(table, one, row) for name, one in named} for row in table.rows]
        if only:
            return Table(columns, rows)
        return Table(table.columns | columns, [old | new for old, new in zip(table.rows, rows, strict=True)])

    def _distinct(self, table: Table, node: Node) -> Table:
        shown = self._extended(table, node, only=True)
        return Table(shown.columns, [dict(row) for row in dict.fromkeys(tuple(row.items()) for row in shown.rows)])

    def _sorted(self, table: Table, node: Node) -> Table:
        rows = table.rows
        for one in reversed(node["Expressions"]):
            if one["kind"] != "OrderedExpression" or one["Ordering"].keys() & {"NullsClause"}:
                raise Unknown(node["text"])
            keys = [self._in(table, one["Expression"], row) for row in rows]
            if None in keys:
                raise Unknown(f"null in {node['text']}")
            order = sorted(
                range(len(rows)), key=keys.__getitem__, reverse=one["Ordering"]["AscOrDescKeyword"] == "desc"
            )
            rows = [rows[at] for at in order]
        return Table(table.columns, rows)

    def _datatable(self, node: Node) -> Table:
        columns = {one["Name"]["Name"]: one["Type"]["text"] for one in node["Schema"]["Columns"]}
        values = [self.value(one, {}, {}) for one in node["Values"]]
        rows = [values[at : at + len(columns)] for at in range(0, len(values), len(columns))]
        return Table(columns, [dict(zip(columns, row, strict=True)) for row in rows])

    def _union(self, node: Node, before: Table | None) -> Table:
        given = self._parameters(node, {"isfuzzy"})
        parts = [] if before is None else [before]
        for one in node["Expressions"]:
            try:
                parts.append(self.of(one))
            except Failed:
                if given.get("isfuzzy") is not True:
                    raise
        if not parts:
            raise Failed(f"no table of: {node['text']}")
        columns: dict[str, str] = {}
        for part in parts:
            for name, kind in part.columns.items():
                if columns.setdefault(name, kind) != kind:
                    raise Unknown(f"{name} of two types: {node['text']}")  # Kusto makes two columns of it
        empty = {name: _null(kind) for name, kind in columns.items()}
        return Table(columns, [empty | row for part in parts for row in part.rows])

    def _joined(self, left: Table, node: Node) -> Table:
        kind = self._parameters(node, {"kind"}).get("kind")
        if kind not in ("inner", "leftouter", "leftanti"):
            raise Unknown(node["text"])  # the default is innerunique
        right = self.of(node["Expression"])
        keys = [one["Name"] for one in node["ConditionClause"]["Expressions"] if one["kind"] == "NameReference"]
        if len(keys) != len(node["ConditionClause"]["Expressions"]):
            raise Unknown(node["text"])
        for key in keys:
            self._column(left.columns, key)
            self._column(right.columns, key)
            if None in (row[key] for row in left.rows + right.rows):
                raise Unknown(f"null in {node['text']}")
        names = {name: f"{name}1" if name in left.columns else name for name in right.columns}
        rows: list[Row] = []
        for row in left.rows:
            found = [other for other in right.rows if all(equal(row[key], other[key]) for key in keys)]
            if kind == "leftanti":
                rows += [] if found else [row]
            elif found:
                rows += [row | {names[name]: other[name] for name in names} for other in found]
            elif kind == "leftouter":
                rows.append(row | {names[name]: _null(of) for name, of in right.columns.items()})
        extra = {} if kind == "leftanti" else {names[name]: of for name, of in right.columns.items()}
        return Table(left.columns | extra, rows)

    def _summarized(self, table: Table, node: Node) -> Table:
        by = node["ByClause"]["Expressions"] if "ByClause" in node else []
        names = [name for name, _ in node["columns"]]
        groups: dict[tuple[Any, ...], list[Row]] = {}
        if not by:  # an empty table still gives one row
            groups[()] = table.rows
        else:
            for row in table.rows:
                groups.setdefault(tuple(self._in(table, one, row) for one in by), []).append(row)
        rows = []
        for key, members in groups.items():
            values = [*key]
            for one in node["Aggregates"]:
                values.extend(self._aggregate(Table(table.columns, members), _bare(one)))
            rows.append(dict(zip(names, values, strict=True)))
        return Table(dict(node["columns"]), rows)

    def _aggregate(self, group: Table, node: Node) -> list[Any]:
        """The values of one aggregate; arg_max has several."""
        if node["kind"] != "FunctionCallExpression":
            raise Unknown(node["text"])
        name, arguments = node["Name"]["Name"], node["ArgumentList"]["Expressions"]
        given = [[self._in(group, one, row) for row in group.rows] for one in arguments]
        if name == "count":
            return [len(group.rows)]
        if name == "arg_max":
            best = max((value for value in given[0] if value is not None), default=None)
            return [None if best is None else values[given[0].index(best)] for values in given]
        if name.endswith("if"):  # the last argument says which rows count
            *given, wanted = given
            given = [[value for value, yes in zip(values, wanted, strict=True) if yes is True] for values in given]
            if name == "countif":
                return [sum(yes is True for yes in wanted)]
        if name.removesuffix("if") not in AGGREGATES:
            raise Unknown(f"{name}: {node['text']}")
        values, *others = given
        ends = [other[0] for other in others if other]  # the same in every row
        return [AGGREGATES[name.removesuffix("if")]([value for value in values if value is not None], *ends)]

    def _parameters(self, node: Node, known: set[str]) -> dict[str, Any]:
        given = {one["Name"]["Name"]: one["Expression"] for one in node["Parameters"]}
        if given.keys() - known:
            raise Unknown(node["text"])
        return {name: one.get("value", one["text"]) for name, one in given.items()}

    def _named(self, one: Node, operator: Node) -> str:
        if one["kind"] == "SimpleNamedExpression":
            return str(one["Name"]["Name"])
        if one["kind"] == "NameReference":
            return str(one["Name"])
        raise Unknown(f"a column without a name: {operator['text']}")

    # Values

    def _in(self, table: Table, node: Node, row: Row) -> Any:
        return self.value(_bare(node), row, table.columns)

    def _column(self, columns: Mapping[str, str], name: str) -> None:
        if name not in columns:
            raise Failed(f"Failed to resolve column or scalar expression named '{name}'")

    def value(self, node: Node, row: Row, columns: Mapping[str, str]) -> Any:
        found = self._value(node, row, columns)
        kind = TYPES.get(node["type"])
        if kind and found is not None and (not isinstance(found, kind) or (kind is int and found is True)):
            raise Unknown(f"{found!r} is no {node['type']}: {node['text']}")
        return found

    def _value(self, node: Node, row: Row, columns: Mapping[str, str]) -> Any:
        kind = node["kind"]
        if kind in LITERALS:
            return LITERALS[kind](node["value"])
        if kind in OPERATORS:
            if kind in COMPARISONS and "dynamic" in (node["Left"]["type"], node["Right"]["type"]):
                raise Unknown(f"a dynamic compared: {node['text']}")
            return OPERATORS[kind](*(self.value(node[side], row, columns) for side in ("Left", "Right")))
        if kind in ("InExpression", "NotInExpression", "HasAnyExpression"):
            left = self.value(node["Left"], row, columns)
            found = HAS_IT[kind]
            inside = any(found(left, self.value(one, row, columns)) for one in node["Right"]["Expressions"])
            return inside != kind.startswith("Not")
        return self._named_value(node, row, columns)

    def _named_value(self, node: Node, row: Row, columns: Mapping[str, str]) -> Any:
        match node["kind"]:
            case "ParenthesizedExpression":
                return self.value(node["Expression"], row, columns)
            case "NameReference" if node["Name"] in self.lets:
                return self.value(self.lets[node["Name"]], {}, {})
            case "NameReference":
                self._column(columns, node["Name"])
                return row[node["Name"]]
            case "PathExpression":
                return member(self.value(node["Expression"], row, columns), node["Selector"]["Name"])
            case "ToScalarExpression":
                table = self.of(node["Expression"])
                return next(iter(table.rows[0].values())) if table.rows else None
            case "FunctionCallExpression" if function := self.functions.get(node["Name"]["Name"]):
                return function(*(self.value(one, row, columns) for one in node["ArgumentList"]["Expressions"]))
        raise Unknown(f"{node['kind']}: {node['text']}")


def _ranked(values: list[Any], share: int) -> Any:
    """By nearest rank; Kusto's own is an estimate."""
    return sorted(values)[max(0, -(-len(values) * share // 100) - 1)] if values else None


def _bare(node: Node) -> Node:
    """The expression without the name that it is given."""
    return dict(node["Expression"]) if node["kind"] == "SimpleNamedExpression" else node


def _names(node: Any) -> Iterator[str]:
    """The columns that an operator's expressions speak of."""
    if isinstance(node, list):
        for one in node:
            yield from _names(one)
    elif isinstance(node, dict) and node["kind"] != "ToScalarExpression":
        if node["kind"] == "NameReference":
            yield node["Name"]
        for name, part in node.items():
            if name != "Selector" and (name, node["kind"]) != ("Name", "FunctionCallExpression"):
                yield from _names(part if isinstance(part, dict | list) and name != "columns" else [])
