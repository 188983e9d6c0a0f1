"""Make the recording that `workbench demo --replay` plays, from a demo that was really run and chats really held.

    workbench --home DIR demo --no-tui
    workbench --home DIR chat compiled:last orchestrated:local/DIR/runs/models/SmolLM2-135M-Instruct oracle --auto --seed 3
    python benchmarks/record_demo.py --home DIR [--hide TEXT …] [-o workbench/demo/recording.zip]

Paths of the machine are taken out (`--hide` names more); models and the ledger are left out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def main() -> None:
    from workbench.demo.recording import SHIPPED, write_recording
    from workbench.home import Home

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="the folder that holds runs/")
    parser.add_argument("--hide", action="append", default=[], help="text to leave out, such as a folder's path")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "workbench" / "demo" / SHIPPED)
    options = parser.parse_args()
    home = options.home.resolve()
    size = write_recording(Home(home / "runs"), options.out, [str(home), str(ROOT), *options.hide])
    print(f"{options.out}  {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
