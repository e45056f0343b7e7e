"""The parts of a stage: made one after the other, each in the archive before the next begins."""

from __future__ import annotations

import json
import os
import platform
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Rows = list[dict[str, Any]]


class Parts:
    """The parts of one stage.

    A part that is in the folder is not made again, so a stage that was cut short goes on. After the
    time limit no further part begins.

    Args:
        stage: its name.
        folder: holds a file for each part, and what a part leaves.
        archive: holds the folder, whole after every part.
        device: what it is about.
        minutes: the time limit.
        only: the parts to make; all if it is empty.
    """

    def __init__(
        self,
        stage: str,
        folder: Path,
        archive: Path,
        device: torch.device,
        minutes: float,
        only: tuple[str, ...] = (),
    ) -> None:
        self.stage, self.folder, self.archive, self.device = stage, folder, archive, device
        self.only, self._ends = only, time.monotonic() + 60 * minutes
        self.num_failed = 0

    @property
    def is_small(self) -> bool:
        """Whether there is no CUDA: then sizes are cut, and no number says anything of a GPU."""
        return self.device.type != "cuda"

    @property
    def seconds_left(self) -> float:
        """Until the time limit."""
        return self._ends - time.monotonic()

    def make(self, part: str, rows: Callable[[], Rows]) -> None:
        """Make a part, unless it is there, not asked for, or late."""
        file = self.folder / self.stage / f"{part.replace('/', '_')}.json"
        if (self.only and part not in self.only) or file.exists():
            return
        if self.seconds_left <= 0:
            print(f"{self.stage}: no time left for {part}", flush=True)
            return
        started = time.monotonic()
        made: dict[str, Any] = {"stage": self.stage, "part": part, "small": self.is_small}
        made["machine"] = _machine(self.device)
        try:
            made["rows"] = rows()
        except Exception as error:  # what failed is a result, and the next part may work
            traceback.print_exc()
            made["failed"] = f"{type(error).__name__}: {error}"
            self.num_failed += 1
        made["seconds"] = round(time.monotonic() - started, 1)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(made, indent=1) + "\n")
        self._archive()
        said = made.get("failed") or f"{len(made['rows'])} rows"
        print(f"{self.stage}: {part}: {said} in {made['seconds']:.0f} s", flush=True)

    def _archive(self) -> None:
        new = self.archive.with_suffix(".new")
        with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(self.folder.rglob("*")):
                if file.is_file() and "checkpoint" not in file.parts:
                    archive.write(file, file.relative_to(self.folder))
        os.replace(new, self.archive)


def _machine(device: torch.device) -> dict[str, Any]:
    cuda = device.type == "cuda"
    return {
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if cuda else None,
        "cuda": torch.version.cuda if cuda else None,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
