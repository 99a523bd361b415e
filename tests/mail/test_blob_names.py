"""Names of blobs: one text, one blob, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mail.addresses import split_blob

GOOD = {
    "mail-attachments/report.pdf": ("mail-attachments", "report.pdf"),
    "mail-attachments/2026/July report.pdf": ("mail-attachments", "2026/July report.pdf"),
    "mail-attachments/2026%2FJuly%20report.pdf": ("mail-attachments", "2026/July report.pdf"),
    "mail%2Dattachments/Rechnung%20M%C3%BCller.pdf": ("mail-attachments", "Rechnung Müller.pdf"),
    "abc/100 % sure.txt": ("abc", "100 % sure.txt"),
    "abc/..a/b..": ("abc", "..a/b.."),
    "abc/" + "x" * 1024: ("abc", "x" * 1024),
}
BAD = {
    "no name": "abc/", "no container": "report.pdf", "two characters of a container": "ab/report.pdf",
    "capitals in the container": "Mail/report.pdf", "two dashes": "a--b/report.pdf",
    "a container of the service": "$root/report.pdf",
    "a URL": "https://contoso.blob.core.windows.net/mail-attachments/report.pdf",
    "another folder": "mail-attachments/../mail-dead/x",
    "another folder, encoded": "mail-attachments/%2e%2E/mail-dead/x",
    "another folder, slash encoded": "mail-attachments%2f..%2Fmail-dead/x", "this folder": "mail-attachments/./x",
    "an empty part": "mail-attachments//x", "a slash first": "/mail-attachments/x",
    "a slash last": "mail-attachments/x/", "a backslash": "mail-attachments\\..\\mail-dead\\x",
    "a backslash, encoded": "mail-attachments/..%5Cx", "a query": "mail-attachments/x?sv=2026",
    "a snapshot, encoded": "mail-attachments/x%3Fsnapshot=2026", "a fragment": "mail-attachments/x#y",
    "encoded twice": "mail-attachments/%252e%252e/x", "a control character": "mail-attachments/x\x00",
    "a control character, encoded": "mail-attachments/x%0a", "a line separator": "mail-attachments/x\u2028y",
    "bytes that are no text": "mail-attachments/%ff", "too long": "abc/" + "x" * 1025, "nothing": "",
}  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), GOOD.items(), ids=GOOD)
def test_a_name_is_read_as_storage_has_it(text: str, parts: tuple[str, str]) -> None:
    assert split_blob(text) == parts


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_could_name_another_blob_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[A-Z][^%\\#]*\.$") as caught:
        split_blob(text)
    assert len(text) < 3 or text not in str(caught.value)


@given(st.text() | st.text("abc-./%25eE\\?#", max_size=30))
def test_what_is_read_is_read_the_same_again_and_stays_in_its_container(text: str) -> None:
    try:
        container, name = split_blob(text)
    except ValueError:
        return
    assert split_blob(f"{container}/{name}") == (container, name)
    assert not {"", ".", ".."} & set(name.split("/"))
