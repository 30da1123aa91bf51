"""The English parse: every text once, so that filters, coverage and grounding are arithmetic on its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import metadata, util
from typing import TYPE_CHECKING

from pydantic import Field

from fld_engine.annotators.assets.catalogue import PACKAGED
from fld_engine.annotators.assets.prepare import ensure
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Frozen, RegionText, Text, Token
from fld_engine.schemas.errors import ModelError
from fld_engine.schemas.kinds import Kind

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Span

OFFICIAL = "en_core_web_sm"
PACKAGED_PIPELINE = PACKAGED["en-core-web-sm"]
"""The same pipeline as a package registry ships it."""
UNUSED_PARTS = ("ner",)
TEXTS_PER_PARSE = 64
"""Texts that go through the network together."""


class SpacyParser:
    """Tokens of every text and region brief, and the noun chunks of the briefs as candidate texts of their regions."""

    class Params(Frozen):
        """Which pipeline parses, and how much of a text."""

        pipeline: str = Field(
            default="", description=f"any installed spaCy pipeline; empty: {OFFICIAL}, or else the packaged one"
        )
        max_chars: int = Field(default=20_000, gt=0, description="longer texts are parsed up to here; ours")

    version = 1
    requires: frozenset[Kind] = frozenset()
    optional: frozenset[Kind] = frozenset({"brief_texts", "detailed_texts", "region_briefs"})
    produces: frozenset[Kind] = frozenset({"tokens", "region_chunks"})
    resources = Resources(cpus=1, memory_mb=600)
    batch_size = 32
    model = PACKAGED_PIPELINE.identity

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        self._pipeline = self.params.pipeline or (OFFICIAL if _is_installed(OFFICIAL) else PACKAGED_PIPELINE.module)
        self.model = _identity(self._pipeline)
        self.packaged = (PACKAGED_PIPELINE.name,) if self._pipeline == PACKAGED_PIPELINE.module else ()
        package = PACKAGED_PIPELINE.package if self.packaged else self._pipeline
        self.libraries: tuple[str, ...] = ("spacy", package)
        self._nlp: Language | None = None

    def load(self) -> None:
        """Open the pipeline without its entity recogniser. Raises `ModelError` when it is not installed."""
        import spacy

        if self._pipeline == PACKAGED_PIPELINE.module:
            self._nlp = spacy.load(ensure(PACKAGED_PIPELINE.name, fetch=False), exclude=UNUSED_PARTS)
            return
        try:
            self._nlp = spacy.load(self._pipeline, exclude=UNUSED_PARTS)
        except OSError:
            raise ModelError(
                f"spaCy pipeline {self._pipeline!r} is not installed; "
                f"installed are: {', '.join(_installed()) or 'none'}; run `python -m spacy download {self._pipeline}`, "
                f"or `pip install {PACKAGED_PIPELINE.package}` and leave the parameter `pipeline` empty"
            ) from None

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Tokens as spaCy cuts them, whitespace tokens included, texts first and then briefs, each in given order."""
        assert self._nlp is not None, "load() comes before annotate()"
        subjects = [_subjects(sample) for sample in batch]
        parsed = self._nlp.pipe(
            (subject.text[: self.params.max_chars] for of_sample in subjects for subject in of_sample),
            batch_size=TEXTS_PER_PARSE,
        )
        return [_annotations(of_sample, parsed) for of_sample in subjects]


def _subjects(sample: Sample) -> list[Text | RegionText]:
    return [*sample.known.texts, *(text for text in sample.known.region_texts if text.kind == "brief")]


def _annotations(subjects: Sequence[Text | RegionText], parsed: Iterator[Doc]) -> Annotations:
    tokens: list[Token] = []
    chunks: list[RegionText] = []
    for subject in subjects:
        doc = next(parsed)
        spans = list(doc.noun_chunks)
        tokens += _tokens(subject.id, doc, spans)
        if isinstance(subject, RegionText):
            chunks += _chunk_texts(subject, spans)
    return Annotations(tokens=tuple(tokens), region_texts=tuple(chunks))


def _tokens(text_id: str, doc: Doc, chunks: Sequence[Span]) -> Iterator[Token]:
    chunk_of = {i: ordinal for ordinal, chunk in enumerate(chunks) for i in range(chunk.start, chunk.end)}
    for token in doc:
        yield Token(
            text_id=text_id,
            index=token.i,
            start=token.idx,
            end=token.idx + len(token.text),
            text=token.text,
            lemma=token.lemma_,
            pos=token.pos_,
            tag=token.tag_,
            dep=token.dep_,
            head=token.head.i,
            chunk=chunk_of.get(token.i, -1),
        )


def _chunk_texts(brief: RegionText, chunks: Sequence[Span]) -> Iterator[RegionText]:
    """The noun chunks of a brief without their determiners, as category phrases have none; pronouns are left out."""
    for chunk in chunks:
        words = chunk[1:] if chunk[0].pos_ == "DET" else chunk
        text = words.text.strip()
        if text and chunk.root.pos_ != "PRON":
            yield RegionText(region_id=brief.region_id, kind="chunk", text=text, score=brief.score)


def _is_installed(pipeline: str) -> bool:
    return pipeline.isidentifier() and util.find_spec(pipeline) is not None


def _identity(pipeline: str) -> ModelIdentity:
    """The packaged pipeline is pinned by its hash, any other is known by its version."""
    if pipeline == PACKAGED_PIPELINE.module:
        return PACKAGED_PIPELINE.identity
    try:
        revision = metadata.version(pipeline)
    except metadata.PackageNotFoundError:
        revision = "unknown"
    return ModelIdentity(id=f"spacy:{pipeline}", revision=revision)


def _installed() -> list[str]:
    from spacy.util import get_installed_models

    return sorted(get_installed_models())
