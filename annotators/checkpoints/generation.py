"""Generated text with the probability of every token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from fld_engine.annotators.checkpoints.loading import Loaded
from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.annotators.common.confidence import confidence


class GenerationParams(HubParams):
    """How text is generated: greedily, or by beams; never sampled."""

    num_beams: int = Field(default=1, gt=0, description="1 is greedy; Florence-2's authors use 3")
    max_new_tokens: int = Field(default=1024, gt=0, description="longest answer")


@dataclass(frozen=True, slots=True)
class Generated:
    """The tokens of one answer, sentence marks left out, and the probability of each given those before it."""

    ids: tuple[int, ...]
    probabilities: tuple[float, ...]

    @property
    def score(self) -> float:
        return confidence(self.probabilities)


def generate(loaded: Loaded, inputs: Mapping[str, Any], params: GenerationParams) -> list[Generated]:
    """One answer per row of `inputs`, which are on the device, in order; each ends at its end-of-sentence token."""
    speaker = getattr(loaded.model, "text_decoder", loaded.model)  # BLIP speaks through a part of itself
    with loaded.inference():
        output = loaded.model.generate(
            **inputs,
            do_sample=False,
            num_beams=params.num_beams,
            max_new_tokens=params.max_new_tokens,
            return_dict_in_generate=True,
            output_scores=True,
        )
        chances = speaker.compute_transition_scores(
            output.sequences, output.scores, getattr(output, "beam_indices", None), normalize_logits=True
        ).exp()
    sequences = output.sequences[:, -chances.shape[1] :]
    ends, marks = _marks(speaker.generation_config, loaded.tokenizer)
    return [
        _trimmed(ids, row, ends, marks) for ids, row in zip(sequences.tolist(), chances.float().tolist(), strict=True)
    ]


def _marks(config: Any, tokenizer: Any) -> tuple[set[int | None], set[int | None]]:
    """Tokens that end an answer, and those that say nothing."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    return {*ends, tokenizer.eos_token_id, tokenizer.sep_token_id}, {config.bos_token_id, config.pad_token_id}


def _trimmed(ids: list[int], chances: list[float], ends: set[int | None], marks: set[int | None]) -> Generated:
    stop = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    kept = [i for i in range(stop) if ids[i] not in marks]
    return Generated(tuple(ids[i] for i in kept), tuple(chances[i] for i in kept))
