"""Colours that can be told apart, and drawings whose marks stand where the numbers say."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pipeline.analyses import plots
from pipeline.analyses.colours import from_oklab, region_colours, to_oklab
from pipeline.analyses.depth_plots import (
    cell_edges,
    depth_positions,
    depth_power,
    depth_regions,
    merge_frequencies,
)
from pipeline.analyses.report_pictures import forest_figure

HIPPOCAMPUS = "#7ed04b"  # what Allen gives CA1, CA2, CA3 and DG alike


def axes():
    return Figure(figsize=(4, 4)).add_axes((0.1, 0.1, 0.8, 0.8))


def apart(colours):
    labs = [to_oklab(c) for c in colours]
    return min(np.linalg.norm(a - b) for i, a in enumerate(labs) for b in labs[:i])


def test_oklab_of_white_black_and_red_is_as_published():
    assert to_oklab("#ffffff") == pytest.approx([1, 0, 0], abs=1e-4)
    assert to_oklab("#000000") == pytest.approx([0, 0, 0], abs=1e-4)
    assert to_oklab("#ff0000") == pytest.approx([0.628, 0.2249, 0.1258], abs=1e-3)
    assert from_oklab(to_oklab("#08858c")) == "#08858c"


def test_regions_that_share_allens_colour_keep_its_hue_and_differ_in_lightness():
    known = dict.fromkeys(("CA1", "CA2", "CA3", "DG"), HIPPOCAMPUS) | {"VIS": "#08858c"}
    colours = region_colours([*known, None, "unknown"], known)
    assert colours["VIS"] == "#08858c"
    four = [colours[n] for n in ("CA1", "CA2", "CA3", "DG")]
    assert apart(four) > 0.07
    assert all(to_oklab(c)[1] < 0 < to_oklab(c)[2] for c in four)


def test_names_without_a_colour_get_distinct_ones_whatever_their_number():
    colours = region_colours([f"lobe {n}" for n in range(20)], {})
    assert len(set(colours.values())) == 21
    assert apart(list(region_colours(list("abcdefghi"), {}).values())) > 0.05


def test_depth_is_used_only_if_every_channel_has_one():
    assert depth_positions(pd.DataFrame({"depth_um": [0.0, 20.0]}))[1] == "depth from tip (µm)"
    places, name = depth_positions(pd.DataFrame({"depth_um": [5.0, np.nan]}))
    assert places.tolist() == [0, 1]
    assert "no depth" in name


def test_cells_reach_half_way_to_their_neighbours():
    assert cell_edges(np.array([0.0, 20.0, 60.0])).tolist() == [-10, 10, 40, 80]


def test_merging_frequencies_keeps_a_flat_spectrum_flat():
    freqs = np.arange(0, 401.0)
    merged, power = merge_frequencies(freqs, np.full((2, len(freqs)), 7.0))
    assert np.allclose(power, 7)
    assert merged[0] == 1
    assert merged[-1] <= 300
    assert (np.diff(merged) > 0).all()


def test_power_is_drawn_relative_to_the_median_channel():
    power = np.ones((3, 50))
    power[2] = 10.0
    mesh = depth_power(axes(), np.arange(1, 51.0), power, np.array([0.0, 20.0, 40.0]))
    drawn = np.asarray(mesh.get_array()).reshape(3, -1)
    assert drawn[0] == pytest.approx(0)
    assert drawn[2] == pytest.approx(10)


def test_a_run_of_one_region_is_named_once():
    ax = axes()
    depth_regions(ax, ["DG"] * 4 + ["CA1"] * 4 + [None], np.arange(9.0), {"DG": "#222222"})
    assert [t.get_text() for t in ax.texts] == ["DG", "CA1"]
    assert len(ax.collections[0].get_paths()) == 3


def test_channels_at_one_depth_share_the_width_of_the_strip():
    ax = axes()
    depth_regions(ax, ["DG", "CA1"], np.array([0.0, 0.0]), {"DG": "#000000", "CA1": "#ffffff"})
    boxes = [path.get_extents() for path in ax.collections[0].get_paths()]
    assert [(b.x0, b.x1) for b in boxes] == [(0, 0.5), (0.5, 1)]


def test_confusion_writes_every_count():
    counts = np.array([[1200, 3], [0, 45]])
    ax = plots.confusion(axes(), counts, ["a", "b"], ["a", "b"])
    assert [t.get_text() for t in ax.texts] == ["1,200", "3", "0", "45"]
    share = np.asarray(ax.images[0].get_array())
    assert share.sum(axis=1) == pytest.approx(1)


def test_a_model_stands_on_the_same_line_in_every_panel():
    first = pd.DataFrame({"model": ["a", "b"], "value": [0.9, 0.5], "chance": 0.2})
    second = pd.DataFrame({"model": ["b", "a"], "value": [0.4, 0.1], "chance": 0.3})
    groups = [("window", first), ("channel", second)]
    figure = forest_figure(groups, narrow=False)
    written = [t.get_text() for t in figure.axes[1].texts]
    assert written == ["0.10", "0.40"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "b"]


def test_a_model_missing_from_a_panel_leaves_its_line_empty():
    first = pd.DataFrame({"model": ["a", "b"], "value": [0.9, 0.5]})
    second = pd.DataFrame({"model": ["b"], "value": [0.4]})
    figure = forest_figure([("x", first), ("y", second)], narrow=False)
    assert [t.get_text() for t in figure.axes[1].texts] == ["—", "0.40"]


def test_a_curve_has_one_line_per_run():
    table = pd.DataFrame(
        {"epoch": [0, 1, 0, 1], "fold": [0, 0, 1, 1], "train_loss": [3.0, 2.0, 3.5, 2.5]}
    )
    ax = plots.curves(axes(), table, "train_loss")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[3.0, 2.0], [3.5, 2.5]]
