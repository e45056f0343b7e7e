"""A run on a text as a model of the lm-evaluation-harness."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import arbench
from arbench import ConfigError
from arbench.runs.experiment import Run

pytest.importorskip("lm_eval", reason="install the extra `lm-eval`")

from lm_eval.api.registry import get_model
from lm_eval.evaluator import simple_evaluate

from arbench.lm_eval import ArbenchLM

TEXT = "".join(f"{n} times {n} is {n * n}.\n" for n in range(400))
CONTEXT, STRIDE = 32, 8


def asked(*args: object) -> list[SimpleNamespace]:
    """One request, as the harness makes it."""
    return [SimpleNamespace(args=args)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    (folder / "squares.txt").write_text(TEXT)
    return arbench.run(
        f"text:{folder / 'squares.txt'}",
        "lstm",
        settings={"hidden": 16, "embedding": 4, "num_layers": 1}
        | {"stream.context": CONTEXT, "stream.stride": STRIDE},
        epochs=2,
        device="cpu",
        out=folder / "run",
    )


@pytest.fixture(scope="module")
def model(run: Run) -> ArbenchLM:
    return ArbenchLM(str(run.path), device="cpu")


def test_bits_per_byte_of_the_harness_are_those_of_the_record(run: Run, model: ArbenchLM) -> None:
    from datasets import Dataset

    def document(**_: object) -> dict[str, Dataset]:
        return {"test": Dataset.from_list([{"text": TEXT[len(TEXT) * 19 // 20 :]}])}

    task = {
        "task": "squares",
        "custom_dataset": document,
        "test_split": "test",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "bits_per_byte"}],
    }
    found = simple_evaluate(model=model, tasks=[task], bootstrap_iters=0)
    theirs = found["results"]["squares"]["bits_per_byte,none"]
    assert theirs == pytest.approx(run.record.splits["test"].bits_per_dim, abs=1e-9)


def test_a_continuation_completes_the_log_probability_of_a_text(model: ArbenchLM) -> None:
    """The chain rule, in a window; and what may come next has probability one in all."""
    begin, end = "12 times 1", "2 is 144"
    (whole,) = model.loglikelihood_rolling(asked(begin + end))
    (first,) = model.loglikelihood_rolling(asked(begin))
    ((second, _),) = model.loglikelihood(asked(begin, end))
    assert first + second == pytest.approx(whole, abs=1e-5)
    next_ones = model.loglikelihood([*(r for c in sorted(set(TEXT)) for r in asked(begin, c))])
    assert sum(math.exp(nats) for nats, _ in next_ones) == pytest.approx(1, abs=1e-6)
    assert model.loglikelihood(asked(begin, "")) == [(0.0, True)]


def test_a_long_context_is_seen_as_far_as_the_last_window_reaches(model: ArbenchLM) -> None:
    text, more = TEXT[:1000], TEXT[1000 : 1000 + STRIDE - 1]
    seen = text[len(text) + len(more) - CONTEXT :]
    assert model.loglikelihood(asked(text, more)) == model.loglikelihood(asked(seen, more))
    assert model.loglikelihood(asked(seen[1:], more)) != model.loglikelihood(asked(seen, more))


def test_what_is_written_without_chance_is_the_likeliest(model: ArbenchLM) -> None:
    (text,) = model.generate_until(asked("7 times", {"until": [], "max_gen_toks": 12}))
    assert len(text) == 12
    ((_, is_greedy),) = model.loglikelihood(asked("7 times", text))
    other = "8" if text.endswith("9") else "9"
    ((_, another),) = model.loglikelihood(asked("7 times", text[:-1] + other))
    assert (is_greedy, another) == (True, False)


def test_writing_ends_before_the_first_string_that_ends_it(model: ArbenchLM) -> None:
    settings = {"max_gen_toks": 40, "do_sample": True, "temperature": 1.0}
    (text,) = model.generate_until(asked("3", {**settings, "until": []}))
    ends = [text[20:22], max(text, key=text.count)]  # the second one is there more than once
    (short,) = model.generate_until(asked("3", {**settings, "until": ends}))
    assert short == text[: min(text.find(end) for end in ends)]
    with pytest.raises(ConfigError, match="got top_p"):
        model.generate_until(asked("3", {"top_p": 0.9}))


def test_what_it_cannot_read_is_said(model: ArbenchLM) -> None:
    assert get_model("arbench") is ArbenchLM
    with pytest.raises(ConfigError, match=r"the character '€' at offset 2"):
        model.loglikelihood_rolling(asked("1 €"))
    with pytest.raises(ConfigError, match="is a run on mnist-mini; expected one on a long text"):
        ArbenchLM("mnist-mini/nade")


def test_without_the_harness_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['lm_eval'] = None; import arbench.lm_eval"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "ConfigError: arbench.lm_eval needs the lm-evaluation-harness" in done.stderr


@pytest.mark.slow
def test_the_page_and_the_record_say_the_same(
    shell: Callable[..., subprocess.CompletedProcess[str]], data_dir: Path, tmp_path: Path
) -> None:
    page = (Path(__file__).parent.parent / "docs" / "lm-eval.md").read_text()
    blocks = re.findall(
        r"^```(\w+)(?: title=\"(\S+)\")?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    files = [(title, text) for _, title, text in blocks if title]
    (command,) = [text for language, _, text in blocks if language == "bash"]
    assert len(files) == 2
    (tmp_path / "harness").mkdir()
    for title, text in files:
        (tmp_path / title).write_text(text)
    done = shell(command, tmp_path, ARBENCH_DATA=str(data_dir))
    assert done.returncode == 0, done.stdout + done.stderr
    (said,) = re.findall(r"Both say ([\d.]+)", page)
    assert re.search(rf"bits_per_byte *\|. *\| *{said}\|", done.stdout), done.stdout
    assert re.search(rf"validation .*{said}\d? ", done.stdout), done.stdout
