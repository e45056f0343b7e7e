"""Boards: ranks that rest on tests, kinds kept apart, published numbers among the results."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from making import BASE, KEPT, MakeResult, noise, with_likelihood

import arbench
from arbench.boards.board_text import ABOUT_GROWING, board_pages, boards_text
from arbench.boards.boards import find_boards, make_boards
from arbench.boards.ranking import standings
from arbench.boards.results import Result, read_results
from arbench.boards.rows import flat_rows
from arbench.boards.speeds import SpeedReport
from arbench.errors import ConfigError
from arbench.measure.likelihood import BlockRecord, WindowsRecord
from arbench.runs.record.record import HashesRecord, Record


def replace_device(report: SpeedReport, device: str) -> SpeedReport:
    """The same speeds on a device of another name."""
    rows = [row.model_copy(update={"device": device}) for row in report.sampling]
    return report.model_copy(update={"sampling": rows})


def test_kinds_and_tasks_are_kept_apart(make_result: MakeResult) -> None:
    results = [
        make_result("a", noise(0)),
        make_result("b", noise(1), kind="bound"),
        make_result("c", noise(2), task="elsewhere"),
        make_result("d", noise(3), kind="density"),
    ]
    boards = make_boards(results)
    assert [(board.task, board.kind) for board in boards] == [
        ("elsewhere", "exact"),
        ("somewhere", "exact"),
        ("somewhere", "density"),
        ("somewhere", "bound"),
    ]
    assert [board.num_results for board in boards] == [1, 1, 1, 1]
    assert boards[2].measure == "nats/event"
    assert boards[2].rows[0].bits_per_dim is None


def test_static_and_resampled_digits_share_no_board() -> None:
    boards = {board.task: board for board in make_boards(KEPT) if board.kind == "exact"}
    assert boards["mnist"].data_sha256 != boards["mnist-static"].data_sha256
    sources = {row.source for row in boards["mnist"].rows if row.published}
    assert not any("AISTATS" in source for source in sources)  # those papers' digits are fixed


def test_published_rows_stand_at_their_place_unranked_with_a_source() -> None:
    (board,) = (b for b in make_boards(KEPT) if (b.task, b.kind) == ("mnist-static", "exact"))
    scores = [row.score for row in board.rows]
    assert scores == sorted(scores)
    published = [row for row in board.rows if row.published]
    assert published
    assert all(row.rank is None and row.source and row.status == "published" for row in published)
    made = next(row for row in published if row.nats == pytest.approx(88.04))
    assert made.bits_per_dim == pytest.approx(88.04 / 784 / math.log(2))
    own = [row.rank for row in board.rows if row.rank is not None]
    assert own == sorted(own)


def test_unchecked_numbers_come_only_when_asked_for_and_are_marked() -> None:
    checked, _ = find_boards("uci-dna")
    every, _ = find_boards("uci-dna", unchecked=True)
    assert not any(row.published for row in checked[0].rows)
    unchecked = [row for row in every[0].rows if row.published]
    assert unchecked
    assert all(row.status == "unchecked" for row in unchecked)
    assert "(unchecked)" in boards_text(every, "table")


def test_a_task_that_only_papers_know_has_a_board() -> None:
    (exact, bound), _ = find_boards("cifar10")
    assert (exact.kind, bound.kind) == ("exact", "bound")
    assert exact.rows[0].bits_per_dim == pytest.approx(2.53)
    assert exact.rows[0].nats is None


def test_an_unknown_task_is_answered_with_what_comes_close() -> None:
    with pytest.raises(ConfigError, match="did you mean mnist"):
        find_boards("mnits")


def test_results_of_the_same_name_are_told_apart(make_result: MakeResult) -> None:
    """By the settings that differ; by numbers where none does."""
    widths = (7, 8, 8)
    results = []
    for seed, hidden in enumerate(widths):
        result = make_result("a", noise(seed))
        training = result.record.training
        assert training is not None
        network = {**training.settings["network"], "hidden": hidden}
        settings = {**training.settings, "network": network}
        update = {
            "training": training.model_copy(update={"settings": settings}),
            "sha256": HashesRecord(weights=f"{seed:x}" * 64),
        }
        results.append(replace(result, record=result.record.model_copy(update=update)))
    (board,) = make_boards(results)
    names = ["a hidden=7", "a hidden=8 (1)", "a hidden=8 (2)"]
    assert sorted(row.model for row in board.rows) == names
    (board,) = make_boards(results[1:])
    assert sorted(row.model for row in board.rows) == ["a (1)", "a (2)"]


def test_versions_of_a_task_s_data_are_boards_of_their_own(make_result: MakeResult) -> None:
    both = []
    for version, sha256 in (("1", "1" * 64), ("2", "2" * 64)):
        result = make_result(f"model-{version}", noise(0))
        task = result.record.task.model_copy(update={"version": version, "data_sha256": sha256})
        both.append(replace(result, record=result.record.model_copy(update={"task": task})))
    boards = make_boards(both)
    assert [board.title for board in boards] == [
        "somewhere (version 1, data 11111111)",
        "somewhere (version 2, data 22222222)",
    ]
    assert len({board.key for board in boards}) == 2
    page = board_pages(both)["somewhere.md"]
    assert all(f"sha256 `{board.data_sha256}`" in page for board in boards)
    assert [board.title for board in make_boards(both[:1])] == ["somewhere"]


def test_results_on_other_test_events_are_on_boards_of_their_own(make_result: MakeResult) -> None:
    """They name the same data, and no paired test could tell which is better."""
    events = noise(0) * 10
    results = [
        make_result("worse", events - 0.2 + 0.1 * noise(1)),
        make_result("whole", events),
        make_result("part", events[:50] + 5),
        make_result("wide", events, dims=40),
    ]
    found = standings([[(r.record, r.log_probs)] for r in results])
    assert [standing.rank for standing in found] == [2, 1, 1, 1]
    boards = make_boards(results)
    of = "version 1, data " + BASE.task.data_sha256[:8]
    assert {board.title: [row.model for row in board.rows] for board in boards} == {
        f"somewhere ({of}, 200 test dims in 50 events)": ["part"],
        f"somewhere ({of}, 1,600 test dims in 400 events)": ["whole", "worse"],
        f"somewhere ({of}, 16,000 test dims in 400 events)": ["wide"],
    }
    assert len({board.key for board in boards}) == 3
    assert len(board_pages(results)["README.md"].split("](somewhere.md)")) == 4
    assert [board.title for board in make_boards(results[:2])] == ["somewhere"]


def with_windows(record: Record, windows: WindowsRecord) -> Record:
    """A record that is of a stream."""
    return with_likelihood(record, test=record.splits["test"], windows=windows)


def test_windows_of_a_stream_may_differ_on_one_board(make_result: MakeResult) -> None:
    results = []
    for name, count in (("short", 100), ("long", 50)):
        result = make_result(name, noise(0, count), dims=400 // count)
        windows = WindowsRecord(context=400 // count, stride=400 // count)
        results.append(replace(result, record=with_windows(result.record, windows)))
    (board,) = make_boards(results)
    assert board.title == "somewhere"
    assert len(board.rows) == 2


def test_parts_of_a_stream_are_told_apart_by_their_symbols(make_result: MakeResult) -> None:
    """A stream has windows, which may differ on one board, and no events to count."""
    results = []
    for name, dims in (("whole", 4), ("part", 2)):
        result = make_result(name, noise(0, 100), dims=dims)
        windows = WindowsRecord(context=dims, stride=dims)
        results.append(replace(result, record=with_windows(result.record, windows)))
    titles = {board.title.partition(", ")[2] for board in make_boards(results)}
    data = BASE.task.data_sha256[:8]
    assert titles == {f"data {data}, {dims} test dims)" for dims in (200, 400)}


@pytest.mark.parametrize("still_growing", [False, True])
def test_an_error_that_is_a_lower_bound_is_marked_and_explained(
    make_result: MakeResult, still_growing: bool
) -> None:
    result = make_result("a", noise(0, 100))
    block = BlockRecord(rule="so", length=20, num_blocks=20, still_growing=still_growing)
    test = result.record.splits["test"].model_copy(update={"num_groups": 20, "block": block})
    record = with_likelihood(result.record, test=test, windows=WindowsRecord(context=4, stride=4))
    result = replace(result, record=record)
    assert make_boards([result])[0].rows[0].still_growing == still_growing
    assert (ABOUT_GROWING in board_pages([result])["somewhere.md"]) == still_growing


@pytest.mark.parametrize(
    ("copies", "members", "label"),
    [(1, 1, "a"), (2, 1, "a (2 copies)"), (1, 2, "a (2 members)"), (1, 6, "a (6 members)")],
)
def test_what_is_averaged_is_told_from_what_is_not(
    make_result: MakeResult, copies: int, members: int, label: str
) -> None:
    result = make_result("a", noise(0))
    update = {"num_copies": copies, "num_members": members}
    model = result.record.model.model_copy(update=update)
    result = replace(result, record=result.record.model_copy(update={"model": model}))
    (board,) = make_boards([result])
    assert [row.model for row in board.rows] == [label]


def test_what_nobody_has_seen_in_its_source_is_shown_only_where_it_is_asked_for() -> None:
    statuses = {
        unchecked: {row.status for board in boards for row in board.rows}
        for unchecked, boards in (
            (False, make_boards(KEPT)),
            (True, make_boards(KEPT, unchecked=True)),
        )
    }
    assert statuses[True] - statuses[False] == {"unchecked"}


def test_a_processor_is_named_where_there_are_several(make_result: MakeResult) -> None:
    """Two machines' "cpu" are not one column, and the faster one does not hide the other."""
    result = make_result("a", noise(0))
    (own,) = result.speeds
    other = own.model_copy(
        update={"environment": own.environment.model_copy(update={"cpu": "Another CPU"})}
    )
    (board,) = make_boards([replace(result, speeds=(own, other))])
    expected = {f"cpu ({own.machine})", "cpu (Another CPU)"}
    assert {speed.device for speed in board.rows[0].speeds} == expected


