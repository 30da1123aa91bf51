"""Small chat checkpoints of the real architectures, saved as those on the hub are: untrained, and never twice alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaImageProcessorPil,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WORDS = "yes no Yes No the a dog ball on grass red box is it true that shows describe image plain text answer with"
SPECIAL = ("<unk>", "<pad>", "<s>", "<|end|>", "<|user|>", "<|assistant|>", "<image>")
ENDINGS = (" dog.", " ball!", " grass?")
IMAGE_SIDE, PATCH = 56, 14


def tokenizer(*, padding_side: str = "right") -> PreTrainedTokenizerFast:
    """Byte-level BPE of some hundred tokens, as the tokenizers of these models are."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([WORDS] * 4, trainer)
    bpe.add_tokens([AddedToken(token, normalized=False) for token in ENDINGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="<|end|>",
        additional_special_tokens=["<|user|>", "<|assistant|>", "<image>"],
        padding_side=padding_side,
        chat_template=TEMPLATE,
    )


def text_config(words: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "vocab_size": len(words),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "pad_token_id": words.pad_token_id,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
    }


def build_llava(folder: Path) -> Path:
    words = tokenizer()
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=IMAGE_SIDE,
        patch_size=PATCH,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision,
        text_config=LlamaConfig(**text_config(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        image_seq_length=(IMAGE_SIDE // PATCH) ** 2,
    )
    side = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
    processor = LlavaProcessor(
        LlavaImageProcessorPil(size={"shortest_edge": IMAGE_SIDE}, crop_size=side),
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the class token, which "default" leaves out
        chat_template=TEMPLATE,
    )
    processor.save_pretrained(folder)
    return _saved(LlavaForConditionalGeneration(_seeded(config)), words, folder)


def build_idefics3(folder: Path) -> Path:
    """Images of more than 56 px a side are seen as several tiles."""
    words = tokenizer()
    processor = Idefics3Processor(
        Idefics3ImageProcessorPil(
            size={"longest_edge": 2 * IMAGE_SIDE}, max_image_size={"longest_edge": IMAGE_SIDE}, do_image_splitting=True
        ),
        words,
        image_seq_len=(IMAGE_SIDE // PATCH // 2) ** 2,
        chat_template=TEMPLATE,
    )
    processor.save_pretrained(folder)
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Idefics3Config(
        vision_config={**vision, "image_size": IMAGE_SIDE, "patch_size": PATCH},
        text_config=text_config(words),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
        scale_factor=2,
    )
    return _saved(Idefics3ForConditionalGeneration(_seeded(config)), words, folder)


def build_smolvlm(folder: Path) -> Path:
    """The model and its tokenizer; its processor needs torchvision."""
    words = tokenizer()
    words.save_pretrained(folder)
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = SmolVLMConfig(
        vision_config={**vision, "image_size": IMAGE_SIDE, "patch_size": PATCH},
        text_config=text_config(words),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
        scale_factor=2,
    )
    return _saved(SmolVLMForConditionalGeneration(_seeded(config)), words, folder)


def build_qwen2_vl(folder: Path) -> Path:
    """The model and its tokenizer; its processor needs torchvision."""
    words = tokenizer()
    words.save_pretrained(folder)
    marks = {"image_token_id": "<image>", "vision_start_token_id": "<|user|>", "vision_end_token_id": "<|assistant|>"}
    text = {**text_config(words), "model_type": "qwen2_vl_text"}
    text["rope_parameters"] = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    config = Qwen2VLConfig(
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "patch_size": PATCH},
        text_config=text,
        video_token_id=words.unk_token_id,
        **{name: words.convert_tokens_to_ids(token) for name, token in marks.items()},
    )
    return _saved(Qwen2VLForConditionalGeneration(_seeded(config)), words, folder)


def _seeded(config: Any) -> Any:
    torch.manual_seed(0)
    return config


def _saved(model: Any, words: PreTrainedTokenizerFast, folder: Path) -> Path:
    """Weights wide enough that an answer depends on what is seen and read; sentences that end now and then."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn_like(parameter) * parameter[0].numel() ** -0.5)
        model.get_input_embeddings().weight *= 0.3  # or the last token alone decides on the next
        model.lm_head.weight *= 3.0
    silent = [[[words.convert_tokens_to_ids(token)], -100.0] for token in SPECIAL if token != words.eos_token]
    ending = [[[words.convert_tokens_to_ids(token)], 5.0] for token in ENDINGS]
    model.generation_config = GenerationConfig(
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        bos_token_id=words.bos_token_id,
        no_repeat_ngram_size=2,  # untrained models repeat themselves
        sequence_bias=[*silent, *ending, [[words.eos_token_id], 3.0]],
    )
    model.save_pretrained(folder)
    return folder
