"""Every benchmark, then one table. `BENCH=full` takes the minutes that a million cards need.

python -m benchmarks
"""

from __future__ import annotations

import importlib
import os
import sys

from benchmarks.table import measured, show

NAMES = (
    "rules", "cards", "push", "delivery", "google", "checkout", "crowd", "joining", "rest", "scale", "verify",
    "reports", "due", "scanning", "webhooks", "till",
)  # fmt: skip


def main() -> int:
    """Run them one after the other. Returns the exit status: 1 when a row falls short of its target."""
    rows = []
    for name in NAMES:
        print(f"\n{name} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
        rows += measured(importlib.import_module(f"benchmarks.{name}").run)
    print()
    return show(rows)


if __name__ == "__main__":
    sys.exit(main())
