"""What became of a mail is told to those it concerns and to nobody else. How it is found, cancelled and put back:
tests/functions, and every answer: test_openapi.py.
"""

from sandbox.cloud.directory import OTHER_CALLER_CLIENT_ID
from tests.e2e.running import NOBODY, Sandbox, titled


def test_a_mail_of_another_scope_is_not_there(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("mine"))
    other = {"Authorization": f"Bearer {sandbox.token(client_id=OTHER_CALLER_CLIENT_ID)}"}
    strange = sandbox.http.get(sandbox.facts["host"] + answer.headers["location"], headers=other)
    unknown = sandbox.http.get(f"{sandbox.facts['host']}/api/messages/{'0' * 32}", headers=other)
    assert strange.status_code == unknown.status_code == 404
    assert strange.json() == unknown.json()
    assert strange.headers["content-type"] == "application/problem+json"


def test_a_mail_is_found_by_its_key_and_by_what_is_known_of_it(sandbox: Sandbox) -> None:
    """By its producer, by an operator with a key and by one with a token; by another caller it is not."""
    mail = sandbox.ends(sandbox.send(titled("found"), path=f"users/{NOBODY}/sendMail", Idempotency_Key="found 1",
                                     Prefer="respond-async"), "failed")  # fmt: skip

    def found(path: str, **headers: str) -> list[str]:
        answer = sandbox.http.get(f"{sandbox.facts['host']}/api/{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["messages"]]

    own = {"Authorization": f"Bearer {sandbox.token()}"}
    other = {"Authorization": f"Bearer {sandbox.token(client_id=OTHER_CALLER_CLIENT_ID)}"}
    operator = {"Authorization": f"Bearer {sandbox.mint(claims={'roles': ['Mailroom.Operate']})}"}
    key = {"x-functions-key": sandbox.facts["keys"]["default"]}
    assert (found("messages?key=found+1", **own), found("messages?key=found+1", **other)) == ([mail["id"]], [])
    known = f"keyHash={mail['keyHash']}&state=failed&sender={NOBODY}&since={mail['acceptedAt']}&intake=http"
    for query in ("key=found+1", known, f"{known}&caller={sandbox.facts['caller_client_id']}"):
        assert found(f"messages?{query}", **operator) == found(f"operator/messages?{query}", **key) == [mail["id"]]
    for path, headers in (("attention", operator), ("operator/attention", key)):
        assert found(f"{path}?top=1000", **headers)[0] == mail["id"]
