// Microsoft's own language service reads queries: on each line of standard input a JSON text, on each of standard output
// {faults: […], columns: {name: type}, tree}. In the tree a node is {kind, text, type, columns, value} and its parts by
// their names; lists are lists, tokens are left out but for names.
// The tables are as Azure Monitor documents them, the columns that the queries may use.
// https://learn.microsoft.com/azure/azure-monitor/reference/tables/apptraces, …/apprequests, …/appexceptions
const [, , service, schemas] = process.argv;
require(`${service}/bridge.min.js`);
require(`${service}/Kusto.Language.Bridge.min.js`);
const { GlobalState, KustoCode, Symbols, Syntax } = Kusto.Language;

const list = Bridge.global.System.Collections.Generic.List$1(Symbols.Symbol).ctor;
const members = new list();
for (const [name, columns] of Object.entries(JSON.parse(schemas))) {
  const schema = Object.entries(columns).map(([column, type]) => `${column}: ${type}`).join(", ");
  members.add(Symbols.TableSymbol.From(`(${schema})`).WithName(name));
}
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor3("logs", null, members));

const items = (found) => Array.from({ length: found.Count }, (_, at) => found.getItem(at));
const columnsOf = (type) => (type && type.Columns ? items(type.Columns).map((one) => [one.Name, one.Type.Name]) : undefined);

function literal(node) {
  const value = node.LiteralValue;
  if (value === null || value === undefined) return null;
  if (node.ResultType.Name === "timespan") return Number(value.getTicks().toString());
  if (node.ResultType.Name === "long") return Number(value.toString());
  return node.ResultType.Name === "datetime" ? System.DateTime.format(Bridge.unbox(value), "o") : Bridge.unbox(value);
}

function tree(node) {
  if (!node) return undefined;
  const kind = System.Enum.toString(Syntax.SyntaxKind, node.Kind);
  const parts = Array.from({ length: node.ChildCount }, (_, at) => [node.GetName(at), node.GetChild(at)]);
  if (kind === "List") return parts.map(([, part]) => tree(part));
  if (kind === "SeparatedElement") return tree(node.GetChild(0));
  if (kind === "TokenName") return node.Name.Text;
  const said = { kind, text: node.toString().trim() };
  if (node.ResultType) Object.assign(said, { type: node.ResultType.Name, columns: columnsOf(node.ResultType) });
  if (kind.endsWith("LiteralExpression")) said.value = literal(node);
  for (const [name, part] of parts) if (part && (!part.IsToken || name === "AscOrDescKeyword")) said[name] = part.IsToken ? part.Text : tree(part);
  return said;
}

require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const code = KustoCode.ParseAndAnalyze(JSON.parse(line), globals);
  const faults = items(code.GetDiagnostics()).map((one) => `${one.Severity} at ${one.Start}: ${one.Message}`);
  console.log(JSON.stringify({ faults, columns: Object.fromEntries(columnsOf(code.ResultType) ?? []), tree: tree(code.Syntax) }));
});
