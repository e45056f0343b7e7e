"""`arbench push`, as a user types it; what happens on the Hub is in tests/hub."""

from __future__ import annotations

import pytest

from arbench.cli import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say where to"),
        (["runs/x"], "say where to"),
        (["--to", "me/x"], "--to needs a RUN"),
        (["runs/x", "--space", "me/x"], "leave out RUN"),
        (["mnist-mini/nade", "--to", "nowhere"], "expected ORG/NAME"),
        (["mnist-mini/nade", "--to", "../x/y"], "expected ORG/NAME"),
        (["--board", "a/b/c"], "expected ORG/NAME"),
        (["--space", "a b/c"], "expected ORG/NAME"),
        (["mnist-mini/nad", "--to", "me/x"], "did you mean mnist-mini/nade"),
    ],
)
def test_a_wrong_request_is_one_line_and_asks_nobody(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # a request would be another error
    assert main(["push", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_run_is_pushed_to_an_organisation_and_no_further(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["run", "--task", "mnist-mini", "--model", "bernoulli", "--push", "a/b"]
    assert main(arguments) == 2
    assert "names no repository" in capsys.readouterr().err
