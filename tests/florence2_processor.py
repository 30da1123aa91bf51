"""A real `Florence2Processor`, built offline: the library's own code around a byte-level BPE trained on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fld_engine.schemas.tasks import BANNED_PHRASES
from fld_engine.schemas.tokens import SPECIAL_TOKENS, merges

CORPUS = (
    "A photograph of a cat sleeping on a wooden chair beside a cup of coffee.",
    "Two people in white shirts ride a red motorcycle down the street near a traffic light.",
    "The astronaut stands in front of a flag; the rocket is being launched into a clear blue sky.",
    "STOP, EXIT and OPEN 24 HOURS are written on the signs.",
)
POST_PROCESSOR_CONFIG: dict[str, dict[str, Any]] = {
    "ocr": {"PATTERN": None, "AREA_THRESHOLD": 0.0},
    "phrase_grounding": {"banned_grounding_tokens": sorted(BANNED_PHRASES)},
    "pure_text": {},
    "description_with_bboxes": {},
    "description_with_polygons": {},
    "polygons": {},
    "bboxes": {},
    "description_with_bboxes_or_polygons": {},
}
"""As published with the models: every answer kind, and the banned phrases."""


def build_tokenizer(corpus: Iterable[str] = CORPUS, vocab_size: int = 600) -> Any:
    """A BART tokenizer of `vocab_size` byte-level pieces with the 1,024 location and task tokens and `<image>`."""
    from tokenizers import AddedToken, ByteLevelBPETokenizer
    from transformers import BartTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        corpus, vocab_size=vocab_size, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], show_progress=False
    )
    tokenizer = BartTokenizerFast(tokenizer_object=bpe._tokenizer, extra_special_tokens={"image_token": "<image>"})
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    return tokenizer


def published_tokenizer() -> Any:
    """A tokenizer that spells as the published models do: BART's, of GPT-2's merges; ids are in another order."""
    from tokenizers import AddedToken, ByteLevelBPETokenizer
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import BartTokenizerFast

    pieces = [*sorted(ByteLevel.alphabet()), *(first + second for first, second in merges())]
    names = ["<s>", "<pad>", "</s>", "<unk>", *pieces, "<mask>"]
    bpe = ByteLevelBPETokenizer(vocab={name: i for i, name in enumerate(dict.fromkeys(names))}, merges=list(merges()))
    tokenizer = BartTokenizerFast(tokenizer_object=bpe._tokenizer, extra_special_tokens={"image_token": "<image>"})
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    return tokenizer


def build_processor(image_size: int = 96, image_seq_length: int = 10) -> Any:
    """A processor for square images of `image_size` pixels that stand for `image_seq_length` tokens."""
    from transformers import CLIPImageProcessorPil, Florence2Processor

    image_processor = CLIPImageProcessorPil(
        size={"height": image_size, "width": image_size}, do_center_crop=False, image_seq_length=image_seq_length
    )
    image_processor.image_seq_length = image_seq_length
    return Florence2Processor(image_processor, build_tokenizer(), post_processor_config=POST_PROCESSOR_CONFIG)
