"""What every table keeps to, and what DataJoint or one of the servers would not tell us."""

import ast
import inspect
import re
import sys
from pathlib import Path

import datajoint as dj
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from table_list import computed_of, module_of, parts_of, tables_of  # noqa: E402

INDEX_BYTES = 3072  # InnoDB
BYTES_PER_CHARACTER = 4  # utf8mb4
FIXED = {
    "int32": 4,
    "int": 4,
    "integer": 4,
    "int64": 8,
    "bigint": 8,
    "bool": 1,
    "float64": 8,
    "datetime": 8,
}
CORE = (
    r"(int32|int64|float64|bool|json|datetime|varchar\(\d+\)|char\(64\)"
    r"|<npy@arrays>|<object@checkpoints>)"
)
UNIT = re.compile(
    r"\((s|Hz|µm|bytes|UTC|s, session clock|window\)?.*)\b.*\)|coordinate_unit|that unit|interval"
)
UNITLESS = {
    "value", "chance", "train_loss", "validation", "best_validation", "learning_rate",
    "confidence",
}  # fmt: skip


def lines_of(table):
    """Attribute lines of a definition: name, type, comment."""
    for line in table.definition.splitlines():
        found = re.match(r"\s*(\w+)\s*(?:=\s*[^:]+?)?\s*:\s*([^#]+?)\s*(?:#\s*(.*))?$", line)
        if found:
            yield found[1], found[2], found[3]


def bytes_of(kind):
    text = re.match(r"(?:var)?char\((\d+)\)", kind)
    return int(text[1]) * BYTES_PER_CHARACTER if text else FIXED[kind]


def test_computed_keys_are_foreign_keys_only(tables):
    for table in computed_of(tables):
        named = {name for parent in table().parents(primary=True, foreign_key_info=True)
                 for name in parent[1]["attr_map"]}  # fmt: skip
        assert set(table().primary_key) == named, table.__name__


def test_a_computed_table_hangs_on_one_task_or_file(tables):
    for table in computed_of(tables):
        parents = table().parents(primary=True)
        assert len(parents) == 1, f"{table.__name__}: populate() would make a cross product"
        assert parents[0].rstrip('`"').endswith(("_task", "nwb_file"))


def test_a_computed_table_has_at_most_six_key_columns(tables):
    assert all(len(table().primary_key) <= 6 for table in computed_of(tables))


def test_keys_fit_the_index_of_mysql(tables):
    for table in tables_of(tables):
        heading = table().heading
        kinds = [heading[name].original_type or heading[name].type for name in heading.primary_key]
        assert sum(map(bytes_of, kinds)) < INDEX_BYTES, table.__name__
        widths = [int(n) for kind in kinds for n in re.findall(r"char\((\d+)\)", kind)]
        assert max(widths, default=0) <= 64, table.__name__


def test_only_portable_types_and_named_stores_are_used(tables):
    for table in tables_of(tables):
        for name, kind, _ in lines_of(table):
            assert re.fullmatch(CORE, kind), f"{table.__name__}.{name} : {kind}"


def test_times_rates_and_lengths_say_their_unit(tables):
    for table in tables_of(tables):
        for name, kind, comment in lines_of(table):
            if kind != "float64" or name in UNITLESS:
                continue
            assert comment, f"{table.__name__}.{name} has no comment"
            assert UNIT.search(comment), f"{table.__name__}.{name}: no unit in {comment!r}"


def test_datetimes_are_utc(tables):
    for table in tables_of(tables):
        for name, kind, comment in lines_of(table):
            assert kind != "datetime" or "UTC" in comment, f"{table.__name__}.{name}"


def test_every_table_says_what_a_row_is(tables):
    for table in tables_of(tables):
        first = table.definition.strip().splitlines()[0]
        assert re.match(r"# .+\.$", first.strip()), table.__name__


