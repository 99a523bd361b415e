"""A functions host for a laptop: what the Azure Functions host does, around Microsoft's own worker library.

`python -m sandbox.host --app DIR --port N` loads `function_app.py` and `host.json` from DIR. Indexing, binding
conversion and invocation are done by `azure_functions_runtime`, the code that runs in Azure; routing, keys, queues
and timers are done here, as Azure does them, unkindness included (the list is tests/sandbox/host/test_facts.py). What
is not done here is refused at start, by name.

Where it cannot be like Azure: host and worker are one process and share one event loop; no .NET host holds copies of a
body; nothing scales; an upload may be as slow as it likes.
"""
