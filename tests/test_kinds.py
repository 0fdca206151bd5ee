"""Kinds of events are numbered once, by however many threads, and start anew when they are many."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from intentcast import kinds
from intentcast.kinds import Kinds, KindTable, kinds_of


def lengths(rows):
    return np.array([len(kind) for kind, _, _ in rows], dtype=np.int64)


def test_the_same_kind_has_the_same_number_and_the_same_content_the_same_content_number():
    found = Kinds()
    rows = [("a", "/x", None), ("b", "/x", "web"), ("a", None, None), ("a", "/x", None)]
    numbers = found.numbers_of(rows)
    assert numbers.tolist() == [0, 1, 2, 0]
    assert found.content.of(found, numbers).tolist() == [0, 0, -1, 0]


def test_a_table_is_worked_out_once_for_each_kind():
    found, asked = Kinds(), []

    def make(rows):
        asked.extend(rows)
        return lengths(rows)

    table = KindTable(make)
    for n in range(1, 200):
        numbers = found.numbers_of([("x" * n, None, None), ("x", None, None)])
        assert table.of(found, numbers).tolist() == [n, 1]
    assert len(asked) == 199


def test_kinds_that_are_too_many_start_anew_and_histories_keep_theirs(monkeypatch):
    monkeypatch.setattr(kinds, "_MOST", 10)
    monkeypatch.setattr(kinds, "_current", Kinds())
    table = KindTable(lengths)
    held = []
    for n in range(1, 40):
        held.append((n, *kinds_of(["y" * n], [None], [None])))
        assert table.of(*held[-1][1:]).tolist() == [n]
    assert len({id(found) for _, found, _ in held}) > 2
    assert all(table.of(found, numbers).tolist() == [n] for n, found, numbers in held)


def test_texts_that_are_long_are_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr(kinds, "_current", Kinds())
    first, _ = kinds_of(["a"], ["x" * 20_000_001], [None])
    second, numbers = kinds_of(["a"], ["/x"], [None])
    assert second is not first
    assert numbers.tolist() == [0]


def test_threads_agree_on_numbers_and_what_they_mean():
    found, table = Kinds(), KindTable(lengths)
    rows = [("z" * (1 + i % 97), str(i % 31), None) for i in range(3000)]

    def work(start):
        mine = rows[start::8]
        for at in range(0, len(mine), 7):
            some = mine[at : at + 7]
            numbers = found.numbers_of(some)
            assert table.of(found, numbers).tolist() == [len(kind) for kind, _, _ in some]
            assert [found.rows[i] for i in numbers] == some
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_a_table_goes_to_another_process_without_what_was_worked_out():
    table = KindTable(lengths)
    table.of(*kinds_of(["q"], [None], [None]))
    copied = pickle.loads(pickle.dumps(table))
    assert copied.of(*kinds_of(["qq"], [None], [None])).tolist() == [2]
