"""Kusto queries run on rows: the operators that Mailroom's queries use, from the tree of Microsoft's language service.

A part of Kusto that is not implemented raises Unsupported. A missing table or column raises QueryFailed, as the query
fails in Azure, except for a table in a `union isfuzzy=true`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.infra.kusto.expressions import Expressions, QueryFailed, Row, bare
from tests.infra.kusto.language import SCHEMAS, Node, read
from tests.infra.kusto.scalars import AGGREGATES, FUNCTIONS, Unsupported, equal


@dataclass(frozen=True, slots=True)
class KustoTable:
    columns: dict[str, str]
    rows: list[Row] = field(default_factory=list)


def run(query: str, tables: Mapping[str, list[Row]], now: datetime) -> KustoTable:
    """The rows of the query. tables: those that exist, by their names; columns that a row leaves out are null."""
    return _Run({name: _filled(name, rows) for name, rows in tables.items()}, now).last_of(read(query).tree)


def _filled(name: str, rows: list[Row]) -> KustoTable:
    columns = SCHEMAS[name]
    assert all(row.keys() <= columns.keys() for row in rows), f"{name} has other columns"
    return KustoTable(
        columns, [{column: row.get(column, _null(kind)) for column, kind in columns.items()} for row in rows]
    )


def _null(kind: str) -> str | None:
    return "" if kind == "string" else None


class _Run:
    def __init__(self, tables: Mapping[str, KustoTable], now: datetime) -> None:
        self.tables = dict(tables)
        self.lets: dict[str, Node] = {}
        functions = FUNCTIONS | {"now": lambda: now, "ago": lambda before: now - before}
        self.expressions = Expressions(self.lets, functions, self._first_value)

    # Tables

    def last_of(self, tree: Node) -> KustoTable:
        *lets, last = tree["Statements"]
        for let in lets:
            if let["kind"] != "LetStatement":
                raise Unsupported(let["text"])
            self.lets[let["Name"]["Name"]] = let["Expression"]
        return self.of(last["Expression"])

    def of(self, node: Node) -> KustoTable:
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
                return self._extended(KustoTable({}, [{}]), node)
            case kind:
                raise Unsupported(f"{kind}: {node['text']}")

    def _table(self, name: str) -> KustoTable:
        if name in self.lets:
            return self.of(self.lets[name])
        if name not in self.tables:
            raise QueryFailed(f"QueryFailed to resolve table or column expression named '{name}'")
        return self.tables[name]

    def _piped(self, table: KustoTable, node: Node) -> KustoTable:
        known: dict[str, Callable[[KustoTable, Node], KustoTable]] = {
            "FilterOperator": self._where,
            "ExtendOperator": self._extended,
            "ProjectOperator": lambda before, now: self._extended(before, now, only=True),
            "SummarizeOperator": self._summarized,
            "DistinctOperator": self._distinct,
            "JoinOperator": self._joined,
            "UnionOperator": lambda before, now: self._union(now, before),
            "SortOperator": self._sorted,
            "TakeOperator": lambda before, now: KustoTable(
                before.columns, before.rows[: self.expressions.of(now["Expression"], {})({})]
            ),
        }
        if node["kind"] not in known:
            raise Unsupported(f"{node['kind']}: {node['text']}")
        return known[node["kind"]](table, node)

    def _where(self, table: KustoTable, node: Node) -> KustoTable:
        true = self.expressions.of(node["Condition"], table.columns)
        return KustoTable(table.columns, [row for row in table.rows if true(row) is True])

    def _extended(self, table: KustoTable, node: Node, *, only: bool = False) -> KustoTable:
        named = [(self._named(one, node), one) for one in node["Expressions"]]
        columns = {name: one["type"] for name, one in named}
        values = [(name, self.expressions.of(one, table.columns)) for name, one in named]
        rows = [{name: value(row) for name, value in values} for row in table.rows]
        if only:
            return KustoTable(columns, rows)
        return KustoTable(table.columns | columns, [old | new for old, new in zip(table.rows, rows, strict=True)])

    def _distinct(self, table: KustoTable, node: Node) -> KustoTable:
        shown = self._extended(table, node, only=True)
        return KustoTable(shown.columns, [dict(row) for row in dict.fromkeys(tuple(row.items()) for row in shown.rows)])

    def _sorted(self, table: KustoTable, node: Node) -> KustoTable:
        rows = table.rows
        for one in reversed(node["Expressions"]):
            if one["kind"] != "OrderedExpression" or one["Ordering"].keys() & {"NullsClause"}:
                raise Unsupported(node["text"])
            keys = [*map(self.expressions.of(one["Expression"], table.columns), rows)]
            if None in keys:
                raise Unsupported(f"null in {node['text']}")
            order = sorted(
                range(len(rows)), key=keys.__getitem__, reverse=one["Ordering"]["AscOrDescKeyword"] == "desc"
            )
            rows = [rows[at] for at in order]
        return KustoTable(table.columns, rows)

    def _datatable(self, node: Node) -> KustoTable:
        columns = {one["Name"]["Name"]: one["Type"]["text"] for one in node["Schema"]["Columns"]}
        values = [self.expressions.of(one, {})({}) for one in node["Values"]]
        rows = [values[at : at + len(columns)] for at in range(0, len(values), len(columns))]
        return KustoTable(columns, [dict(zip(columns, row, strict=True)) for row in rows])

    def _union(self, node: Node, before: KustoTable | None) -> KustoTable:
        given = self._parameters(node, {"isfuzzy"})
        parts = [] if before is None else [before]
        for one in node["Expressions"]:
            try:
                parts.append(self.of(one))
            except QueryFailed:
                if given.get("isfuzzy") is not True:
                    raise
        if not parts:
            raise QueryFailed(f"no table of: {node['text']}")
        columns: dict[str, str] = {}
        for part in parts:
            for name, kind in part.columns.items():
                if columns.setdefault(name, kind) != kind:
                    raise Unsupported(f"{name} of two types: {node['text']}")  # Kusto makes two columns of it
        empty = {name: _null(kind) for name, kind in columns.items()}
        return KustoTable(columns, [empty | row for part in parts for row in part.rows])

    def _joined(self, left: KustoTable, node: Node) -> KustoTable:
        kind = self._parameters(node, {"kind"}).get("kind")
        if kind not in ("inner", "leftouter", "leftanti"):
            raise Unsupported(node["text"])  # the default is innerunique
        right = self.of(node["Expression"])
        keys = [one["Name"] for one in node["ConditionClause"]["Expressions"] if one["kind"] == "NameReference"]
        if len(keys) != len(node["ConditionClause"]["Expressions"]):
            raise Unsupported(node["text"])
        for key in keys:
            for side in (left, right):
                self.expressions.of({"kind": "NameReference", "Name": key, "type": "string"}, side.columns)
            if None in (row[key] for row in left.rows + right.rows):
                raise Unsupported(f"null in {node['text']}")
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
        return KustoTable(left.columns | extra, rows)

    def _summarized(self, table: KustoTable, node: Node) -> KustoTable:
        by = node["ByClause"]["Expressions"] if "ByClause" in node else []
        names = [name for name, _ in node["columns"]]
        groups: dict[tuple[Any, ...], list[Row]] = {}
        if not by:  # an empty table still gives one row
            groups[()] = table.rows
        else:
            keys = [self.expressions.of(one, table.columns) for one in by]
            for row in table.rows:
                groups.setdefault(tuple(key(row) for key in keys), []).append(row)
        aggregates = [self._aggregate(bare(one), table.columns) for one in node["Aggregates"]]
        rows = []
        for key, members in groups.items():
            values = [*key]
            for aggregate in aggregates:
                values.extend(aggregate(members))
            rows.append(dict(zip(names, values, strict=True)))
        return KustoTable(dict(node["columns"]), rows)

    def _aggregate(self, node: Node, columns: Mapping[str, str]) -> Callable[[list[Row]], list[Any]]:
        """The values of one aggregate in a group of rows: one, and of arg_max several."""
        if node["kind"] != "FunctionCallExpression":
            raise Unsupported(node["text"])
        name = node["Name"]["Name"]
        if name not in AGGREGATES:
            raise Unsupported(f"{name}: {node['text']}")
        arguments = [self.expressions.of(one, columns) for one in node["ArgumentList"]["Expressions"]]
        return lambda rows: AGGREGATES[name](len(rows), *[[*map(argument, rows)] for argument in arguments])

    def _first_value(self, node: Node) -> Any:
        table = self.of(node)
        return next(iter(table.rows[0].values())) if table.rows else None

    def _parameters(self, node: Node, known: set[str]) -> dict[str, Any]:
        given = {one["Name"]["Name"]: one["Expression"] for one in node["Parameters"]}
        if given.keys() - known:
            raise Unsupported(node["text"])
        return {name: one.get("value", one["text"]) for name, one in given.items()}

    def _named(self, one: Node, operator: Node) -> str:
        if one["kind"] == "SimpleNamedExpression":
            return str(one["Name"]["Name"])
        if one["kind"] == "NameReference":
            return str(one["Name"])
        raise Unsupported(f"a column without a name: {operator['text']}")
