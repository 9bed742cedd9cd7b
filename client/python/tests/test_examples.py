"""The programs in client/python/examples, run as a new user runs them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import ROOT

FOLDER = ROOT / "client" / "python" / "examples"
RUN_SECONDS = 90

# What each prints, run after run.
PRINTED = {
    "arrow_table": ["3 rows, in place: True\nmean of Bonn: 10.0\n"],
    "csv_to_parquet": ["[{'city': 'Bonn', 'n': 2}, {'city': 'Ulm', 'n': 4}]\n"],
    "data_frame": ["3 orders for 33.0\n"],
    "model_weights": [
        "3 layers, as written: True, writable: False\nrefused: vineyard::PickleBuffer\n"
    ],
    "named_result": ["computed 1000 squares\n", "found 1000 squares\n"],
    "share_array": ["4 processes, together 499999500000\n"],
    "small_cluster": ["read: 499500\nfetched: 499500, in place: True\n"],
}


def run(name: str, socket: str | None) -> str:
    """What the example prints, on the node of this socket, or without one on a private node."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VINEYARD")}
    if socket is not None:
        clean["VINEYARD_IPC_SOCKET"] = socket
    program = FOLDER / f"{name}.py"
    done = subprocess.run(
        [sys.executable, str(program)],
        env=clean,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_an_example_does_what_it_says(name, fresh_node):
    assert [run(name, fresh_node.socket) for _ in PRINTED[name]] == PRINTED[name]


def test_an_example_needs_no_node():
    assert run("data_frame", None) == PRINTED["data_frame"][0]


def test_every_example_is_run_and_named_in_the_docs():
    examples = {path.stem for path in FOLDER.glob("*.py")}
    assert examples == PRINTED.keys()
    for page in ("README.md", "docs/python.md"):
        text = (ROOT / page).read_text()
        missing = [name for name in examples if f"examples/{name}.py" not in text]
        assert not missing, f"{page} does not name {missing}"
