"""The ten tables that matter and what leads to what, drawn from the database's foreign keys."""

import io
import re
from dataclasses import dataclass
from typing import Any

import datajoint as dj

INK, MUTED, EDGE = "#1b1f24", "#5b6470", "#9aa3ad"
FILLS = {dj.Manual: "#f3f4f6", dj.Imported: "#e3eefb", dj.Computed: "#fdeee6"}
KINDS = {
    dj.Manual: "inserted",
    dj.Imported: "read by populate()",
    dj.Computed: "computed by populate()",
}
WIDTH, HEIGHT, GAP_X, GAP_Y = 1.5, 0.86, 0.42, 0.44


@dataclass(frozen=True)
class Box:
    """A table with the tasks, inputs and parts that belong to it, and its place in the picture."""

    column: float
    row: float
    says: str
    members: tuple[str, ...]


BOXES = {
    "session.Session": Box(0, 0, "who, when", ()),
    "recording.Ingestion": Box(0, 1, "one file, read", ("session.NwbFile",)),
    "recording.Channel": Box(1, 0.5, "one site", ("recording.ProbeInsertion",)),
    "anatomy.ChannelLabel": Box(
        2, 1, "region as labelled", ("recording.LabelSet", "recording.LabelEntry")
    ),
    "windows.Windows": Box(
        2, 0, "signal, cut once", ("windows.WindowsLfp", "windows.WindowsUnits")
    ),
    "dataset.Split": Box(
        3, 0.5, "who is held out", ("dataset.DatasetMember", "dataset.SplitAssignment")
    ),
    "training.Training": Box(4, 0.5, "a trained model", ("training.TrainingParent",)),
    "embedding.Embedding": Box(5, 1, "vectors", ()),
    "prediction.Prediction": Box(5, 0, "region, confidence", ()),
    "analysis.Evaluation": Box(
        6, 0.5, "and LinearProbe,\nSilhouette, Control",
        ("analysis.EvaluationInput", "analysis.LinearProbe", "analysis.LinearProbeInput",
         "analysis.Silhouette", "analysis.SilhouetteInput", "analysis.Control"),
    ),
}  # fmt: skip
"""Ten tables; of several files, sessions or folds each row is one."""


@dataclass(frozen=True)
class Diagram:
    """A matplotlib Figure that Jupyter shows as SVG."""

    figure: Any

    def _repr_svg_(self) -> str:
        page = io.StringIO()
        self.figure.savefig(page, format="svg")
        size = r' width="[\d.]+pt" height="[\d.]+pt"'
        return re.sub(size, ' width="100%"', page.getvalue(), count=1)


def diagram() -> Diagram:
    """The ten tables that matter, with the rows each holds now.

    Arrows are foreign keys of the database at hand; a box stands for a table with its task and
    link tables, and an arrow that others imply is left out.
    """
    from matplotlib.figure import Figure

    columns = 1 + max(box.column for box in BOXES.values())
    size = (columns * (WIDTH + GAP_X), 2 * HEIGHT + GAP_Y + 0.6)
    figure = Figure(figsize=size, dpi=110)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-GAP_X / 2, size[0] - GAP_X / 2), ylim=(-0.5, size[1] - 0.5))
    axes.set_axis_off()
    for one, other in arrows():
        _draw_arrow(axes, BOXES[one], BOXES[other])
    for name, box in BOXES.items():
        _draw_box(axes, name, box)
    for place, (base, kind) in enumerate(KINDS.items()):
        x = place * (WIDTH + GAP_X) + 0.06
        axes.plot(x, -0.3, "s", color=FILLS[base], markeredgecolor=EDGE, markersize=8)
        axes.text(x + 0.14, -0.31, kind, va="center", fontsize=8.5, color=MUTED)
    return Diagram(figure)


def arrows() -> list[tuple[str, str]]:
    """Pairs (parent, child) of `BOXES`, without those that follow from others."""
    import networkx as nx

    graph = _table(next(iter(BOXES))).connection.dependencies
    graph.load()
    owner = {table: name for name, box in BOXES.items() for table in _tables_of(name, box)}
    found = nx.DiGraph()
    for table, name in owner.items():
        reached = {owner[child] for child in _next_owned(graph, table, owner)}
        found.add_edges_from((name, other) for other in reached - {name})
    return sorted(nx.transitive_reduction(found).edges)


def _next_owned(graph, table: str, owner: dict[str, str]) -> set[str]:
    """Tables of some box that hang on `table`, directly or through tables of no box."""
    found, waiting, seen = set(), [table], set()
    while waiting:
        for child in graph.successors(waiting.pop()):
            if child in seen:
                continue
            seen.add(child)
            found.add(child) if child in owner else waiting.append(child)
    return found


def _table(name: str) -> type:
    import schemas

    module, _, table = name.partition(".")
    return getattr(getattr(schemas, module), table)


def _tables_of(name: str, box: Box) -> set[str]:
    """Database names of a box: its tables, their parts, and the tasks that ask for them."""
    import schemas

    found = []
    for member in (name, *box.members):
        table = _table(member)
        parts = [part for part in vars(table).values() if isinstance(part, type)]
        task = getattr(getattr(schemas, member.partition(".")[0]), f"{table.__name__}Task", None)
        found += [table, *[part for part in parts if issubclass(part, dj.Part)]]
        found += [task] if task is not None else []
    return {table().full_table_name for table in found}


def _corner(box: Box) -> tuple[float, float]:
    return box.column * (WIDTH + GAP_X), box.row * (HEIGHT + GAP_Y)


def _draw_box(axes, name: str, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    table = _table(name)
    fill = next(colour for base, colour in FILLS.items() if issubclass(table, base))
    x, y = _corner(box)
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(
        FancyBboxPatch((x, y), WIDTH, HEIGHT, style, facecolor=fill, edgecolor=EDGE, linewidth=0.8)
    )
    module, _, title = name.partition(".")
    axes.text(x + 0.1, y + HEIGHT - 0.17, f"{module}.", va="center", fontsize=7.5, color=MUTED)
    axes.text(x + 0.1, y + HEIGHT - 0.36, title, va="center", fontsize=11, color=INK, weight="bold")
    axes.text(x + 0.1, y + HEIGHT - 0.49, box.says, va="top", fontsize=8, color=MUTED)
    n = len(table())
    axes.text(
        x + WIDTH - 0.1, y + HEIGHT - 0.17, f"{n:,} row{'s' * (n != 1)}", va="center", ha="right",
        fontsize=7.5, color=INK,
    )  # fmt: skip


def _draw_arrow(axes, one: Box, other: Box) -> None:
    (x0, y0), (x1, y1) = _corner(one), _corner(other)
    axes.annotate(
        "", (x1, y1 + HEIGHT / 2), (x0 + WIDTH, y0 + HEIGHT / 2),
        arrowprops={"arrowstyle": "-|>", "color": EDGE, "linewidth": 1.1,
                    "shrinkA": 0, "shrinkB": 1},
    )  # fmt: skip