def test_no_comment_holds_a_percent_sign_or_a_quote(tables):
    """Both have broken a CREATE TABLE on one of the servers."""
    for table in tables_of(tables):
        for line in table.definition.splitlines():
            assert not re.search('#.*[%`"]', line), f"{table.__name__}: {line}"


def test_constraint_names_are_shorter_than_either_server_allows(tables, database):
    query = (
        "SELECT constraint_name FROM information_schema.table_constraints "
        "WHERE constraint_schema LIKE 'fbt_%%'"
    )
    names = [row[0] for row in database.query(query).fetchall()]
    assert len(names) > 100
    assert max(map(len, names)) < 63


def test_modules_come_in_the_order_of_their_foreign_keys(tables):
    order = [module.__name__.rsplit(".", 1)[-1] for module in tables.MODULES]
    for table in tables_of(tables):
        for parent in table().parents():
            schema = re.split(r'[`"]\.[`"]', parent)[0].strip('`"')
            assert order.index(schema.split("_", 2)[-1]) <= order.index(module_of(table)), parent


def test_a_module_imports_the_modules_its_foreign_keys_lead_to(tables):
    for module in tables.MODULES:
        tree = ast.parse(inspect.getsource(module))
        imported = {
            alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module is None
            for alias in node.names
        }
        definitions = [t.definition for t in tables_of(tables) if t.__module__ == module.__name__]
        named = {
            n for d in definitions for n in re.findall(r"->(?:\s*\[[^]]*\])?\s*([a-z]\w*)\.", d)
        }
        assert named <= imported, module.__name__
        known = {m.__name__.rsplit(".", 1)[-1] for m in tables.MODULES}
        unused = (imported & known) - set(re.findall(r"\b\w+\b", _code_below(module)))
        assert not unused, f"{module.__name__} imports {unused} for nothing"


def _code_below(module):
    source = inspect.getsource(module)
    return source[source.index("schema = dj.Schema()") :]


def test_makes_are_short(tables):
    for table in computed_of(tables):
        for name in ("make", "make_fetch", "make_compute", "make_insert"):
            body = vars(table).get(name)
            if body is None:
                continue
            length = len(inspect.getsource(body).strip().splitlines())
            limit = 8 if table.__name__ != "ChannelLabel" else 14
            assert length - 1 <= limit, f"{table.__name__}.{name} has {length - 1} lines"


def test_computed_tables_join_with_everything_they_come_from(tables):
    """A name used twice for different things makes DataJoint refuse the join."""
    by_name = {table().full_table_name: table for table in tables_of(tables)}
    for table in computed_of(tables):
        for source in [table, *parts_of(table)]:
            for ancestor in table().ancestors():
                if ancestor != table().full_table_name:
                    assert (source * by_name[ancestor]).heading.names


def test_a_task_joins_with_its_inputs_and_they_with_what_they_name(tables):
    for table in tables_of(tables):
        inputs = getattr(table, "inputs", None)
        if isinstance(inputs, type):
            assert (table * inputs).heading.names


def test_no_column_has_the_name_of_another_that_it_may_be_joined_with(tables):
    """DataJoint joins by name: two columns of one name that are no foreign keys stop every join."""
    where = {}
    for table in tables_of(tables):
        for name, _, _ in lines_of(table):
            where.setdefault(name, set()).add(table.__qualname__)
    siblings = {"EvaluationTask", "LinearProbeTask", "SilhouetteTask"}
    twice = {
        name: places
        for name, places in where.items()
        if len(places) > 1
        and not all(place.endswith((".Score", ".Confusion")) for place in places)
        and not places <= siblings
    }
    assert set(twice) == {"window_index", "site_index"}, twice  # Embedding and Prediction


def test_every_table_is_guarded_against_a_bare_delete(tables):
    from schemas._guard import Guarded

    bare = [t for t in tables_of(tables) if not issubclass(t, dj.Part | Guarded)]
    assert not bare


def test_a_prefix_is_bound_once_for_a_process(tables):
    with pytest.raises(RuntimeError, match="already uses the tables"):
        tables.activate("another")
