from pathlib import Path

import pytest

from sandbox.options import parse


def test_the_ports_are_those_of_the_readme() -> None:
    given = parse([])
    ports = (given.port, given.graph_port, given.mail_port, given.smtp_port, given.storage_port)
    assert ports == (7071, 7072, 1080, 1025, 10000)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "x"],
        ["--port", "-1"],
        ["--port", "65536"],
        ["--port", "²"],
        ["--storage-port", "65534"],
        ["--queue-lease", "soon"],
        ["--queue-lease", "nan"],
        ["--latency", "-1"],
        ["--concurrency", "0"],
        ["--without", "host"],
        ["--only", "mail"],
        ["--app", "no/such/folder"],
        ["--prot", "1"],
    ],
)
def test_a_wrong_option_is_named_and_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_help_names_what_the_environment_replaces(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    assert {"AzureWebJobsStorage", "GRAPH_BASE_URL", "IDENTITY_ENDPOINT"} <= set(text.split())


def test_folders_do_not_depend_on_where_a_part_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = parse(["--app", ".", "--data", "data"])
    assert (given.app, given.data) == (tmp_path, tmp_path / "data")
