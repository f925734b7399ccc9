"""Every kind of column comes back from either server as it went in, and counts the same."""

import math
import os
from datetime import date, datetime

import datajoint as dj
import pytest

from workers.carry import kinds, tables
from workers.carry.folder import CarryError, place_of

schema = dj.Schema()


@schema
class Everything(dj.Manual):
    definition = """
    # One column of each kind.
    name : varchar(64)
    number : int64
    ---
    yes = null : bool
    small = null : int16
    half = null : float32
    whole = null : float64
    letters = null : char(8)
    told = null : varchar(255)
    one = null : enum('a', 'b')
    values = null : json
    second = null : datetime
    micro = null : datetime(6)
    day = null : date
    bytes = null : bytes
    id = null : uuid
    price = null : decimal(10,2)
    unique index (told)
    """


NOTHING = {name: None for name in (
    "yes", "small", "half", "whole", "letters", "told", "one", "values", "second", "micro", "day",
    "bytes", "id", "price",
)}  # fmt: skip
FULL = {
    "yes": True, "small": -3, "half": 0.10000000149011612, "whole": 0.1 + 0.2, "letters": "ab",
    "told": "naïve 中文 𝄞 ' \" \\ %s \t\n ", "one": "b",
    "values": '{"a": [1, 2.5, true, null, "é"], "b": {}, "c": 1e22, "d": 100000.0, "%s": "\\\\"}',
    "second": datetime(2020, 2, 3, 4, 5, 6), "micro": datetime(2020, 2, 3, 4, 5, 6, 789012),
    "day": date(2020, 2, 29), "bytes": bytes(range(256)),
    "id": "12345678-1234-5678-1234-567812345678", "price": "-12.5",
}  # fmt: skip
ROWS = [
    {"name": "full", "number": 2**62, **FULL},
    {"name": "full", "number": -1, **NOTHING},
    {"name": "FULL", "number": -1, **NOTHING, "yes": False, "whole": 5e-324, "bytes": b"",
     "told": "", "values": "[]", "letters": ""},
    {"name": "zero", "number": 1, **NOTHING, "whole": -0.0, "half": 0.0},
    {"name": "é", "number": 0, **NOTHING, "whole": -1.7976931348623157e308, "values": '"x"'},
]  # fmt: skip


@pytest.fixture(scope="module")
def everything(database):
    """The table, empty."""
    if schema.database is None:
        schema.activate(f"fbt_{os.getpid()}kinds", connection=database)
    table = tables.table_of(Everything)
    yield table
    quoted = database.adapter.quote_identifier(schema.database)
    mysql = database.adapter.backend == "mysql"
    database.query(f"DROP SCHEMA {quoted}" + ("" if mysql else " CASCADE"))


def plain(table, row):
    return tuple(row[name] for name in table.kinds)


def digest(table, rows):
    return [kinds.row_digest(list(table.kinds.values()), row) for row in rows]


def test_every_kind_comes_back_and_counts_the_same_on_both_servers(everything, database):
    rows = [plain(everything, row) for row in ROWS]
    tables.insert(everything, rows, database)
    with tables.Snapshot() as snapshot:
        database.query(f"UPDATE {everything.full_name} SET small = 7 WHERE number = -1")
        (found,) = snapshot.rows(everything)
    found = {everything.key_of(row): row for row in found}
    asked = [everything.key_of(row) for row in rows]
    now = tables.rows_with(everything, [*asked, ("nobody", 1)], database)
    database.query(f"DELETE FROM {everything.full_name}")
    assert digest(everything, [found[key] for key in asked]) == digest(everything, rows)
    assert found.keys() == now.keys() == set(asked)
    places = [list(everything.kinds).index(name) for name in ("number", "small")]
    assert {key: row[places[1]] for key, row in now.items()} == {
        key: 7 if key[1] == -1 else row[places[1]] for key, row in found.items()
    }
    first = dict(zip(everything.kinds, found["full", 2**62], strict=True))
    assert {k: v for k, v in first.items() if k != "values"} == {
        k: v for k, v in ROWS[0].items() if k != "values"
    }
    assert type(first["yes"]) is bool


def test_moments_count_to_the_digits_their_column_declares(everything, database):
    late = {"second": datetime(2020, 12, 31, 23, 59, 59, 500000)}
    row = plain(everything, {"name": "late", "number": 1, **NOTHING, **late})
    tables.insert(everything, [row], database)
    (found,) = tables.rows_with(everything, [("late", 1)], database).values()
    database.query(f"DELETE FROM {everything.full_name}")
    assert digest(everything, [found]) == digest(everything, [row])
    whole = plain(everything, {"name": "late", "number": 1, **NOTHING,
                               "second": datetime(2021, 1, 1)})  # fmt: skip
    assert digest(everything, [row]) == digest(everything, [whole])
    one, other = (plain(everything, {"name": "late", "number": 1, **NOTHING,
                                     "micro": datetime(2021, 1, 1, 0, 0, 0, micro)})
                  for micro in (1, 2))  # fmt: skip
    assert digest(everything, [one]) != digest(everything, [other])


def test_a_changed_value_in_any_column_changes_the_digest(everything):
    told = list(everything.kinds.values())
    full, nothing = (plain(everything, row) for row in (ROWS[0], ROWS[1] | {"name": "other"}))
    for place in range(len(told)):
        changed = [*full[:place], nothing[place], *full[place + 1 :]]
        assert kinds.row_digest(told, changed) != kinds.row_digest(told, full)
    some = [kinds.row_digest(told, row) for row in (full, nothing)]
    assert kinds.add_digests(0, some) == kinds.add_digests(kinds.add_digests(0, some[1:]), some[:1])
    assert kinds.add_digests(0, some) != kinds.add_digests(0, some[:1])


@pytest.mark.parametrize(("one", "other", "same"), [
    ('{"a": 1, "b": 2}', '{"b": 2.0, "a": 1}', True),
    ("1e22", "10000000000000000000000", True),
    ("-0.0", "0", True),
    ("[1, 2]", "[2, 1]", False),
    ("true", "1", False),
    ('"1"', "1", False),
    ("9007199254740993", "9007199254740992", False),
])  # fmt: skip
def test_json_counts_by_what_it_says(one, other, same):
    assert (kinds.comparable("json", one) == kinds.comparable("json", other)) is same


def test_what_a_server_cannot_hold_is_told():
    for value in (math.nan, math.inf, -math.inf):
        assert "MySQL has no" in kinds.why_not("float64", value, "mysql")
        assert kinds.why_not("float64", value, "postgresql") is None
    for kind, value in (("varchar(9)", "a\0b"), ("json", '"a\\u0000"')):
        assert "zero byte" in kinds.why_not(kind, value, "postgresql")
        assert kinds.why_not(kind, value, "mysql") is None
    assert kinds.why_not("json", '"\\\\u0000"', "postgresql") is None
    with pytest.raises(TypeError, match="'geometry' cannot be carried"):
        kinds.base_of("geometry")


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a\\..\\x", "C:x"])
def test_no_path_of_a_folder_leads_out_of_a_store(tmp_path, path):
    with pytest.raises(CarryError, match="no path below a store"):
        place_of(tmp_path, "arrays", path)
    assert place_of(tmp_path, "arrays", "a/b=1/c") == tmp_path / "objects/arrays/a/b=1/c"