def test_json_and_csv_say_what_the_board_says() -> None:
    boards, _ = find_boards("mnist")
    (exact, _) = json.loads(boards_text(boards, "json"))
    assert [row["model"] for row in exact["rows"]] == [row.model for row in boards[0].rows]
    rows = [*csv.DictReader(io.StringIO(boards_text(boards, "csv")))]
    assert len(rows) == sum(len(board.rows) for board in boards)
    nade = next(row for row in rows if row["model"] == "nade")
    assert float(nade["nats"]) == pytest.approx(BASE.splits["test"].nats_per_event)
    speeds = [row.events_per_s for row in BASE.speeds]
    (row,) = (row for row in boards[0].rows if row.model == "nade")
    (device,) = {speed.device for speed in row.speeds}
    assert float(nade[f"step on {device}, events/s"]) == max(speeds)


def test_in_python_a_board_is_a_data_frame() -> None:
    frame = arbench.leaderboard("mnist")
    assert [*frame["model"]] == [row["model"] for row in flat_rows(find_boards("mnist")[0])]
    ranked = frame.dropna(subset=["rank"])
    assert ranked["rank"].min() == 1
    assert str(frame["rank"].dtype) == "Int64"
    assert frame["nats"].dtype == "float64"


def test_a_page_shows_what_data_say_and_nothing_else(make_result: MakeResult) -> None:
    result = make_result("a", noise(0))
    assert result.record.training is not None
    training = result.record.training.model_copy(update={"device": "a|b\n<script>"})
    task = result.record.task.model_copy(update={"unit": "c|d"})
    record = result.record.model_copy(update={"training": training, "task": task})
    speeds = [replace_device(speed, "e|f") for speed in result.speeds]
    page = board_pages([replace(result, record=record, speeds=tuple(speeds))])["somewhere.md"]
    header, _, row = (line for line in page.splitlines() if line.startswith("|"))
    assert "a\\|b \\<script\\>" in row
    assert "bits/c\\|d" in header
    assert "samples/s, e\\|f" in header


