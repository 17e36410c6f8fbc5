"""Stages that overlap: a thread makes items before they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")

#: Frames that wait between two stages.
WAITING = 4
#: Seconds after which a thread looks whether its items are still wanted.
_PATIENCE = 0.1


def ahead(items: Iterable[T], most: int = WAITING) -> Iterator[T]:
    """The same items in the same order, made by a thread of their own.

    Decoding, networks and encoding release Python's lock, so that two stages take the time of the slower one.

    Parameters
    ----------
    items : iterable
        Read in the thread, and closed there.
    most : int
        Items that wait at most: memory does not grow.

    Raises
    ------
    BaseException
        What the iterable raises, after the items before it.
    """
    queue: Queue = Queue(most)
    unwanted = threading.Event()

    def put(entry: tuple[T | None, BaseException | None, bool]) -> bool:
        while not unwanted.is_set():
            try:
                queue.put(entry, timeout=_PATIENCE)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        source = iter(items)
        try:
            for item in source:
                if not put((item, None, False)):
                    return
            put((None, None, True))
        except BaseException as error:
            put((None, error, True))
        finally:
            if hasattr(source, "close"):
                source.close()

    thread = threading.Thread(target=work, daemon=True, name="lipsync_lab ahead")
    thread.start()
    try:
        while True:
            item, error, is_last = queue.get()
            if error is not None:
                raise error
            if is_last:
                return
            yield item
    finally:
        unwanted.set()
        try:
            while True:
                queue.get_nowait()
        except Empty:
            pass
        thread.join()
