"""What a read tells the processes that it started on other hosts, and what they answer.

To standard input: a job, its length (8 bytes, big endian) first, then words, one a line. From
standard output: answers, one a line, which begin with MARK; what else is there was printed by a
shell that starts.

Promise: an answer is data; nothing that comes from another host is run here.
"""

from __future__ import annotations

import json
from typing import IO, Any

from vineyard.io._needs import needed
from vineyard.io.errors import MissingFile, ReadError

MARK = b"vineyard.io: "
# Of the messages here; the first answer says it.
VERSION = 1
KEEP = b"keep\n"
STOP = b"stop\n"
_LENGTH_BYTES = 8
_KINDS: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (TypeError, ValueError, ImportError)
}
_FIELDS = ("path", "reason", "line", "column", "value")


def packed(job: dict[str, Any]) -> bytes:
    """A job as bytes, with its length.

    Raises:
        TypeError: the hook or an option cannot be sent.
    """
    try:
        data: bytes = needed("cloudpickle").dumps(job)
    except ImportError:
        raise
    except Exception as error:
        raise TypeError(f"chunk_hook or an option cannot be sent to a host: {error}") from None
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


def unpacked(stream: IO[bytes]) -> dict[str, Any]:
    """The job that a stream begins with.

    Raises:
        EOFError: it ends before that.
    """
    head = stream.read(_LENGTH_BYTES)
    data = stream.read(int.from_bytes(head, "big"))
    if len(head) < _LENGTH_BYTES or len(data) < int.from_bytes(head, "big"):
        raise EOFError("standard input ended before the job")
    job: dict[str, Any] = needed("cloudpickle").loads(data)
    return job


def answer(stream: IO[bytes], content: dict[str, Any]) -> None:
    """Writes an answer."""
    stream.write(MARK + json.dumps(content).encode() + b"\n")
    stream.flush()


def answer_of(line: bytes) -> dict[str, Any] | None:
    """The answer in a line, or None."""
    if not line.startswith(MARK):
        return None
    content: dict[str, Any] = json.loads(line[len(MARK) :])
    return content


def of_error(error: BaseException) -> dict[str, Any]:
    """An error as JSON has it."""
    found: dict[str, Any] = {"kind": type(error).__name__, "text": str(error) or repr(error)}
    if isinstance(error, ReadError):
        found |= {name: getattr(error, name) for name in _FIELDS}
        found["is_missing"] = isinstance(error, MissingFile)
    return found


def to_error(content: dict[str, Any], host: str) -> Exception:
    """The error that :func:`of_error` described, with the host."""
    if "reason" in content:
        kind = MissingFile if content["is_missing"] else ReadError
        more = {name: content[name] for name in ("line", "column", "value")}
        return kind(content["path"], f"{content['reason']} (on host {host})", **more)
    name, text = content["kind"], content["text"]
    if name in _KINDS:
        return _KINDS[name](f"{text} (on host {host})")
    return ReadError(f"host {host}", f"{name}: {text}")