def test_pages_are_listed() -> None:
    pages = board_pages(KEPT)
    assert {name for name in pages if name != "README.md"} == {
        f"{r.record.task.name}.md" for r in KEPT
    }
    for name in pages:
        assert name == "README.md" or f"]({name})" in pages["README.md"]


def test_reports_of_speed_join_the_result_they_belong_to(tmp_path: Path) -> None:
    from arbench.boards.results import keep_result, keep_speeds

    run = arbench.run("toy-markov", "bernoulli", epochs=1, device="cpu", out=tmp_path / "run")
    records = tmp_path / "records"
    kept = keep_result(run.path, records)
    (own,) = SpeedReport.of_record(run.record)
    fast = own.sampling[0].model_copy(update={"device": "Fast Card", "events_per_s": 1e6})
    machine = own.environment.model_copy(update={"gpu": "Fast Card"})
    report = own.model_copy(update={"sampling": [fast], "environment": machine})
    report.write(tmp_path / "speed.json")
    lines = (tmp_path / "speed.json").read_text().splitlines()
    assert lines[:2] == ["{", ' "schema_version": 1,']  # a value a line, so that changes show
    copy = keep_speeds(tmp_path / "speed.json", records)
    assert copy == records / "toy-markov" / "speed" / f"{kept.stem}.speed-fast-card.json"
    (board,) = make_boards(read_results(records))
    assert {speed.device for speed in board.rows[0].speeds} == {"Fast Card", "cpu"}
    stranger = report.model_copy(update={"result_sha256": "0" * 64})
    stranger.write(tmp_path / "other.json")
    with pytest.raises(ConfigError, match="its result is not kept"):
        keep_speeds(tmp_path / "other.json", records)


