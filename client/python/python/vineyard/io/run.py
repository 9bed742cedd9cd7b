"""``python3 -m vineyard.io.run``: what a read starts on each of its `hosts`.

It takes a job from standard input and answers on standard output, see
`vineyard.io._machines.messages`; it is not for calling by hand.

Promise: what it has put is deleted if the read that started it fails or dies before all hosts are
done. Of the job nothing is written anywhere.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from typing import IO, Any

from vineyard.io._machines import messages
from vineyard.io._reading import Reading, make_reading

# What hangs in a hook after the read has ended is ended, too.
END_SECONDS = 30.0


class _Stopped(Exception):
    """The read that started this process does not need it any more."""


class _Reader:
    """The read that started this process: the words it says."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._words: queue.Queue[bytes] = queue.Queue()
        self._is_over = self._is_kept = False
        self.on_stop: Any = None
        threading.Thread(target=self._listen, daemon=True).start()

    def check(self) -> None:
        """Raises if this process is to end."""
        if self._is_over:
            raise _Stopped("the read has ended")

    def wait_to_keep(self) -> None:
        """Waits for the word that what was put stays."""
        if self._words.get() != messages.KEEP:
            raise _Stopped("the read has ended")
        self._is_kept = True

    def _listen(self) -> None:
        while word := self._stream.readline():
            if word == messages.STOP:
                self._is_over = True
                if self.on_stop is not None:
                    self.on_stop()
            self._words.put(word)
        self._is_over = True
        self._words.put(messages.STOP)
        time.sleep(END_SECONDS)
        if not self._is_kept:
            os._exit(1)


def main() -> int:
    """Does one job.

    Returns:
        int: the exit code; 0 if all went well.
    """
    # What the hook and libraries print goes to standard error.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # The thread that reads it may still do so when Python ends, and closes sys.stdin.
    words = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    messages.answer(answers, {"version": messages.VERSION})
    try:
        job = messages.unpacked(words)
        reader = _Reader(words)
        given = (job["path"], job["how"], job["hook"], job["keywords"], job["share"])
        reading = make_reading(*given)
        reading.open()
        parts = reading.put(reader.check)
    except BaseException as error:
        messages.answer(answers, {"failed": messages.of_error(error)})
        return 1
    try:
        for part in parts:
            reading.client.persist(part)
        found = {"parts": [repr(part) for part in parts], "files": reading.described}
        messages.answer(answers, found)
        reader.wait_to_keep()
    except BaseException as error:
        reading.discard(parts)
        messages.answer(answers, {"failed": messages.of_error(error)})
        return 1
    return _fill(reading, reader, answers)


def _fill(reading: Reading, reader: _Reader, answers: IO[bytes]) -> int:
    """Fills the streams that were put, if there are any, and says how each of them ended."""
    jobs = reading.jobs

    def stop() -> None:
        for job in jobs:
            job.dispose()

    reader.on_stop = stop
    for job in jobs:
        job.start()
    code = 0
    for job in jobs:
        ended = None
        try:
            job.join()
        except Exception as error:
            ended, code = messages.of_error(error), 1
        # The read may have ended; its streams are filled all the same.
        with contextlib.suppress(OSError):
            messages.answer(answers, {"ended": ended})
    return code


if __name__ == "__main__":
    sys.exit(main())
