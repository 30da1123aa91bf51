"""Chat models that see: prompts with views in, generated text or the probability of a yes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fld_engine.annotators.checkpoints.generation import Generated, GenerationParams, generate
from fld_engine.annotators.checkpoints.loading import Loaded, load
from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.annotators.checkpoints.passes import Inputs
from fld_engine.annotators.common.prompts import NO, YES, Prompt
from fld_engine.engine.data.images import RGB
from fld_engine.schemas.errors import ModelError

CHARS_PER_BUCKET = 256
"""Prompts share a pass, and are padded, only where their lengths are this close: about 64 tokens (ours)."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt about an image of (height, width, 3) pixels."""

    pixels: RGB
    prompt: Prompt


class ChatModel:
    """A loaded checkpoint with a chat template, over `AutoModelForImageTextToText`."""

    def __init__(self, params: HubParams) -> None:
        """Raises `ModelError` for a checkpoint that cannot be loaded, sees no images, or has no chat template."""
        self.loaded = load(params, role="chat about images", auto_model="AutoModelForImageTextToText")
        processor = self.loaded.processor
        tokenizer = self.loaded.tokenizer
        if not getattr(processor, "chat_template", None) and not tokenizer.chat_template:
            raise ModelError(
                f"checkpoint {params.checkpoint} has no chat template: expected one that was tuned for chat, such as "
                "the instruct variants of SmolVLM, Qwen-VL, LLaVA or Idefics3"
            )
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self._tokenizer = tokenizer

    def write(self, turns: Sequence[Turn], params: GenerationParams) -> list[tuple[str, Generated]]:
        """An answer to each turn, in order, with its tokens."""
        forward = partial(generate, self.loaded, params=params)
        answers = self.loaded.passes.run(turns, self._prepare, forward, _length)
        return [(self._tokenizer.decode(answer.ids, skip_special_tokens=True), answer) for answer in answers]

    def agree(self, turns: Sequence[Turn]) -> list[float]:
        """P(yes) / (P(yes) + P(no)) of the first token of the answer to each turn, in order."""
        yes, no = answer_ids(self._tokenizer)
        return self.loaded.passes.run(turns, self._prepare, partial(yes_shares, self.loaded, yes=yes, no=no), _length)

    def _prepare(self, turns: Sequence[Turn]) -> Inputs:
        """Tensors of turns, padded on the left to the longest: what follows a prompt is then generated right after."""
        inputs: Mapping[str, Any] = self.loaded.processor.apply_chat_template(
            [_conversation(turn) for turn in turns],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "left", "input_data_format": "channels_last"},
        )
        return dict(inputs)


def yes_shares(loaded: Loaded, inputs: Inputs, yes: Sequence[int], no: Sequence[int]) -> list[float]:
    """For each row of `inputs`, the share of the tokens `yes` in the probability of `yes` and `no` together."""
    import torch

    with loaded.inference():
        output = loaded.model.generate(
            **inputs, do_sample=False, max_new_tokens=1, return_dict_in_generate=True, output_logits=True
        )
    logits = output.logits[0].float()
    odds = torch.logsumexp(logits[:, list(yes)], dim=1) - torch.logsumexp(logits[:, list(no)], dim=1)
    return [float(share) for share in torch.sigmoid(odds)]


def answer_ids(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Tokens that are a way to write yes, and those that are a way to write no.

    Where a tokenizer has no whole word of them, the first tokens that tell the two apart. Raises `ModelError` where
    there are none.
    """
    ways = [[tokenizer.encode(word, add_special_tokens=False) for word in words] for words in (YES, NO)]
    whole = [{ids[0] for ids in of_word if len(ids) == 1} - {tokenizer.unk_token_id} for of_word in ways]
    first = [{ids[0] for ids in of_word} - {tokenizer.unk_token_id} for of_word in ways]
    yes, no = whole if all(whole) else first
    if not yes - no or not no - yes:
        raise ModelError("the tokenizer of this checkpoint starts `yes` and `no` with the same token: choose another")
    return sorted(yes - no), sorted(no - yes)


def _conversation(turn: Turn) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = [{"type": "text", "text": turn.prompt.text}]
    if turn.prompt.view is not None:
        content.insert(0, {"type": "image", "image": turn.prompt.view.of(turn.pixels)})
    return [{"role": "user", "content": content}]


def _length(turn: Turn) -> int:
    return len(turn.prompt.text) // CHARS_PER_BUCKET
