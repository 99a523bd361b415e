"""HTTP as the Azure host does it, through Microsoft's worker library."""

import base64
import re
import socket
from http import HTTPStatus

import httpx
import pytest

from tests.sandbox.host.running import Host, eventually, together

# One host for all tests here, also when they are spread over processes.
pytestmark = pytest.mark.xdist_group("host-http")


def test_the_ready_line_names_the_http_functions(http_host: Host) -> None:
    functions = {each["name"]: each for each in http_host.ready["functions"]}
    assert functions["user_mail"] == {
        "name": "user_mail",
        "type": "httpTrigger",
        "route": "/api/users/{id}/sendMail",
        "methods": ["POST"],
        "auth": "anonymous",
    }
    assert functions["echo"]["methods"] is None
    assert functions["keyed"]["auth"] == "function"
    assert http_host.ready["pid"] == http_host.process.pid
    assert "error" not in http_host.ready


# Source: host: GrpcMessageConversionExtensions.cs, ToRpcHttp.
def test_a_function_sees_the_whole_request(client: httpx.Client) -> None:
    """Method, full URL, lower-case headers joined when repeated, query, body as bytes, ids."""
    answer = client.post(
        "/api/echo?a=1&b=x%20y+z&a=2&A=3&empty=&c",
        content=b"\x00\xff{",
        headers=[("X-Twice", "1"), ("X-TWICE", "2"), ("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")],
    )
    seen = answer.json()
    assert (answer.status_code, answer.headers["x-seen"]) == (200, "yes")
    assert answer.headers["content-type"] == "application/json"
    assert seen["method"] == "POST"
    assert seen["url"] == f"{client.base_url}/api/echo?a=1&b=x%20y+z&a=2&A=3&empty=&c".replace("//api", "/api")
    assert seen["headers"]["x-twice"] == "1,2"
    assert all(name == name.lower() for name in seen["headers"])
    # Azure joins repeated parameters whatever their case, and drops those without a value.
    assert seen["params"] == {"a": "1,2,3", "b": "x y z"}
    assert base64.b64decode(seen["body"]) == b"\x00\xff{"
    assert seen["traceparent"] == "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    assert re.fullmatch(r"[0-9a-f-]{36}", seen["invocation"])


# Source: host: GrpcMessageConversionExtensions.cs, ToRpcHttp; issue 7930.
def test_a_chunked_body_does_not_reach_the_function(client: httpx.Client) -> None:
    """The host reads a body only if its Content-Length says that there is one; the connection serves on."""
    seen = client.post("/api/echo", content=iter([b"one ", b"two"])).json()
    assert (seen["body"], seen["headers"]["transfer-encoding"]) == ("", "chunked")
    assert "content-length" not in seen["headers"]
    assert base64.b64decode(client.post("/api/echo", content=b"whole").json()["body"]) == b"whole"


# Source: host: GrpcWorkerChannel.cs, an ActionBlock for each function's invocations.
def test_one_body_at_a_time_is_read_for_a_function(client: httpx.Client, http_host: Host) -> None:
    """One who sends slowly holds up the other callers of that function, bodies or none, and nobody else."""
    address = httpx.URL(http_host.url)
    with socket.create_connection((address.host, address.port or 0), timeout=20) as slow:
        slow.sendall(b"POST /api/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n1")
        assert client.get("/api/opt").status_code == HTTPStatus.OK  # and by now its head has been read
        with pytest.raises(httpx.ReadTimeout):
            client.post("/api/echo", content=b"x", timeout=0.5)
        with pytest.raises(httpx.ReadTimeout):
            client.get("/api/echo", timeout=0.5)
        assert client.post("/api/opt", content=b"x").status_code == HTTPStatus.OK
        slow.sendall(b"23")
        assert slow.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert client.get("/api/echo").status_code == HTTPStatus.OK


# Source: host: GrpcMessageConversionExtensions.cs, PopulateBody.
def test_a_caller_that_goes_away_in_mid_body_fails_the_invocation(client: httpx.Client, http_host: Host) -> None:
    """It is the host's doing: the function is not run."""
    address = httpx.URL(http_host.url)
    with socket.create_connection((address.host, address.port or 0), timeout=20) as gone:
        gone.sendall(b"POST /api/raises HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n1")
        client.get("/api/echo")
    eventually(lambda: "'Functions.raises' (Failed" in http_host.log and "Unexpected end of request" in http_host.log)
    assert "spilled 1 bytes" not in http_host.log


