"""A script of the user's that starts workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SCRIPT = """
from nas.pool.local import LocalExecutor
from nas.pool.slots import Slot
from tests.helpers.evaluators import Formula, request

with open("runs", "a") as runs:
    runs.write("x")
executor = LocalExecutor(Formula(), [Slot("cpu", 1)])
try:
    executor.submit(0, request())
    print(executor.wait(60))
finally:
    executor.close()
"""


def test_a_script_without_a_guard_is_told_so_after_the_first_worker(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.endswith('put what starts them under `if __name__ == "__main__":`')
    assert done.stderr.count("Traceback") == 1
    assert (tmp_path / "runs").read_text() == "xx"  # the script itself, and its one worker
