"""Keys as bytes: they come back as they were, and sort as the tables do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oastfs.store.keys import Columns
from oastfs.store.lmdb_driver.codec import END, after_prefix, encode_prefix, key_decoder, key_encoder
from oastfs.store.schema import TABLES
from oastfs.store.table import Column, Key

LONGEST_LMDB_KEY = 511

numbers = st.one_of(st.integers(0, 300), st.integers(0, (1 << 63) - 1))
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


def keys(columns: Columns) -> st.SearchStrategy[Key]:
    return st.tuples(*(numbers if column is Column.ID else texts for _, column in columns))


shapes = st.lists(st.sampled_from(list(Column)), min_size=1, max_size=4).map(
    lambda kinds: tuple((f"c{at}", kind) for at, kind in enumerate(kinds))
)
with_keys = shapes.flatmap(lambda columns: st.tuples(st.just(columns), st.lists(keys(columns), min_size=2)))


@given(with_keys)
def test_round_trip_and_order(drawn: tuple[Columns, list[Key]]) -> None:
    columns, some = drawn
    encode, decode = key_encoder(columns), key_decoder(columns)
    raws = [encode(key) for key in some]
    assert [decode(raw) for raw in raws] == some
    assert [decode(raw) for raw in sorted(raws)] == sorted(some)
    assert all(raws) and all(raw < END for raw in raws)
    assert raws == [encode_prefix(columns, key) for key in some]


@given(with_keys, st.data())
def test_a_prefix_bounds_exactly_the_keys_that_begin_with_it(
    drawn: tuple[Columns, list[Key]], data: st.DataObject
) -> None:
    columns, some = drawn
    depth = data.draw(st.integers(0, len(columns) - 1))
    prefix = some[0][:depth]
    low = encode_prefix(columns, prefix)
    high = after_prefix(low)
    for key in some:
        raw = key_encoder(columns)(key)
        assert (low <= raw < high) == (key[:depth] == prefix)


def test_longest_keys_fit_lmdb() -> None:
    """Two texts of 255 bytes are as much as a key may hold."""
    for table in TABLES:
        longest = sum(8 if column is Column.ID else 256 for _, column in table.key)
        assert longest <= LONGEST_LMDB_KEY + 1, table.name


def test_end_of_the_last_prefix() -> None:
    assert after_prefix(b"") == END
    assert after_prefix(b"\xff\xff") == END
    assert after_prefix(b"a\xff") == b"b"
