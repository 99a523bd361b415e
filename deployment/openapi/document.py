"""The OpenAPI 3.1 document, made of the table in surface.py and of the code's own types.

https://spec.openapis.org/oas/v3.1.1. `python -m deployment.openapi.document` writes it to docs/openapi.json, which
Mailroom serves.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from deployment.openapi.surface import JSON, OPERATIONS, Answer, Body, Operation, Parameter
from shared.mail.graph_types import odata_type

VERSION: Final = "1.0"
SECURITY: Final[Mapping[str, list[dict[str, list[str]]]]] = {
    "open": [],
    "token": [{"token": []}],
    "key": [{"key": []}],
}
SCHEMES: Final = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of Microsoft Entra for this API, with the app role or the scope `Mail.Send`.",
    },
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-functions-key",
        "description": "A function key of the app; the query parameter `code` may have it instead.",
    },
}
TYPE: Final = "@odata.type"
# Python's anchors are not those of ECMA 262, in which JSON Schema's patterns are written.
ANCHORED: Final = re.compile(r"\\A(.*)\\Z", re.DOTALL)


def document() -> dict[str, Any]:
    """The whole document."""
    types = list(dict.fromkeys(_types(OPERATIONS)))
    refs, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schemas = dict(zip(types, refs, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(f"/{operation.path}", {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mailroom",
            "version": VERSION,
            "summary": "Sends mail for programs, through Microsoft Graph",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/api"}],
        "paths": paths,
        "components": {
            "schemas": {name: _plain(schema) for name, schema in sorted(components.items())},
            "securitySchemes": SCHEMES,
        },
    }


def text() -> str:
    """The document as JSON, one line for each value, so that versions can be compared."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _types(operations: Iterable[Operation]) -> Iterable[type]:
    for operation in operations:
        if operation.body:
            yield from (kind for kind in operation.body.kinds.values() if isinstance(kind, type))
        yield from (answer.content for answer in operation.answers.values() if answer.content)


def _operation(operation: Operation, schemas: Mapping[type, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": f"{operation.function}_{operation.method.lower()}",
        "summary": operation.summary,
        "security": SECURITY[operation.access],
    }
    if operation.parameters:
        found["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        found["requestBody"] = _body(operation.body, schemas)
    found["responses"] = {str(status): _answer(answer, schemas) for status, answer in sorted(operation.answers.items())}
    return found


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.text,
        "required": parameter.place == "path",
        "schema": dict(parameter.schema),
    }


def _body(body: Body, schemas: Mapping[type, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for media_type, kind in body.kinds.items():
        schema = kind if isinstance(kind, Mapping) else schemas.get(kind, {})
        content[media_type] = {"schema": schema}
        if body.example is not None and media_type == JSON:
            content[media_type]["example"] = body.example
    return {"description": body.text, "required": body.required, "content": content}


def _answer(answer: Answer, schemas: Mapping[type, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.text}
    if answer.headers:
        found["headers"] = {
            name: {"description": said, "schema": {"type": "string"}} for name, said in answer.headers.items()
        }
    if answer.content:
        found["content"] = {answer.media_type: {"schema": schemas[answer.content]}}
    return found


def _plain(schema: Any) -> Any:
    """A schema for other tools: patterns with anchors of ECMA 262; the type required only where it is needed."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: _plain(value) for name, value in schema.items()}
    if isinstance(pattern := result.get("pattern"), str) and (anchored := ANCHORED.fullmatch(pattern)):
        result["pattern"] = f"^{anchored[1]}$"
    if "anyOf" in (kind := result.get("properties", {}).get(TYPE, {})):  # graph_types.Complex checks which type it is
        kind["anyOf"][0] = {"enum": [odata_type(result["title"])]}
    if TYPE in result.get("required", []) and not str(result.get("title")).endswith("Attachment"):
        # A message or an attendee may leave it out; among the items of an attachment it is needed.
        result["required"] = [name for name in result["required"] if name != TYPE]
    if not result.get("required", True):
        del result["required"]
    return result


if __name__ == "__main__":
    Path(__file__).parents[2].joinpath("docs", "openapi.json").write_text(text())