@pytest.mark.parametrize(
    ("path", "function", "route"),
    [
        ("/api/users/a%40b.c/sendMail", "user_mail", {"id": "a@b.c"}),
        ("/API/Users/x%2Fy/SENDMAIL", "user_mail", {"id": "x%2Fy"}),
        ("/api/users/me/sendMail", "me_mail", {}),
        ("/api/users/ME/sendMail/", "me_mail", {}),
        ("/api/items/-12", "item", {"id": "-12"}),
        ("/api/opt", "opt", {}),
        ("/api/opt/here", "opt", {"name": "here"}),
        ("/api/unrouted", "Unrouted", {}),
    ],
)
def test_paths_find_their_function(client: httpx.Client, path: str, function: str, route: dict[str, str]) -> None:
    """Any case, values decoded except %2F, text before parameters, a function's name when it has no route."""
    seen = client.post(path).json()
    assert (seen["function"], seen["route"]) == (function, route)


# Source: host: WebScriptHostHttpRoutesManager.cs.
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/users/x/sendMail"),
        ("HEAD", "/api/users/x/sendMail"),
        ("POST", "/api/users//sendMail"),
        ("POST", "/api/users/x/sendMail/more"),
        ("GET", "/api/items/twelve"),
        ("GET", "/api/items/99999999999"),
        ("GET", "/echo"),
        ("GET", "/"),
        ("GET", "/api/switched-off"),
    ],
)
def test_no_route_or_another_method_is_404_without_a_body(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.content) == (404, b"")


def test_text_comes_back_as_text(client: httpx.Client, http_host: Host) -> None:
    """And what a function prints goes to stderr, never to stdout."""
    answer = client.get("/api/text")
    assert (answer.status_code, answer.text) == (200, "plain, für alle")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    eventually(lambda: "printed by a function" in http_host.log)


def test_a_raising_function_is_500_without_a_body_and_its_traceback_on_stderr(
    client: httpx.Client, http_host: Host
) -> None:
    answer = client.post("/api/raises", content=b"xyz")
    assert (answer.status_code, answer.content) == (500, b"")
    eventually(lambda: "RuntimeError: spilled 3 bytes" in http_host.log)
    assert 'in raises\n    raise RuntimeError(f"spilled' in http_host.log


@pytest.mark.parametrize("path", ["/api/leaves", "/api/leaves?cancelled=1"])
def test_a_function_that_leaves_does_not_take_the_host_with_it(
    client: httpx.Client, http_host: Host, path: str
) -> None:
    assert client.get(path).status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert client.get("/api/echo").status_code == HTTPStatus.OK
    eventually(lambda: "in leaves" in http_host.log)


@pytest.mark.parametrize("query", ["status=99", "status=1000", "header=a%0D%0Ab:c", "header=%C3%BC"])
def test_a_response_that_http_cannot_carry_is_500(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/api/made?{query}")
    assert (answer.status_code, answer.content) == (500, b"")


# Source: learn.microsoft.com/azure/azure-functions/function-keys-how-to.
@pytest.mark.parametrize(("path", "opened_by"), [("/api/keyed", {"default", "master"}), ("/api/mastered", {"master"})])
def test_keys_open_what_their_level_says(client: httpx.Client, http_host: Host, path: str, opened_by: set[str]) -> None:
    """By header or by query, the header first; 401 without a body otherwise."""
    keys = {**http_host.ready["keys"], "wrong": "wrong", "none": "", "odd": "ü"}
    for name, key in keys.items():
        expected = 200 if name in opened_by else 401
        header = {"x-functions-key": key.encode()}
        answers = [client.get(path, headers=header), client.get(path, params={"CODE": key})]
        assert [answer.status_code for answer in answers] == [expected, expected], name
        assert client.get(path, params={"code": keys["master"]}, headers=header).status_code == expected
    assert client.get(path).content == b""


def test_the_master_key_reaches_a_disabled_function(client: httpx.Client, http_host: Host) -> None:
    assert client.get("/api/switched-off", headers=http_host.master).status_code == HTTPStatus.OK


# Source: learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger, Limits; host: ToRpcHttp.
def test_a_body_over_100_mb_fails_the_invocation(http_host: Host) -> None:
    """At once, by its announced length: a failure of the host's and 500, not 413."""
    address = httpx.URL(http_host.url)
    with socket.create_connection((address.host, address.port or 0), timeout=10) as connection:
        head = f"POST /api/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {100 * 1024 * 1024 + 1}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 500 ")
    eventually(lambda: "Request body too large" in http_host.log)


def test_invocations_run_at_the_same_time_on_one_loop(client: httpx.Client) -> None:
    """Each of three requests is answered only when all three are in the function."""
    answers = together(*[lambda: client.get("/api/three")] * 3)
    assert [answer.text for answer in answers] == ["three"] * 3


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/admin/functions"), ("GET", "/admin/x"), ("POST", "/ADMIN/functions/echo")]
)
def test_admin_needs_the_master_key(client: httpx.Client, http_host: Host, method: str, path: str) -> None:
    for headers in ({}, {"x-functions-key": http_host.ready["keys"]["default"]}):
        answer = client.request(method, path, headers=headers)
        assert (answer.status_code, answer.content) == (401, b"")
