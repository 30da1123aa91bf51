"""A native Florence-2 made from nothing: tokenizer, processor and weights, saved so that `from_pretrained` opens it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fld_engine.refinement.student.initial_weights import initialise
from fld_engine.refinement.student.presets import Preset
from fld_engine.schemas.tasks import BANNED_PHRASES, TASKS
from fld_engine.schemas.tokens import SPECIAL_TOKENS

BPE_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
"""In this order, so that their ids are those that BART's config has by default."""

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
"""As published with the models: every answer kind that the library parses, and the banned phrases."""


def make_scratch(folder: Path, size: Preset, corpus: Iterable[str], *, seed: int) -> None:
    """Write an untrained student of this size into `folder`; the same corpus and seed give the same files.

    `corpus` are the texts it will learn to say; the prompts of all tasks are added. Images are squashed to a square.
    """
    import torch
    from transformers import Florence2ForConditionalGeneration

    processor = build_processor(size, corpus)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Florence2ForConditionalGeneration(
            florence2_config(size, vocab_size=len(processor.tokenizer), image_token_id=processor.image_token_id)
        )
        initialise(model, processor.tokenizer.convert_tokens_to_ids(list(_locations())))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def build_processor(size: Preset, corpus: Iterable[str]) -> Any:
    """A `Florence2Processor` whose tokenizer was trained on the corpus."""
    from transformers import CLIPImageProcessorPil, Florence2Processor

    images = CLIPImageProcessorPil(
        size={"height": size.image_px, "width": size.image_px},
        do_center_crop=False,
        image_seq_length=size.num_image_tokens,
    )
    setattr(images, "image_seq_length", size.num_image_tokens)  # noqa: B010  # what the constructor does not keep
    tokenizer = build_tokenizer(corpus, size.vocab_size, size.max_positions)
    return Florence2Processor(images, tokenizer, post_processor_config=POST_PROCESSOR_CONFIG)


def build_tokenizer(corpus: Iterable[str], vocab_size: int, max_length: int) -> Any:
    """A BART tokenizer of at most `vocab_size` byte-level pieces, the 1,024 tokens of Florence-2 and `<image>`."""
    from tokenizers import AddedToken, ByteLevelBPETokenizer
    from transformers import BartTokenizerFast

    prompts = [task.prompt.replace("{input}", "") for task in TASKS.values()]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator([*prompts, *corpus], vocab_size=vocab_size, special_tokens=BPE_TOKENS, show_progress=False)
    tokenizer = BartTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=max_length,
    )
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    return tokenizer


def _locations() -> Iterable[str]:
    return (token for token in SPECIAL_TOKENS if token.startswith("<loc_"))


def florence2_config(size: Preset, *, vocab_size: int, image_token_id: int) -> Any:
    """Config of a student of this size."""
    from transformers import BartConfig, Florence2Config, Florence2VisionConfig

    heads = tuple(width // size.head_width for width in size.stage_widths)
    vision = Florence2VisionConfig(
        embed_dim=size.stage_widths,
        depths=size.stage_depths,
        patch_stride=size.stage_strides,
        num_heads=heads,
        num_groups=heads,
        window_size=size.window,
        projection_dim=size.text_width,
        max_position_embeddings=size.grid,
        drop_path_rate=size.dropout,
    )
    text = BartConfig(
        vocab_size=vocab_size,
        d_model=size.text_width,
        max_position_embeddings=size.max_positions,
        encoder_layers=size.text_layers,
        decoder_layers=size.text_layers,
        encoder_attention_heads=size.text_heads,
        decoder_attention_heads=size.text_heads,
        encoder_ffn_dim=4 * size.text_width,
        decoder_ffn_dim=4 * size.text_width,
        dropout=size.dropout,
    )
    return Florence2Config(vision_config=vision.to_dict(), text_config=text.to_dict(), image_token_id=image_token_id)
