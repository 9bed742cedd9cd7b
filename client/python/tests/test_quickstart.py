"""The quick start of the README, run as it is written: its files, its commands, in a folder of its
own.

Only its two ports are replaced: several may run the tests at once.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text()
SECTION = README.split("\n## Python\n", 1)[1].split("\n## ", 1)[0]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
INSTALL = "pip install ./client/python\n"
PORTS = ("9601", "9602")
FIRST_PORT = 10_000
SUM = "549755289600"
RUN_SECONDS = 90
END_SECONDS = 15


def two_free_ports() -> list[int]:
    """Two that are free, of those that the system gives nobody who asks for any: between this look
    and the start of the node, no other test takes one by chance."""
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    for port in random.sample(range(FIRST_PORT, given), given - FIRST_PORT):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == len(PORTS):
            return found
    raise RuntimeError("no two ports are free")


def programs() -> list[Path]:
    """Where the package's programs are: of an environment that the caller names, or else beside the
    interpreter, or else the build's."""
    named = os.environ.get("VINEYARD_QUICK_START_PROGRAMS")
    if named is not None:
        return [Path(named)]
    return [Path(sys.executable).parent, ROOT / "target" / "debug"]


def test_the_first_thing_is_to_install():
    """What xtask has run before these tests."""
    assert BLOCKS[0] == ("bash", INSTALL)


@pytest.fixture
def folder():
    made = Path(tempfile.mkdtemp(prefix="vy-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_the_quick_start_runs_as_written(folder):
    assert SECTION.count(f"{SUM}") == 1
    script = "set -e\n"
    for language, text in BLOCKS[1:]:
        if language == "python":
            name = re.match(r"# (\w+\.py)\n", text)
            assert name, "a Python block begins with the name of its file"
            (folder / name[1]).write_text(text)
        else:
            script += text
    for port, ours in zip(PORTS, two_free_ports(), strict=True):
        assert port in script
        script = script.replace(port, str(ours))
    clean = {name: value for name, value in os.environ.items() if "VINEYARD" not in name}
    clean["PATH"] = ":".join([*map(str, programs()), clean["PATH"]])
    with (folder / "printed").open("w") as printed, (folder / "said").open("w") as said:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env=clean,
            stdout=printed,
            stderr=said,
            start_new_session=True,
        )
        try:
            code = shell.wait(RUN_SECONDS)
        except subprocess.TimeoutExpired:
            code = "none in time"
        finally:
            _end(shell.pid)
    said = (folder / "said").read_text()
    assert code == 0, said
    assert (folder / "printed").read_text().split() == [SUM] * 3, said


def _end(group: int) -> None:
    """Stops the nodes, in case a command before `kill` failed, and waits until they have ended."""
    for one in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            try:
                os.killpg(group, one)
            except ProcessLookupError:
                return
            time.sleep(0.05)
