"""The tables of values in docs/benchmarks.md, as Markdown: private memory and seconds of a put and
of a get of each row of value_rows.py, and lists beside pickle.

    values.py [--bytes N] [--items-max N] [--row NAME]...

It starts a node of the installed package. `cargo xtask values` runs it with the oldest and with the
newest libraries.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import vineyard  # noqa: E402
from conftest import Node  # noqa: E402
from value_rows import PRIVATE_AT_PUT, ROWS  # noqa: E402

MB = 1e6
LIBRARIES = ("numpy", "pandas", "pyarrow", "scipy")
LISTS: dict[str, Callable[[int], list[Any]]] = {
    "ints": lambda size: list(range(size)),
    "texts": lambda size: [f"text {at}" for at in range(size)],
    "None": lambda size: [None] * size,
}
# Each time is the shortest of so many runs; fewer for long lists.
RUNS_MAX = 1000
ITEMS_TIMED = 2_000_000


def measured(node: Node, name: str, nbytes: int) -> dict[str, float]:
    command = [sys.executable, str(HERE / "measure_value.py"), node.socket, name, str(nbytes)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(run.stdout)
    return figures


def memory_table(node: Node, nbytes: int, rows: list[str]) -> Iterator[str]:
    size = f"{nbytes / MB:,.0f} MB"
    yield f"| value of {size} | put, private MB | put, s | get, private MB | get, s |"
    yield "|---|---|---|---|---|"
    for name in rows:
        figures = measured(node, name, nbytes)
        memory = [f"{figures[key] / MB:,.0f}" for key in ("put_private", "get_private")]
        seconds = [f"{figures[key]:.2f}" for key in ("put_seconds", "get_seconds")]
        mark = " *" if name in PRIVATE_AT_PUT else ""
        yield f"| {name}{mark} | {memory[0]} | {seconds[0]} | {memory[1]} | {seconds[1]} |"
    yield ""
    for name, reason in PRIVATE_AT_PUT.items():
        if name in rows:
            yield f"* *{name}*: {reason}."


def best(act: Callable[[], Any], times: int) -> float:
    """The shortest of `times` runs, in microseconds."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        act()
        taken.append(time.perf_counter() - begin)
    return min(taken) * 1e6


def list_table(node: Node, items_max: int) -> Iterator[str]:
    yield "| list | put, us | pickle.dumps, us | get, us | pickle.loads, us |"
    yield "|---|---|---|---|---|"
    with vineyard.connect(node.socket) as client:
        yield list_row(client, "one int", 1, RUNS_MAX)
        size = 10
        while size <= items_max:
            for name, make in LISTS.items():
                times = max(5, min(RUNS_MAX, ITEMS_TIMED // size))
                yield list_row(client, f"{size:,} {name}", make(size), times)
            size *= 10


def list_row(client: vineyard.Client, name: str, value: Any, times: int) -> str:
    stream = pickle.dumps(value, 5)
    made: list[Any] = []
    figures = (
        best(lambda: made.append(client.put(value)), times),
        best(lambda: pickle.dumps(value, 5), times),
        best(lambda: client.get(made[-1]), times),
        best(lambda: pickle.loads(stream), times),
    )
    client.delete(made)
    return f"| {name} | {' | '.join(f'{figure:,.1f}' for figure in figures)} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=10**9)
    parser.add_argument("--items-max", type=int, default=1_000_000)
    parser.add_argument("--row", action="append", choices=list(ROWS), help="default: all")
    options = parser.parse_args()
    rows = options.row or list(ROWS)
    versions = (f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    print(f"With {', '.join(versions)}:\n")
    with tempfile.TemporaryDirectory(prefix="vy-") as folder:
        # A value is there once; what the system rounds up to is not more than half of it.
        node = Node(Path(folder) / "node", size=str(2 * options.bytes + (64 << 20)))
        try:
            memory = memory_table(node, options.bytes, rows)
            for table in (memory, list_table(node, options.items_max)):
                for line in table:
                    print(line, flush=True)
                print()
        finally:
            node.stop()


if __name__ == "__main__":
    main()
