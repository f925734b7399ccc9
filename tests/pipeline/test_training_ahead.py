import threading
import time

import pytest

from pipeline.training.ahead import ahead


def test_the_same_items_come_in_the_same_order_from_one_other_thread():
    made_by = set()

    def items():
        for number in range(20):
            made_by.add(threading.current_thread())
            yield number

    assert list(ahead(items())) == list(range(20))
    assert list(ahead(iter([]))) == []
    assert len(made_by) == 1
    assert threading.main_thread() not in made_by


def test_items_are_made_while_others_are_used_but_no_more_than_asked():
    made = []

    def items():
        for number in range(10):
            made.append(number)
            yield number

    stream = ahead(items(), n=3)
    assert next(stream) == 0
    until = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.05)
    assert made == [0, 1, 2, 3]
    stream.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("ahead")]


def test_an_error_comes_where_the_item_would_have():
    def items():
        yield 1
        yield 2
        raise OSError("disk")

    stream, found = ahead(items()), []
    with pytest.raises(OSError, match="disk"):
        found.extend(iter(stream.__next__, None))
    stream = ahead(items())
    assert [next(stream), next(stream)] == [1, 2]
