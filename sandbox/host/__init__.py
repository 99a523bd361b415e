"""A functions host for a laptop: what the Azure Functions host does, around Microsoft's own worker library.

`python -m sandbox.host --app DIR --port N` loads `function_app.py` and `host.json` from DIR. Indexing, binding
conversion and invocation are done by `azure_functions_runtime`, the code that runs in Azure; routing, keys, queues
and timers are done here, as Azure does them, unkindness included: a comment above the test of each such fact names its
source. What is not done here is refused at start, by name.

Sources are Microsoft's repositories on GitHub, by file: host is Azure/azure-functions-host; queues is
Microsoft.Azure.WebJobs.Extensions.Storage.Queues in azure-sdk-for-net; worker is Azure/azure-functions-python-worker;
library is the azure-functions package.

Where it cannot be like Azure: host and worker are one process and share one event loop; no .NET host holds copies of a
body; nothing scales; an upload may be as slow as it likes.
"""
