"""An app that brings a package along which is not whole."""

from importlib import import_module

import azure.functions as func

app = func.FunctionApp()


@app.route("there", auth_level=func.AuthLevel.ANONYMOUS)
def there(req: func.HttpRequest) -> str:
    return str(import_module("partial_sdk.there").VALUE)


@app.route("gone", auth_level=func.AuthLevel.ANONYMOUS)
def gone(req: func.HttpRequest) -> str:
    return _passed_over("partial_sdk.gone")


@app.route("other", auth_level=func.AuthLevel.ANONYMOUS)
def other(req: func.HttpRequest) -> str:
    return _passed_over("partial_other")


def _passed_over(module: str) -> str:
    try:
        import_module(module)
    except ModuleNotFoundError:
        return "passed over"
    return "there"