def test_rows_are_in_the_order_of_their_scores() -> None:
    for board in make_boards(KEPT, unchecked=True):
        assert all(a.score <= b.score for a, b in pairwise(board.rows))


def of_seed(result: Result, seed: int, recipe: str) -> Result:
    """The same result as the one of a seed of a recipe."""
    assert result.record.training is not None
    training = result.record.training.model_copy(update={"seed": seed, "recipe_sha256": recipe})
    hashes = HashesRecord(weights=f"{seed:x}" * 64)
    record = result.record.model_copy(update={"training": training, "sha256": hashes})
    return replace(result, record=record)


def test_the_seeds_of_one_recipe_are_one_row(make_result: MakeResult) -> None:
    """Two of them differ beyond doubt by events alone, and take no different ranks."""
    events = noise(0) * 10
    shifts = (0.0, 0.3, 0.1)
    seeds = [
        of_seed(make_result(f"net{n}", events - shift + 0.01 * noise(5 + n)), n, "a" * 64)
        for n, shift in enumerate(shifts)
    ]
    alone = [[(seed.record, seed.log_probs)] for seed in seeds[:2]]
    assert [standing.rank for standing in standings(alone)] == [1, 2]  # as weights they are
    other = make_result("other", events - 0.15 + 0.01 * noise(9))
    (board,) = make_boards([*seeds, other])
    assert [row.num_seeds for row in board.rows] == [3, 1]
    assert [row.model for row in board.rows] == ["net0", "other"]
    row = board.rows[0]
    values = [seed.record.splits["test"].nats_per_event for seed in seeds]
    assert row.nats == pytest.approx(sum(values) / 3)
    assert row.bits_per_dim == pytest.approx(sum(values) / 3 / 4 / math.log(2))
    by_events = seeds[0].record.splits["test"].standard_error_nats
    spread = torch.tensor(values).double().var().item() / 3
    assert row.nats_error == pytest.approx(math.sqrt(by_events**2 + spread), rel=0.01)
    text = board_pages([*seeds, other])["somewhere.md"]
    sd = math.sqrt(3 * spread)
    assert f"| 3 seeds, sd {sd:.2g} nats |" in " ".join(text.split())
    assert "| 1 seed: these weights |" in " ".join(text.split())


def test_recipes_are_ranked_over_their_seeds(make_result: MakeResult) -> None:
    """What is beyond doubt by events alone is luck by seeds, and what is not stays."""
    events = noise(0) * 10

    def recipe(name: str, shifts: list[float]) -> list[Result]:
        return [
            of_seed(make_result(f"{name}-{n}", events - s + 0.01 * noise(n)), n, name * 64)
            for n, s in enumerate(shifts)
        ]

    def placed(*recipes: list[Result]) -> list[int]:
        found = standings([[(seed.record, seed.log_probs) for seed in seeds] for seeds in recipes])
        return [standing.rank for standing in found]

    wide, lucky, worse = (
        recipe("a", [0.0, 0.4, 0.2, 0.1]),
        recipe("b", [0.1, 0.5, 0.2, 0.3]),
        recipe("c", [5.0, 5.3, 5.1, 5.2]),
    )
    assert placed(wide, lucky, worse) == [1, 1, 3]
    assert placed(wide[:2], lucky[:2]) == [1, 2]  # two seeds are these weights


def test_a_seed_that_was_trained_twice_counts_once(make_result: MakeResult) -> None:
    first, again = (of_seed(make_result(f"net{n}", noise(n)), 0, "a" * 64) for n in range(2))
    (board,) = make_boards([first, again])
    assert [row.num_seeds for row in board.rows] == [1]


def test_an_error_that_still_grows_is_marked_on_the_board() -> None:
    results = [result for result in KEPT if result.record.task.name == "shakespeare"]
    for result in results:
        test = result.record.splits["test"]
        assert test.block is not None
        assert test.block.still_growing
        assert (test.block.num_blocks, test.num_groups) == (20, 20)
        assert test.standard_error_bits_per_dim is not None
        assert test.standard_error_bits_per_dim * math.log(2) >= 0.025
    page = board_pages(results)["shakespeare.md"]
    assert page.count("(still growing)") == 2 * len(results)
    assert "It is a lower bound" in page
    assert "still growing" not in board_pages(KEPT)["mnist.md"]


def test_errors_of_recordings_are_over_recordings() -> None:
    results = [result for result in KEPT if result.record.task.name == "fsdd"]
    assert results
    for result in results:
        test = result.record.splits["test"]
        assert (result.record.task.groups, test.num_groups) == ("recording", 300)
        assert test.standard_error_bits_per_dim is not None
        assert test.standard_error_bits_per_dim >= 0.053
