"""What every number of a report means, and where its definition comes from. One entry for each key used on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PAPER = "FLD-5B: Xiao et al. 2023, arXiv 2311.06242"


class Definition(NamedTuple):
    """A term, what it means here, and its source."""

    term: str
    meaning: str
    source: str


OURS = "ours"
DEFINITIONS: Mapping[str, Definition] = {
    "funnel": Definition(
        "Funnel", "Found are all items of the sources. Duplicates have the bytes of an earlier item; known ones were "
        "ingested before; quarantined ones could not be used, each with a reason. Ingested images are annotated, and "
        "kept unless a filter of images drops them. found = ingested + duplicates + known + quarantined. Annotated "
        "are the images that the specialist with most images was done with. Exported samples are kept images that are "
        "not gold, in shards of the export as it lies in the root. Shares are of what was found.", OURS,
    ),
    "account": Definition(
        "Seen, read, refused, passed over", "All that the sources hold, over all ingests of one reading: seen = read + "
        "refused + passed over. Refused is what should have been used and could not be; passed over is what is "
        "none of ours by rule, such as files of other kinds. Annotations are texts, regions, boxes of phrases, and "
        "classes of the whole image. What was scanned by earlier versions is not in it.", OURS,
    ),
    "class": Definition(
        "Class of an image", "A class of the whole image (labels), or one that was looked for and is not on it "
        "(absences), as a source tells it: by people (human), by the name of the folder that the image lies in "
        "(class_folder), or by a model. Of exported images; a class of an image counts once, however it is spelled. "
        "Classes by specialists of the run are not in it.", OURS,
    ),
    "kept": Definition(
        "Kept", "Annotations that every filter passed and whose parent was kept. All images count, gold ones too. "
        "Shares are of all annotations of the target.", OURS,
    ),
    "reason": Definition(
        "Reason", "The first reason for which an annotation was dropped. parent:x means that its parent was dropped "
        "for x: a region text with its region, a phrase with its text.", OURS,
    ),
    "specialist": Definition(
        "Specialist", "A model of the run with its pinned revision. Images it was done with, failed on, or did not "
        "run on because something it requires was missing. Rates are images a second of one worker, in the last run "
        "that it worked in.", OURS,
    ),
    "stage": Definition(
        "Stage seconds", "Wall-clock time of each stage, added up over all runs of the root's run.json. Images a "
        "second: all images of the root by these seconds, so that a stage that was run again is slower.", OURS,
    ),
    "run": Definition(
        "Runs", "From the root's run.json. ingested: images that were new in that run. images read: pictures opened, "
        "once for each group of specialists. models loaded: over all workers. outputs: files of a partition and a step "
        "that were written; what was there already is not written again. seconds: of all stages.", OURS,
    ),
    "annotation": Definition(
        "Image annotations", "text: texts of that granularity. region-text: images with at least one region that has "
        "a text of that kind. phrase-region: texts with at least one grounded phrase. Kept ones of images that are "
        "not gold.", f"{PAPER}, Table 2",
    ),
    "token": Definition(
        "Tokens", "spaCy tokens that are neither punctuation nor white space. The paper does not say which tokens it "
        "counts. Category phrases and scene text are not parsed: their pieces between spaces are counted.", OURS,
    ),
    "region": Definition(
        "Regions", "Boxes that carry the text or the phrase. A box that two phrases share counts for each.",
        f"{PAPER}, Table 2",
    ),
    "difference": Definition(
        "Difference", "This dataset minus FLD-5B; for numbers of annotations read it as the size still missing.", OURS
    ),
    "derived": Definition(
        "Derived groundings", "Phrases of composed texts, grounded on the very regions the text was composed from. "
        "They agree by construction, stand apart, and no agreement figure counts them.", OURS,
    ),
    "objects": Definition(
        "Object", "A NOUN or PROPN that heads its noun phrase: its dependency relation is not compound. “light” in "
        "“traffic light” is one, “traffic” is not.", f"notion: {PAPER}, section 4; rule: ours, engine/semantics.py",
    ),
    "attributes": Definition(
        "Attribute", "An ADJ anywhere; a participle or other word in front of a noun (relation amod); a number "
        "(nummod); a common noun that modifies another (NOUN with relation compound).",
        f"notion: {PAPER}, section 4; rule: ours, engine/semantics.py",
    ),
    "actions": Definition(
        "Action", "A VERB whose relation is none of amod, aux, auxpass, compound. Forms of “be” are AUX and no "
        "actions.", f"notion: {PAPER}, section 4; rule: ours, engine/semantics.py",
    ),
    "proper_nouns": Definition("Proper noun", "A token with the part of speech PROPN.", f"{PAPER}, Table 3"),
    "complexity": Definition(
        "Complexity", "Total degree of a token in the dependency tree taken as an undirected graph, all tokens being "
        "nodes. A text's complexity is the mean over its objects (actions, attributes), 0 where it has none.",
        f"{PAPER}, sections 3.3 and 4; attributes are ours",
    ),
    "pos": Definition(
        "Part of speech", "Universal part-of-speech tags of all tokens of kept texts.",
        "Universal Dependencies, universaldependencies.org/u/pos",
    ),
    "relation": Definition(
        "Dependency relation", "Relation of each token to its head, as spaCy's English pipelines label it.",
        "ClearNLP labels; spacy.io/models/en",
    ),
    "vocabulary": Definition(
        "Terms", "Lemmas in lower case. noun: an object that is no proper noun. verb: an action. adjective: ADJ. "
        "adjective and noun: relation amod to a noun. subject, verb, object: nsubj or the agent, with dobj, obj or "
        "nsubjpass, of the same verb. caption: the whole text in lower case. class: category phrase of a region, "
        "without case, accents, hyphens and underscores, for these make no other class. "
        "different: terms; occurrences: all times they occur; once: terms that occur one time.", OURS,
    ),
    "growth": Definition(
        "Vocabulary growth", "Different terms met in the first share of the images. Images are taken in the order of "
        "their ids, which are hashes of their bytes, so any beginning is a random sample. A curve that is still "
        "steep at the right says that more images would bring new words.",
        "type-token growth, Heaps 1978; order ours",
    ),
    "entropy": Definition(
        "Entropy", "−Σ p log₂ p over terms, p being a term's share of all occurrences: bits a term. For captions, the "
        "log₂ of their number where no two are the same.", "Shannon 1948",
    ),
    "duplicates": Definition(
        "Duplicate captions", "Share of kept texts that repeat another one, after lower case and trimmed ends: "
        "1 − different texts / texts.", OURS,
    ),
    "words": Definition(
        "Word list", "Names of a list that the user gave, in lower case. regions: kept object regions of that class, "
        "however it is spelt; dropped regions: those that filters dropped. mentions: objects of kept texts with that "
        "name, a lemma with up to three words that modify it before it. absent: neither region nor mention; under the "
        "floor: fewer regions than the floor. best source: the one with most kept regions of it an image; where none "
        "has any, with most dropped ones; else with most mentions. None where nothing of it was seen at all: then no "
        "source of this dataset would fill it.", OURS,
    ),
    "area": Definition(
        "Box area", "Share of the image that a box covers, in half octaves.", f"{PAPER}, Figure 5"
    ),
    "aspect": Definition("Aspect ratio", "Width by height of a box, in half octaves.", f"{PAPER}, Figure 5"),
    "centres": Definition(
        "Box centres", "Centres of boxes on a grid of 32 × 32 cells over the image, the top left first.",
        f"{PAPER}, Figure 5",
    ),
    "class_centres": Definition(
        "Box centres of a class", "Centres of the kept object regions of a class on a grid of 8 × 8 cells over the "
        "image, the top left first.", OURS,
    ),
    "number": Definition(
        "Boxes of a class per image", "Kept object regions of that class in each image that has any.", OURS
    ),
    "per_image": Definition("Boxes per image", "Kept boxes of each image, images without any included.", PAPER),
    "size": Definition(
        "Size class", "small: under 32² square pixels; medium: under 96²; large: the rest.",
        "COCO, cocodataset.org/#detection-eval",
    ),
    "overlap": Definition("Overlap", "Highest IoU of a box with another of its image and family.", OURS),
    "mask_fill": Definition("Mask fill", "Area of a mask by the area of its box.", OURS),
    "score": Definition(
        "Score", "What the specialist says of its own annotation. Scores of different specialists are not comparable "
        "until they are calibrated. Lines are the bounds of the filters that decide on scores; bounds of single "
        "classes are not drawn, and people's annotations pass every filter.", OURS,
    ),
    "value": Definition(
        "Value", "What a filter decided on, for the annotations it was asked about: those that the filters before it "
        "had passed. Annotations of people pass every filter and are left out. Counts stand at the edge of their bin: "
        "values from it up where a filter keeps high ones, values up to it where it keeps low ones.", OURS,
    ),
    "slider": Definition(
        "Moving a bound", "Of the annotations that the filter was asked about: how many pass at the bound set, and how "
        "many of these would be kept. A tighter bound keeps those that are kept today and pass. A looser one adds "
        "those that this filter alone dropped and that now pass: filters after it were not asked about them, so the "
        "number is then the most that can be kept. Bounds fall on the edges of bins.", OURS,
    ),
    "agreement": Definition(
        "Agreement", "For each region of the first specialist, the highest IoU with a region of the second in the same "
        "image, and whether their labels are equal. From 0.5 they are said to agree. Regions that are kept, or went "
        "only because another covers them, on images that both were done with. Specialists of which one reads what "
        "the other writes are marked and not compared.", "IoU 0.5: Everingham et al. 2010, PASCAL VOC",
    ),
    "calibration": Definition(
        "Precision by score", "Share of a specialist's regions that hit a human region of the same label with an IoU "
        "of 0.5 or more, one to one by falling score; recall is the share of human regions found at any score. A "
        "specialist is calibrated where precision equals score.",
        "Guo et al. 2017, arXiv 1706.04599; matching: PASCAL VOC",
    ),
    "difference_roots": Definition(
        "Before, now, change", "The same number, by the same definition, of the root that is compared with and of this "
        "one; change is now minus before. Numbers are those of all tables and charts of the other pages, the changed "
        "ones first; what only one side has has no change.", OURS,
    ),
    "gallery": Definition(
        "Sample", "Images of every source in turn: by id, with most boxes, with the lowest kept score, with most "
        "disagreement between specialists, with most dropped, and with rare phrases. The same root gives the same "
        "sample.", OURS,
    ),
    "change": Definition(
        "Change", "Regions of the same image are matched one to one by falling IoU, at least 0.5: same from 0.95 with "
        "an equal label, moved below that, relabelled where labels differ; added or removed without a match. Texts and "
        "phrases are the same where they read the same.", OURS,
    ),
}  # fmt: skip
