"""`python -m vineyard.cli`, `vineyardctl`: look into a cluster and work with its objects."""

from __future__ import annotations

import subprocess
import sys


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Parameters:
        arguments: list of str or None
            A verb and its options; None: those of the command line. ``--help`` lists them.

    Returns:
        int: the exit code; 0 is success, ``--help`` lists the others.
    """
    from vineyard._C import vineyardctl

    return vineyardctl(sys.argv[1:] if arguments is None else arguments)


def run(*arguments: str) -> str:
    """Runs one command in a process of its own.

    >>> status = vineyard.cli.run("--socket", client.ipc_socket, "status")

    Parameters:
        *arguments: str
            A verb and its options.

    Returns:
        str: what it printed.

    Raises:
        subprocess.CalledProcessError: its exit code was not 0; ``stderr`` says why.
    """
    command = [sys.executable, "-m", "vineyard.cli", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
