"""Items made ahead: the same ones, no more than allowed, errors in their place, nothing left running."""

import threading
import time

import pytest

from lipsync_lab.media.ahead import ahead


def threads() -> int:
    return sum(thread.name == "lipsync_lab ahead" for thread in threading.enumerate())


def test_the_same_items_in_order():
    assert list(ahead(range(1000), 3)) == list(range(1000))
    assert list(ahead([], 3)) == []
    assert threads() == 0


def test_no_more_than_allowed_wait():
    made = []

    def items():
        for number in range(20):
            made.append(number)
            yield number

    for number in ahead(items(), 3):
        time.sleep(0.005)
        # three wait, one is in the thread's hand, one was handed out
        assert len(made) <= number + 1 + 3 + 1


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise KeyboardInterrupt

    stream = ahead(items(), 8)
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert threads() == 0


def test_what_is_not_wanted_any_more_is_closed():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    stream = ahead(items(), 2)
    next(stream)
    stream.close()
    assert closed.is_set()
    assert threads() == 0
