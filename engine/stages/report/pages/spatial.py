"""Spatial coverage: the distributions of the paper's Figure 5, by family, by specialist and by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from fld_engine.engine.stages.coverage.boxes import AREA_EDGES, ASPECT_EDGES, HEAT_MAP_SIDE, MAX_PER_IMAGE
from fld_engine.engine.stages.report.bins import IOU_BINS
from fld_engine.engine.stages.report.model import Chart, Data, Page, Row, Section, TableBlock, bars, heat, matrix, slug
from fld_engine.engine.stages.report.pages.facts import Facts, dense, share, trimmed
from fld_engine.engine.stages.report.spatial import CLASS_GRID_SIDE, SIZES
from fld_engine.engine.stages.report.tables import select
from fld_engine.engine.stages.report.vocabulary import ALL

NUM_CLASSES = 20
NUM_MAPS = 6
FAMILIES = ("region-text", "scene-text", "phrase-region", "derived-phrase-region")


class Spatial:
    """The page `spatial.html`."""

    order: ClassVar[int] = 4

    def render(self, facts: Facts) -> Page:
        present = [f for f in FAMILIES if facts.bins("area", f)] or ["region-text"]
        keys = {family: (family, "") for family in present}
        sections = [
            Section("By family", "Logarithmic in area and aspect.", list(_distributions(facts, keys, "family")))
        ]
        sections.append(Section("Where boxes are", "Centres over the image.", [_centres(facts, f) for f in present]))
        makers = {f"{by} ({f})": (f, by) for f in present for by in facts.makers("area", f)}
        if len(makers) > 1:
            sections.append(Section("By specialist", "", list(_distributions(facts, makers, "specialist"))))
            centres = [_centres(facts, family, by) for family, by in makers.values()]
            sections.append(Section("Where each specialist's boxes are", "", centres))
        sections.append(
            Section("By class", "Classes of kept object regions.", [_classes(facts), *_shapes_of_classes(facts)])
        )
        centres = list(_centres_of_classes(facts))
        if centres:
            sections.append(Section("Where the most frequent classes are", "", centres))
        lead = "How big boxes are, what shape, where, and how many; the paper shows these in Figure 5."
        return Page("spatial", "Spatial coverage", lead, sections)

    def data(self, facts: Facts) -> Sequence[Data]:
        return ()


def _distributions(facts: Facts, keys: Mapping[str, tuple[str, str]], by: str) -> Iterator[Chart]:
    areas = [_percent(low) for low in AREA_EDGES[:-1]]
    yield _shares(facts, "area", keys, by, areas, title="Box area", xlabel="share of the image from")
    aspects = [f"{low:.3g}" for low in ASPECT_EDGES[:-1]]
    yield _shares(facts, "aspect", keys, by, aspects, title="Aspect ratio", xlabel="width by height from")
    numbers = [f"{i}+" if i == MAX_PER_IMAGE else str(i) for i in range(MAX_PER_IMAGE + 1)]
    yield _shares(facts, "per_image", keys, by, numbers, title="Boxes per image", xlabel="boxes", of="images")
    series = {name: facts.labels("size", f, maker) for name, (f, maker) in keys.items()}
    shares = {n: [share(c.get(s, 0), sum(c.values())) or 0.0 for s in SIZES] for n, c in series.items()}
    yield bars(f"Size classes by {by}", "size", slug("size", by), SIZES, shares, xlabel="size", ylabel="share of boxes")
    twentieths = [f"{i / IOU_BINS:g}" for i in range(IOU_BINS)]
    yield _shares(facts, "overlap", keys, by, twentieths, title="Overlap with another box", xlabel="highest IoU from")
    if any(facts.bins("mask_fill", f, maker) for f, maker in keys.values()):
        x = "share of the box from"
        yield _shares(facts, "mask_fill", keys, by, twentieths, title="Mask fill", xlabel=x, of="masks")


def _shares(
    facts: Facts, measure: str, keys: Mapping[str, tuple[str, str]], by: str, x: Sequence[str],
    *, title: str, xlabel: str, of: str = "boxes",
) -> Chart:  # fmt: skip
    counts = {name: dense(facts.bins(measure, f, maker), len(x)) for name, (f, maker) in keys.items()}
    counts = {name: values for name, values in counts.items() if any(values)} or dict(list(counts.items())[:1])
    low, high = trimmed(counts)
    shares = {n: [share(v, sum(values)) or 0.0 for v in values[low:high]] for n, values in counts.items()}
    chart = bars(f"{title} by {by}", measure, slug(measure, by), x[low:high], shares, xlabel=xlabel,
                 ylabel=f"share of {of}", kind="line" if len(keys) > 1 and high - low > 6 else "bar")  # fmt: skip
    rows: list[Row] = [(x[i], *(values[i] for values in counts.values())) for i in range(low, high)]
    columns = (xlabel, *(f"{name}, {of}" for name in counts))
    return Chart(chart.title, measure, chart.spec, Data(chart.id, columns, rows), chart.alt)


def _centres(facts: Facts, family: str, by: str = "") -> Chart:
    grid = dense(facts.bins("centres", family, by), HEAT_MAP_SIDE**2)
    of = f"{by} ({family})" if by else family
    return heat(f"Box centres, {of}", "centres", slug("centres", family, by), grid, HEAT_MAP_SIDE)


def _classes(facts: Facts) -> TableBlock:
    rows: list[Row] = []
    for row in select(facts.vocabulary.top, kind="class", family=ALL).to_pylist():
        sizes = [share(row[size], row["count"]) for size in SIZES]
        rows.append((row["term"], row["count"], *sizes))
    rows.sort(key=lambda r: (-int(r[1] or 0), str(r[0])))
    data = Data("classes", ("class", "boxes", *(f"share {size}" for size in SIZES)), rows)
    return TableBlock("Boxes and size classes by class", "size", data)


def _shapes_of_classes(facts: Facts) -> Iterator[Chart]:
    """Shapes of the most frequent classes, one line for each; empty ones of the edges are left out."""
    twentieths = [f"{i / IOU_BINS:g}" for i in range(IOU_BINS)]
    numbers = [f"{i}+" if i == MAX_PER_IMAGE else str(i) for i in range(MAX_PER_IMAGE + 1)]
    for kind, measure, title, xlabel, x in (
        ("class_area", "area", "Box area", "share of the image from", [_percent(low) for low in AREA_EDGES[:-1]]),
        ("class_aspect", "aspect", "Aspect ratio", "width by height from", [f"{low:.3g}" for low in ASPECT_EDGES[:-1]]),
        ("class_number", "number", "Boxes per image", "boxes", numbers),
        ("class_overlap", "overlap", "Overlap with another box", "highest IoU from", twentieths),
        ("class_fill", "mask_fill", "Mask fill", "share of the box from", twentieths),
    ):
        counts = _of_classes(facts, kind, NUM_CLASSES, len(x))
        if any(map(any, counts.values())):
            low, high = trimmed(counts)
            cut = {name: values[low:high] for name, values in counts.items() if any(values)}
            of = "images" if kind == "class_number" else "boxes"
            yield matrix(f"{title} by class", measure, slug(measure, "class"), x[low:high], cut, xlabel=xlabel, of=of)


def _centres_of_classes(facts: Facts) -> Iterator[Chart]:
    grids = _of_classes(facts, "class_centre", NUM_MAPS, CLASS_GRID_SIDE**2)
    for place, (name, grid) in enumerate(grids.items(), start=1):
        title = f"Box centres, class {name}"
        yield heat(title, "class_centres", slug("centres-of-class", str(place)), grid, CLASS_GRID_SIDE)


def _of_classes(facts: Facts, kind: str, num_classes: int, num_bins: int) -> dict[str, list[int]]:
    """Counts by bin of a shape of the most frequent classes, the most frequent first."""
    classes = select(facts.vocabulary.top, kind="class", family=ALL).sort_by(
        [("count", "descending"), ("term", "ascending")]
    )
    counts = {name: [0] * num_bins for name in classes["term"].to_pylist()[:num_classes]}
    for row in select(facts.vocabulary.shapes, kind=kind).to_pylist():
        if row["term"] in counts:
            counts[row["term"]][int(row["family"])] = row["count"]
    return counts


def _percent(part: float) -> str:
    return f"{part:.2%}" if part >= 0.0001 else f"{part * 1e6:.3g} ppm"
