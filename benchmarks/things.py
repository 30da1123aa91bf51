"""Make `engine/data/vendor/things.xz` from the nouns of WordNet 3.0, as Debian's package wordnet-base has them.

python benchmarks/things.py /usr/share/wordnet
"""

from __future__ import annotations

import lzma
import re
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

OUT = Path(__file__).parents[1] / "engine/data/vendor/things.xz"
FILES = {"03": "tops", "05": "animal", "06": "artifact", "08": "body", "13": "food", "17": "object", "18": "person",
         "20": "plant", "27": "substance"}  # fmt: skip
"""WordNet's files of what can be seen."""
TOO_GENERAL = frozenset({
    "physical_entity", "object", "whole", "artifact", "living_thing", "organism", "matter", "substance", "causal_agent",
    "thing", "instrumentality", "part", "unit", "entity", "solid",
})  # fmt: skip
ALL_THINGS = ("table", "van", "settee")
"""Names whose senses among artifacts all count."""
EATEN_OR_ALIVE = ("chicken", "turkey", "duck", "lamb", "fish", "carrot", "orange", "cauliflower", "cabbage", "banana")
OF_PICTURES = {
    "plant": ["plant+flora"], "hotdog": ["hotdog+red_hot", "frank+hotdog"], "toilet": ["toilet+commode"],
    "television": ["television_receiver"], "tv": ["television_receiver"], "tvmonitor": ["television_receiver"],
    "mouse": ["mouse+computer_mouse", "mouse"], "bike": ["bicycle", "motorcycle"],
    "bat": ["bat+chiropteran", "baseball_bat"],
    "glass": ["glass+drinking_glass", "glass"], "human": ["person+individual"], "humanbeing": ["person+individual"],
    "people": ["person+individual"], "cow": ["cattle"], "fridge": ["refrigerator"],
}  # fmt: skip
"""Key of a name → names that its senses have together, where another sense than the first is what pictures show."""
NOT_PEOPLE = ("mug", "toaster", "monitor", "glove")
KINDS = (("kitten", "cat"), ("lamb", "sheep"), ("calf", "cattle"), ("foal", "horse"), ("piglet", "pig"),
         ("duckling", "duck"), ("lorry", "truck"))  # fmt: skip
LIGHTS = ("trafficlight", "trafficsignal", "stoplight")


class Synset(NamedTuple):
    """One sense: its names, what it is a kind of, and which file it stands in. Instances are no kinds."""

    names: list[str]
    parents: list[str]
    file: str
    is_instance: bool


def read_synsets(folder: Path) -> dict[str, Synset]:
    found = {}
    for line in (folder / "data.noun").read_text().splitlines():
        if line.startswith("  "):
            continue
        fields = line.split(" | ")[0].split()
        end = 4 + 2 * int(fields[3], 16)
        pointers = [fields[end + 1 + 4 * k : end + 5 + 4 * k] for k in range(int(fields[end]))]
        parents = [target for symbol, target, pos, _ in pointers if symbol == "@" and pos == "n"]
        found[fields[0]] = Synset(fields[4:end:2], parents, fields[1], any(p[0] == "@i" for p in pointers))
    return found


def main(folder: Path) -> None:
    synsets = read_synsets(folder)
    lines = [line.split() for line in (folder / "index.noun").read_text().splitlines() if not line.startswith("  ")]
    index = {fields[0]: fields[-int(fields[2]) :] for fields in lines}

    @cache
    def is_physical(sense: str) -> bool:
        return sense == index["physical_entity"][0] or any(map(is_physical, synsets[sense].parents))

    def is_seen(sense: str) -> bool:
        synset = synsets[sense]
        return synset.file in FILES and not synset.is_instance and is_physical(sense)

    def sense_of(names: str) -> str:
        wanted = names.split("+")
        return next(s for s in index[wanted[0]] if is_seen(s) and {*wanted} <= {*synsets[s].names})

    senses: dict[str, list[str]] = {}
    for name, candidates in index.items():
        ranked = [
            (synsets[sense].file == "18" and rank > 0, rank, sense)  # a person only where nothing else bears the name
            for rank, sense in enumerate(candidates)
            if is_seen(sense)
            and not any(n.lower() == name and n[0].isupper() and not n.isupper() for n in synsets[sense].names)
        ]
        if ranked:
            senses.setdefault(re.sub(r"[^a-z0-9]", "", name), [min(ranked)[2]])
    for names, files in (
        (ALL_THINGS, ("06",)),
        (NOT_PEOPLE, ("06",)),
        (EATEN_OR_ALIVE, ("05", "13", "20")),
        (("crane",), ("05", "06")),
    ):
        senses |= {name: [s for s in index[name] if synsets[s].file in files and is_seen(s)] for name in names}
    senses |= {key: [sense_of(names) for names in chosen] for key, chosen in OF_PICTURES.items()}
    synsets["lights"] = Synset(["traffic_light"], [sense_of("light+light_source")], "06", False)
    senses |= {key: ["lights"] for key in LIGHTS}
    more = {index[kind][0]: [senses[parent][0]] for kind, parent in KINDS}
    OUT.write_bytes(lzma.compress(table(synsets, senses, more).encode(), preset=9 | lzma.PRESET_EXTREME))


def table(synsets: dict[str, Synset], senses: dict[str, list[str]], more: dict[str, list[str]]) -> str:
    """A line for each sense: the numbers of the lines of what it is a kind of, a bar, and its names."""
    names: dict[str, list[str]] = {}
    for key, chosen in sorted(senses.items()):
        for sense in chosen:
            if TOO_GENERAL.isdisjoint(synsets[sense].names):
                names.setdefault(sense, []).append(key)
    parents: dict[str, list[str]] = {}
    left = list(names)
    while left:
        sense = left.pop()
        if sense not in parents:
            above = [*synsets[sense].parents, *more.get(sense, ())]
            parents[sense] = [parent for parent in above if TOO_GENERAL.isdisjoint(synsets[parent].names)]
            left += parents[sense]
    number = {sense: i for i, sense in enumerate(sorted(parents))}
    return "".join(
        f"{' '.join(str(number[p]) for p in parents[sense])}|{' '.join(names.get(sense, ()))}\n" for sense in number
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
