"""Size of report pages and how long a browser takes for them: ``make bench-report``."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chromium import Chromium, executable
from report_pages import large_page, write

from perfmodel.report import vega

SIZES = (10, 300, 6500)
REPEATS = 5


def main() -> int:
    """Print the table of docs/report.md."""
    if executable() is None:
        sys.stderr.write("no Chromium on this machine (Debian: apt-get install chromium)\n")
        return 2
    library = vega.script()
    print("| operators | file | until it can be used | with all six charts drawn |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        for size in SIZES:
            path = write(Path(folder) / f"{size}.html", large_page(size, library))
            usable, drawn = [], []
            for _ in range(REPEATS):
                start = time.monotonic()
                usable.append(browser.open(path))
                browser.run("window.dispatchEvent(new Event('beforeprint'))")
                browser.wait("[...document.querySelectorAll('.chart')].every((c) => c.querySelector('canvas'))")
                drawn.append(time.monotonic() - start)
            middle = [sorted(seconds)[REPEATS // 2] for seconds in (usable, drawn)]
            print(f"| {size:,} | {path.stat().st_size / 1e6:.2f} MB | {middle[0]:.2f} s | {middle[1]:.2f} s |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
