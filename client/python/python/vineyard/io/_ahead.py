"""Works on pieces in threads, and gives what they yield in the order of the pieces.

Promise: at most `ahead` pieces are begun and not yet given out, each with at most one result that
waits; an error comes at the place where its piece would; closing ends the threads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

P = TypeVar("P")
R = TypeVar("R")

# Pieces that are begun or done beside those that the threads work on.
PIECES_WAITING = 2


def in_order(
    pieces: Sequence[P], work: Callable[[P], Iterable[R]], threads: int
) -> Generator[R, None, None]:
    """What `work` yields of each piece, piece after piece.

    Parameters:
        pieces: sequence
            What to work on.
        work: callable
            Takes a piece, and returns an iterable. Called in one of the threads.
        threads: int
            How many; with one, or for one piece, the caller's thread works.

    Yields:
        The results.
    """
    if threads <= 1 or len(pieces) <= 1:
        for piece in pieces:
            yield from work(piece)
        return
    crew = _Crew(pieces, work, threads)
    try:
        yield from crew.results()
    finally:
        crew.stop()


class _Lane(Generic[R]):
    """The results of one piece, until the caller takes them."""

    def __init__(self) -> None:
        self.waiting: deque[R] = deque()
        self.error: BaseException | None = None
        self.done = False


class _Crew(Generic[P, R]):
    """The threads of one call of `in_order`."""

    def __init__(self, pieces: Sequence[P], work: Callable[[P], Iterable[R]], threads: int) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._stopped = False
        self._unbegun = deque((piece, _Lane[R]()) for piece in pieces)
        self._lanes = [lane for _, lane in self._unbegun]
        # Pieces that were begun and whose results are not all given out.
        self._open = 0
        self._open_max = threads + PIECES_WAITING
        count = min(threads, len(pieces))
        self._threads = [
            threading.Thread(target=self._run, name=f"vineyard-io-{at}", daemon=True)
            for at in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def results(self) -> Iterator[R]:
        """All results, in order."""
        for lane in self._lanes:
            yield from self._of(lane)
            if lane.error is not None:
                raise lane.error
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def _of(self, lane: _Lane[R]) -> Iterator[R]:
        """The results of one piece."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: lane.waiting or lane.done)
                if not lane.waiting:
                    return
                result = lane.waiting.popleft()
                self._changed.notify_all()
            yield result
            del result

    def stop(self) -> None:
        """Ends the threads, and waits for them."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (begun := self._begin()) is not None:
            piece, lane = begun
            try:
                for result in self._work(piece):
                    if not self._give(lane, result):
                        return
                    del result
            except BaseException as error:
                lane.error = error
            with self._changed:
                lane.done = True
                self._changed.notify_all()

    def _begin(self) -> tuple[Any, _Lane[R]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._open < self._open_max)
            if self._stopped or not self._unbegun:
                return None
            self._open += 1
            return self._unbegun.popleft()

    def _give(self, lane: _Lane[R], result: R) -> bool:
        """Waits until the caller has taken the result before; False if it stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not lane.waiting)
            if not self._stopped:
                lane.waiting.append(result)
                self._changed.notify_all()
            return not self._stopped
