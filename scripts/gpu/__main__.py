"""Try arbench on a GPU, with whatever torch from 2.9 on is there.

    python scripts/gpu conformance|speed|training [--folder DIR] [--minutes 8] [--only PART ...]
    python scripts/gpu wheels [--folder DIR] [--for 3.12]
    python scripts/gpu report ARCHIVE

Nothing is installed. DIR holds `wheels/` for packages that are missing, `data/` for MNIST's four
files (without them the digits that ship with the package take their place), and what is found:
`results/` and the archive `results.zip`, whole after every part. Another call makes what is not
there yet.
Without CUDA a stage runs on the CPU in small, so that it is known to work.

`wheels` downloads, where there is a network and arbench is installed, what a machine without needs
beside torch. `report` unpacks an archive beside it, finished runs and speed reports included, which
`scripts/keep_results.py` takes, and writes the table in docs/gpu.md.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import place

STAGES = ("conformance", "speed", "training")


def main() -> int:
    """The exit code: 1 if a part failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=[*STAGES, "wheels", "report"])
    parser.add_argument("archive", nargs="?", type=Path)
    parser.add_argument("--folder", type=Path, default=place.ROOT / "build" / "gpu")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--for", dest="python_version", default="3.11", metavar="PYTHON")
    parser.add_argument("--only", nargs="*", default=(), metavar="PART")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if arguments.what == "report":
        import report

        report.write(arguments.archive or folder / "results.zip")
        return 0
    if arguments.what == "wheels":
        place.fetch_wheels(folder / "wheels", arguments.python_version)
    place.lay(folder, folder / "wheels")
    if (folder / "data").is_dir():
        os.environ["ARBENCH_DATA"] = str(folder / "data")

    import torch
    from parts import Parts

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parts = Parts(
        arguments.what,
        folder / "results",
        folder / "results.zip",
        device,
        arguments.minutes,
        tuple(arguments.only),
    )
    importlib.import_module(arguments.what).run(parts)
    return 1 if parts.num_failed else 0


if __name__ == "__main__":
    sys.exit(main())
