"""Probes and channels out of the electrode table."""

import re
from dataclasses import dataclass

import h5py

from .electrodes import bad_flags, coordinates, extra_labels, frames
from .layout import Layout, Localization
from .locations import region_name
from .summary import ChannelSummary, Evidence, ProbeSummary
from .tables import Table, as_text, children, link_target, without_bytes_repr

_SHANK = re.compile(r"^(?P<probe>.*?)[ _-]*(?:shank[ _-]*|(?<![a-z])s)(?P<shank>[0-9]{1,6})$", re.I)


@dataclass(frozen=True)
class Contact:
    """Which probe, and which shank of it, an electrode group is."""

    probe: str
    shank: int | None
    device: str | None
    description: str | None


def contacts_of(layout: Layout) -> dict[str, Contact]:
    """Probe and shank of every electrode group, by the group's name.

    A group is a probe of its own unless its name or description says that it is a shank;
    then the probe is the device, or what stands before "shank" in the name.
    """
    groups = {
        name: node
        for name, node in children(layout.file, "general/extracellular_ephys")
        if isinstance(node, h5py.Group) and name != "electrodes"
    }
    return {name: _contact(name, group) for name, group in groups.items()}


def _contact(name: str, group: h5py.Group) -> Contact:
    linked = group.get("device")
    device = None if linked is None else link_target(group, "device")
    about = as_text(group.attrs.get("description"))
    device_about = "" if linked is None else as_text(linked.attrs.get("description")) or ""
    match = _SHANK.match(name)
    if match:
        return Contact(match["probe"] or device or name, int(match["shank"]), device, about)
    number = re.search(r"([0-9]{1,6})$", name)
    if number and device and re.search(r"\(shanks\)|\bshanks\b", device_about, re.I):
        return Contact(device, int(number[1]), device, about)
    return Contact(name, None, device, about)


def read_channels(layout: Layout) -> tuple[list[ProbeSummary], list[ChannelSummary]]:
    """Every probe and every electrode of a file, in file order."""
    electrodes = layout.electrodes()
    contacts = contacts_of(layout)
    if electrodes is None:
        return [], []
    channels = _channels(layout, electrodes, contacts)
    return summarise_probes(contacts, channels), channels


def summarise_probes(
    contacts: dict[str, Contact], channels: list[ChannelSummary]
) -> list[ProbeSummary]:
    """One row per probe that has channels or an electrode group."""
    about = {contact.probe: contact for contact in reversed(contacts.values())}
    names = dict.fromkeys([c.probe for c in channels] + [c.probe for c in contacts.values()])
    return [
        ProbeSummary(
            probe=name,
            device=about[name].device if name in about else None,
            description=about[name].description if name in about else None,
            shanks=max(1, len({c.shank for c in channels if c.probe == name})),
            n_channels=sum(c.probe == name for c in channels),
        )
        for name in names
    ]


def _channels(
    layout: Layout, electrodes: Table, contacts: dict[str, Contact]
) -> list[ChannelSummary]:
    columns = {
        "channel": electrodes.ids,
        "rel_x": electrodes.numbers(*layout.rel_x_columns),
        "rel_y": electrodes.numbers(*layout.rel_y_columns),
        "depth_um": electrodes.numbers(*layout.rel_y_columns),
        "location_raw": electrodes.texts("location") or [None] * len(electrodes),
        "bad": bad_flags(layout, electrodes),
    }
    places, frame = _places(layout, electrodes, contacts), frames(layout, electrodes)
    labels, xyz = extra_labels(electrodes), coordinates(layout, electrodes)
    indices = electrodes.whole_numbers(*layout.index_columns)
    found, source = layout.localizations(), layout.evidence(electrodes)
    counts: dict[str, int] = {}
    rows = []
    for i, place in enumerate(places):
        order = counts[place.probe] = counts.get(place.probe, -1) + 1
        spot = found.get(i, Localization())
        rows.append(
            ChannelSummary(
                **{name: column[i] for name, column in columns.items()},
                **_anatomy(layout, columns["location_raw"][i], spot, source),
                **dict(zip("xyz", spot.xyz or xyz[i], strict=True)),
                probe=place.probe,
                shank=place.shank,
                index_on_probe=order if indices[i] is None else indices[i],
                coordinate_frame=spot.frame if spot.xyz else frame[i][0],
                coordinate_unit="um" if spot.xyz else frame[i][1],
                extra_labels={**labels[i], **spot.labels},
            )
        )
    return rows


def _anatomy(
    layout: Layout, raw: str | None, spot: Localization, source: tuple[Evidence, str]
) -> dict[str, str | None]:
    localized = region_name(layout.region_of(spot.region))
    if localized:
        return {"location": localized, "evidence": "histology", "label_source": spot.source}
    location = region_name(layout.region_of(raw))
    if location is None:
        return {"location": None, "evidence": "unknown", "label_source": None}
    return {"location": location, "evidence": source[0], "label_source": source[1]}


def _places(layout: Layout, electrodes: Table, contacts: dict[str, Contact]) -> list[Contact]:
    names = electrodes.texts("group_name") or [None] * len(electrodes)
    groups = electrodes.targets("group") or names
    names = [
        group if group in contacts else name for group, name in zip(groups, names, strict=True)
    ]
    fallback = next(iter(contacts), "probe")
    shanks = electrodes.whole_numbers(*layout.shank_columns)
    texts = next((t for c in layout.shank_columns if (t := electrodes.texts(c))), None)
    places = []
    for i, name in enumerate(names):
        name = without_bytes_repr(name) if name else fallback
        place = contacts.get(name, Contact(name, None, None, None))
        shank = place.shank if shanks[i] is None else shanks[i]
        if shank is None and texts and re.fullmatch(r"s*[0-9]{1,6}", texts[i] or ""):
            shank = int(texts[i].lstrip("s"))
        places.append(Contact(place.probe, shank, place.device, place.description))
    return places
