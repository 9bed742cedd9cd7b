"""The programs in the package: the command line and the node."""

from __future__ import annotations

import subprocess
import sys

import pytest
import vineyard


def test_run_gives_what_was_printed(node):
    assert "256" in vineyard.cli.run("--socket", node.socket, "status")
    assert vineyard.ctl.run is vineyard.cli.run


def test_run_fails_as_the_command_does():
    with pytest.raises(subprocess.CalledProcessError) as caught:
        vineyard.cli.run("--socket", "/nowhere/at.sock", "status")
    assert caught.value.returncode == 3
    assert caught.value.stderr


@pytest.mark.parametrize("module", ["vineyard", "vineyard.deploy"])
def test_a_module_is_a_node(module):
    ran = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True)
    assert ran.returncode == 0
    assert "--join" in ran.stdout
    ran = subprocess.run([sys.executable, "-m", module, "--nonsense"], capture_output=True)
    assert ran.returncode == 2
