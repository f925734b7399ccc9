"""The picture of the tables that matter says what the database says."""

import networkx as nx

from schemas._diagram import BOXES, arrows, diagram


def test_ten_boxes_are_drawn_with_the_rows_they_hold(tables):
    page = diagram()._repr_svg_()
    assert len(BOXES) == 10
    texts = [text.get_text() for text in diagram().figure.axes[0].texts]
    assert {name.split(".")[1] for name in BOXES} <= set(texts)
    assert f"{len(tables.session.Session()):,} row" in " ".join(texts)
    assert 'width="100%"' in page


def test_every_arrow_follows_foreign_keys_and_none_is_implied_by_others(tables):
    drawn = nx.DiGraph(arrows())
    assert ("training.Training", "prediction.Prediction") in drawn.edges
    assert ("windows.Windows", "training.Training") not in drawn.edges
    assert nx.is_directed_acyclic_graph(drawn)
    assert nx.descendants(drawn, "session.Session") | {"recording.Ingestion"} == set(BOXES) - {
        "session.Session"
    }


def test_arrows_point_to_the_right(tables):
    assert all(BOXES[one].column < BOXES[other].column for one, other in arrows())
