"""What may be said of the classes that detectors and classifiers name: their kind, and other words for them.

The lists are ours. They cover the 80 COCO classes, and of ImageNet the classes that are places.
"""

from __future__ import annotations

from collections.abc import Mapping

from fld_engine.annotators.common.coco_classes import COCO_CLASSES, PERSON

ANIMATE = frozenset({PERSON, "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"})
SURFACES = frozenset({"dining table", "bench", "bed", "couch", "desk"})
"""What small things rest on."""
PORTABLE = (
    frozenset(COCO_CLASSES[24:27])
    | frozenset(COCO_CLASSES[39:56])
    | frozenset(
        {"laptop", "mouse", "remote", "keyboard", "cell phone", "book", "vase", "scissors", "teddy bear", "toothbrush"}
    )
)
"""What lies where it was put: bags, kitchenware, food and other things of a hand's size."""

SETTINGS: Mapping[str, str] = {
    **{name: f"in a {name}" for name in ("bakery", "barbershop", "bookstore", "restaurant", "library", "greenhouse")},
    **{name: f"in a {name}" for name in ("butcher shop", "candy store", "church", "grocery store", "home theater")},
    **{name: f"in a {name}" for name in ("movie theater", "shoe store", "tobacco shop", "toy store", "valley")},
    **{name: f"on a {name}" for name in ("beach", "pier", "patio", "stage", "sandbar", "dock")},
    "lakeshore": "on a lakeshore",
    "coral reef": "at a coral reef",
    "mountain": "in front of a mountain",
    "cliff": "in front of a cliff",
}
"""Classes that are places, and how one is in them."""

WORN = frozenset(
    {
        *("abaya", "academic gown", "apron", "balaclava ski mask", "bow tie", "cowboy boot", "cowboy hat", "cloak"),
        *("crash helmet", "cuirass", "football helmet", "fur coat", "gown", "graduation cap", "jeans", "kimono"),
        *("lab coat", "military hat", "military uniform", "mitten", "miniskirt", "oxygen mask", "poke bonnet"),
        *("poncho", "sandal", "shower cap", "sneaker", "snorkel", "sombrero", "suit", "sunglasses", "sweatshirt"),
        *("swimming cap", "T-shirt", "trench coat", "Windsor tie"),
    }
)
"""Classes that a person in the same small crop has on."""

_SYNONYMS: Mapping[str, str] = {
    PERSON: """man woman boy girl child kid baby guy lady gentleman player rider worker chef cook farmer soldier driver
    pedestrian skater surfer skier snowboarder batter catcher passenger student teacher tourist bride groom
    bridegroom astronaut toddler crowd adult teenager coach cyclist waiter photographer scuba diver""",
    "bicycle": "bike",
    "car": "automobile sedan suv taxi cab van vehicle",
    "motorcycle": "motorbike moped scooter",
    "airplane": "plane aeroplane jet airliner aircraft",
    "bus": "coach minibus",
    "train": "locomotive tram",
    "truck": "lorry pickup",
    "boat": "ship sailboat canoe kayak",
    "bird": "pigeon seagull duck goose parrot eagle owl sparrow",
    "cat": "kitten kitty tabby",
    "dog": "puppy hound terrier",
    "horse": "pony foal",
    "sheep": "lamb",
    "cow": "bull calf cattle",
    "couch": "sofa",
    "dining table": "desk",
    "tv": "television monitor",
    "cell phone": "smartphone",
    "cup": "mug",
    "potted plant": "houseplant",
    "refrigerator": "fridge",
    "backpack": "rucksack",
    "handbag": "purse",
    "donut": "doughnut",
}
SYNONYMS: Mapping[str, frozenset[str]] = {
    word: frozenset(name for name, words in _SYNONYMS.items() if word in words.split())
    for word in sorted({word for words in _SYNONYMS.values() for word in words.split()})
}
"""Word → classes it is another name for, or a kind of."""

NOT_OF_THEIR_HEAD = frozenset({"hot dog", "teddy bear", "freight car", "railroad car", "block plane"})
"""Names whose last word names something else: a hot dog is no dog."""


def is_kind_of(name: str, category: str) -> bool:
    """Whether a name says by its words that it is a kind of a class, or is the class: a "tabby cat" is a "cat"."""
    if name == category:
        return True
    is_by_head = name.endswith(f" {category}") or category in SYNONYMS.get(name.rpartition(" ")[2].lower(), ())
    return is_by_head and name not in NOT_OF_THEIR_HEAD
