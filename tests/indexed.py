"""The functions as Azure's worker indexes them."""

from functools import cache
from typing import Any


@cache
def indexed() -> dict[str, Any]:
    """Each azure.functions.decorators.function_app.Function by its name. An app can be indexed once in a process."""
    import function_app  # takes a while, and few tests ask

    return {str(function.get_function_name()): function for function in function_app.app.get_functions()}
