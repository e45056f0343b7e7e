"""An export keeps to the schema of Every Eval Ever, and its numbers are those of the record.

`every_eval_ever/eval.schema.json` is that of version 0.3.0, as its package on PyPI has it, without
descriptions.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from arbench.boards.published import nats_of
from arbench.boards.results import kept_records
from arbench.cli import main
from arbench.export.every_eval_ever import document_of
from arbench.measure.result_sections import ResultSection
from arbench.runs.record.record import Record

FROZEN = Path(__file__).parents[1] / "frozen" / "v2"
SCHEMA = Draft7Validator(
    json.loads((Path(__file__).parent / "every_eval_ever" / "eval.schema.json").read_text())
)


def test_every_kept_record_fits_the_schema() -> None:
    records = [Record.read(path) for path in sorted(kept_records().glob("*/*.json"))]
    assert sum(isinstance(s, ResultSection) for r in records for s in r.measurements.values()) > 3
    for record in records:
        document = document_of(record, "1790000000", name="hf:org/name")
        SCHEMA.validate(document)
        first, *others = document["evaluation_results"]
        keys = [result["evaluation_result_id"] for result in (first, *others)]
        assert len({*keys}) == len(keys)
        tests = [r for r in (first, *others) if r["evaluation_result_id"].endswith("/test/nats")]
        assert tests[0]["score_details"]["score"] == pytest.approx(nats_of(record), rel=1e-12)
        assert tests[0]["metric_config"]["lower_is_better"]
        faster = [r for r in others if r["metric_config"]["metric_unit"] == "samples/s"]
        assert not any(r["metric_config"]["lower_is_better"] for r in faster)


def test_what_the_schema_would_not_take_is_seen() -> None:
    """So that the test above can fail."""
    record = Record.read(FROZEN / "markov" / "record.json")
    document = document_of(record, "1790000000")
    document["model_info"]["additional_details"]["num_parameters"] = 5
    assert list(SCHEMA.iter_errors(document))


@pytest.mark.parametrize("run", ["foreign", "ar1", "names"])
def test_a_run_becomes_a_file_in_the_datastore_s_place(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(FROZEN / run), "--format", "every-eval-ever", "--out", str(tmp_path)]
    assert main([*words, "--organisation", "Somebody"]) == 0
    file = Path(capsys.readouterr().out.strip())
    document = json.loads(file.read_text())
    SCHEMA.validate(document)
    record = Record.read(FROZEN / run / "record.json")
    model = document["model_info"]["id"]
    assert file.relative_to(tmp_path).parent.as_posix() == f"data/arbench/{model}"
    assert document["source_metadata"]["source_organization_name"] == "Somebody"
    third = document["source_metadata"]["evaluator_relationship"] == "third_party"
    assert third == (run == "foreign")
    lowest = document["evaluation_results"][0]["metric_config"]["min_score"]
    assert lowest == (0.0 if record.splits["test"].kind == "exact" else "-Infinity")
    assert main([*words, "--organisation", "Somebody"]) == 0
    assert capsys.readouterr().out.strip() == str(file)  # the same run is the same file


def test_a_run_without_numbers_has_nothing_to_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--format", "every-eval-ever", "--out", str(tmp_path)]
    assert main(["export", str(FROZEN / "interrupted"), *words]) == 2
    assert "only a finished run has some" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
