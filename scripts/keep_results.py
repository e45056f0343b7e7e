"""Keep finished runs under leaderboards/records and bring the tables of results up to date.

    python scripts/keep_results.py RUN...

Without arguments only the tables are made again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from arbench.publish.results import fill_section, keep_result, read_results, results_table
from arbench.registry.manager import registry

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "leaderboards" / "records"


def pages() -> dict[Path, str]:
    """Every page that holds a table of results, and what it should say."""
    results = read_results(RECORDS)
    made = {ROOT / "README.md": results_table(results)}
    for page in sorted((ROOT / "plugins").glob("*/README.md")):
        own = {
            name
            for name, offer in registry().models.items()
            if offer.target.partition(":")[0].partition(".")[0] == page.parent.name
        }
        made[page] = results_table(r for r in results if r.model.name in own)
    return {page: fill_section(page.read_text(), table) for page, table in made.items()}


if __name__ == "__main__":
    for run in sys.argv[1:]:
        print(keep_result(Path(run), RECORDS).relative_to(ROOT))
    for page, text in pages().items():
        page.write_text(text)
