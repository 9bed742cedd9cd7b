"""A put writes the bytes of a value once: to their place, without a private copy before.

Each row of tools/value_rows.py is put by a process of its own, because the kernel keeps the peak by
process.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Node

TOOLS = Path(__file__).parent / "tools"
sys.path.insert(0, str(TOOLS))

from value_rows import PRIVATE_AT_PUT, ROWS, TEXT_BYTES, WIDENED  # noqa: E402

VALUE_BYTES = 256 << 20
# What a put may need beside the value: the tree, the opcodes of a pickle, what it copies at a time.
PRIVATE_BYTES_MAX = 16 << 20
OVER_TCP = ("contiguous", "strided", "axes swapped", "dict of arrays", "dict of strided arrays")


@pytest.fixture(scope="module")
def large_node() -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="vy-"))
    one = Node(folder / "node", size="1G")
    yield one
    one.stop()
    shutil.rmtree(folder, ignore_errors=True)


def measured(*arguments: str) -> dict[str, float]:
    command = [sys.executable, str(TOOLS / "measure_value.py"), *arguments]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    figures: dict[str, float] = json.loads(run.stdout)
    return figures


@pytest.mark.parametrize("name", [name for name in ROWS if name not in PRIVATE_AT_PUT])
def test_row_6_a_put_needs_no_private_copy(large_node: Node, name: str) -> None:
    figures = measured(large_node.socket, name, str(VALUE_BYTES))
    assert figures["nbytes"] > VALUE_BYTES / 2
    offsets = 8 * VALUE_BYTES // TEXT_BYTES if name in WIDENED else 0
    assert figures["put_private"] < PRIVATE_BYTES_MAX + offsets, figures


@pytest.mark.parametrize("name", OVER_TCP)
def test_row_6_a_put_over_tcp_needs_no_private_copy(large_node: Node, name: str) -> None:
    place = ("--endpoint", large_node.endpoint)
    figures = measured(large_node.socket, name, str(VALUE_BYTES), *place)
    assert figures["put_private"] < PRIVATE_BYTES_MAX, figures


@pytest.mark.parametrize("name", PRIVATE_AT_PUT)
def test_a_row_that_needs_a_private_copy_still_needs_it(large_node: Node, name: str) -> None:
    figures = measured(large_node.socket, name, str(VALUE_BYTES))
    assert figures["put_private"] >= PRIVATE_BYTES_MAX, figures


def row_of(table: str, name: str) -> list[str]:
    row = re.search(rf"^\| {re.escape(name)}[ *]*\|(.*)\|$", table, re.MULTILINE)
    assert row, name
    return row[1].split("|")


def test_the_tables_of_the_documentation_are_printed() -> None:
    rows = ["contiguous", *PRIVATE_AT_PUT]
    command = [sys.executable, str(TOOLS / "values.py"), "--bytes", "2000000", "--items-max", "100"]
    command += [word for name in rows for word in ("--row", name)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for name in (*rows, "one int", "10 ints", "100 texts"):
        assert all(float(figure.replace(",", "")) >= 0 for figure in row_of(run.stdout, name))


def test_every_row_is_in_the_table_of_the_documentation() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    for name in ROWS:
        assert len(row_of(text, name)) == 4
    for name, reason in PRIVATE_AT_PUT.items():
        assert f"* *{name}*: {reason}." in text
