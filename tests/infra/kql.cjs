// Microsoft's own language service reads queries: a JSON list of texts on standard input, a list of faults for each out.
// The tables are as Azure Monitor documents them, the columns that the queries may use.
// https://learn.microsoft.com/azure/azure-monitor/reference/tables/apptraces, …/apprequests, …/appexceptions
const service = process.argv[2];
require(`${service}/bridge.min.js`);
require(`${service}/Kusto.Language.Bridge.min.js`);
const { GlobalState, KustoCode, Symbols } = Kusto.Language;

const tables = {
  AppTraces: "(TimeGenerated: datetime, Message: string, SeverityLevel: int, OperationName: string, OperationId: string, AppRoleInstance: string, ItemCount: int, Properties: dynamic)",
  AppExceptions: "(TimeGenerated: datetime, ExceptionType: string, InnermostType: string, InnermostMessage: string, OuterType: string, OperationName: string, OperationId: string, AppRoleInstance: string, ItemCount: int, Properties: dynamic)",
  AppRequests: "(TimeGenerated: datetime, Name: string, OperationName: string, OperationId: string, ResultCode: string, Success: bool, DurationMs: real, AppRoleInstance: string, ItemCount: int, Properties: dynamic)",
};
const list = Bridge.global.System.Collections.Generic.List$1(Symbols.Symbol).ctor;
const members = new list();
for (const [name, schema] of Object.entries(tables)) members.add(Symbols.TableSymbol.From(schema).WithName(name));
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor3("logs", null, members));

const queries = JSON.parse(require("fs").readFileSync(0, "utf8"));
const faults = queries.map((query) => {
  const code = KustoCode.ParseAndAnalyze(query, globals);
  const found = code.GetDiagnostics();
  const texts = [];
  for (let at = 0; at < found.Count; at++) {
    const one = found.getItem(at);
    texts.push(`${one.Severity} at ${one.Start}: ${one.Message}`);
  }
  const columns = code.ResultType && code.ResultType.Columns ? code.ResultType.Columns : null;
  const names = {};
  if (columns) for (let at = 0; at < columns.Count; at++) names[columns.getItem(at).Name] = columns.getItem(at).Type.Name;
  return { faults: texts, columns: names };
});
console.log(JSON.stringify(faults));
