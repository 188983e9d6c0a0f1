"""What the app's process may import, proved in processes of their own."""

import subprocess
import sys

HEAVY = ("torch", "transformers", "datasets", "langgraph", "anthropic", "openai", "scipy")


def _imported(code: str, *names: str) -> str:
    check = f"{code}\nimport sys\nprint(','.join(n for n in {names!r} if n in sys.modules))"
    return subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.strip()


def test_the_first_frame_imports_nothing_heavy() -> None:
    code = "import workbench.tui.shell"
    assert _imported(code, *HEAVY, "numpy", "networkx", "pandas", "ruamel.yaml", "jsonschema", "PIL") == ""
    assert _imported(code, "yaml", "sqlite3", "psutil", "workbench.jobs", "workbench.store", "workbench.workflow") == ""


def test_no_pane_imports_a_heavy_package() -> None:
    panes = ", ".join(
        f"workbench.tui.panes.{p}.screen" for p in ("workflows", "dialogues", "training", "chat", "results")
    )
    assert _imported(f"import {panes}", *HEAVY) == ""


def test_the_entry_point_imports_no_textual() -> None:
    assert _imported("import workbench.tui.app", "textual", "rich") == ""
