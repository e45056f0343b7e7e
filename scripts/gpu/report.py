"""Turns an archive into run folders, speed reports and the tables in docs/gpu.md."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "gpu.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"

Part = dict[str, Any]


def write(archive: Path) -> None:
    """Unpack an archive into a folder beside it, and write what it holds into the page."""
    folder = archive.with_suffix("")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)  # which never leaves the folder
    parts = [
        json.loads(file.read_text())
        for stage in ("conformance", "speed", "training")
        for file in sorted((folder / stage).glob("*.json"))
    ]
    head, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{tables(parts)}\n{END}{tail}")
    print(f"{PAGE.relative_to(ROOT)}: {len(parts)} parts")
    runs = [file.parent for file in sorted(folder.glob("runs/*/record.json"))]
    for path in [*runs, *sorted(folder.glob("speed-reports/*/*/*.json"))]:
        print(f"to keep it: python scripts/keep_results.py {path}")


def tables(parts: list[Part]) -> str:
    """The tables of all stages in Markdown, one after the other."""
    texts = []
    for stage, table in TABLES.items():
        own = [part for part in parts if part["stage"] == stage]
        if own:
            texts.append(f"## {stage.capitalize()}\n\n{_where(own[0])}\n\n{table(own)}")
    return "\n".join(texts)


def _where(part: Part) -> str:
    machine = part["machine"]
    where = f"torch {machine['torch']}, Python {machine['python']}"
    if part["small"]:
        return f"**Without CUDA, in small, to show that it works**: a CPU, {where}."
    return f"{machine['gpu']}, {where}."


def conformance(parts: list[Part]) -> str:
    """A row per model: how far its log-probabilities differ, and how many samples strayed."""
    rows = []
    for part in parts:
        cells = [part["part"], part.get("failed", "passed")]
        for dtype in ("float64", "float32"):
            own = [row for row in part.get("rows", []) if row["dtype"] == dtype]
            furthest = max((row["log_prob"] for row in own), default=None)
            strayed = [n for row in own for n in row["samplers"].values()]
            cells += [_number(furthest), f"{sum(strayed)} of {64 * len(strayed)}" if own else "-"]
        waits = {row["waits"] for row in part.get("rows", []) if "waits" in row}
        cells.append("; ".join(sorted(waits)) or "-")
        rows.append(cells)
    head = ["model", "", "float64: log_prob", "samples", "float32: log_prob", "samples", "waits"]
    return _table(head, rows)


def speed(parts: list[Part]) -> str:
    """A row per model, sampler and batch size."""
    rows = []
    for part in parts:
        for row in part.get("rows", [{"method": part.get("failed", "")}]):
            median, share = row.get("median_s"), row.get("bandwidth_share")
            rate = row["batch_size"] / median if median else None
            faster = row.get("times_faster")
            rows.append(
                [
                    *(part["part"], row["method"], str(row.get("batch_size", "-"))),
                    *(_number(rate), f"{faster:.1f}x" if faster else "-"),
                    f"{share:.0%}" if share is not None else "-",
                    row.get("waits", "-"),
                ]
            )
    head = ["model", "sampler", "batch", "events/s", "graph", "of bandwidth", "waits"]
    return _table(head, rows)


def training(parts: list[Part]) -> str:
    """A row per way to train, and one of gpt."""
    rows, last = [], ""
    for part in parts:
        for row in part.get("rows", [{}]):
            if "nats" in row:
                last = (
                    f"\ngpt on {row['task']}: {row['seconds']:.0f} s, {row['steps']:,} steps, "
                    f"{row['nats']:.2f} ± {row['standard_error']:.2f} nats on test.\n"
                )
                continue
            peak = row.get("peak_bytes")
            rows.append(
                [
                    *(part["part"], row.get("task", part.get("failed", ""))),
                    *(str(row.get("batch_size", "-")), _number(row.get("events_per_s"))),
                    f"{peak / 2**20:,.0f} MiB" if peak else "-",
                    "-" if row.get("waits") is None else str(row["waits"]),
                ]
            )
    head = ["model", "task", "batch", "events/s", "memory", "waits a step"]
    return _table(head, rows) + last


TABLES = {"conformance": conformance, "speed": speed, "training": training}


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = [[re.sub(r"\s+", " ", cell).replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
