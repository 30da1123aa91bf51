"""Teacher forcing: the likelihood of every token of given answers, many answers at once.

The vision tower has run once an image (`student.image_features`); here the encoder runs once a prompt, and so do the
keys and values that the decoder attends to. Only the decoder runs once an answer, over a few tokens.

Batches are cut in a stated order, so that the same questions always give the same numbers: prompts by length, then as
first asked, `PROMPTS_AT_ONCE` at a time; the answers to these by length, then as asked, in batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy, pad
from transformers import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from fld_engine.refinement.student.encoding import IGNORED, encode_targets, shifted
from fld_engine.refinement.student.image_features import AnswerScore, ImageFeatures, Question, encode_questions
from fld_engine.schemas.tokens import NUM_BINS

BOX_TOLERANCE = 0.05
"""A coordinate is supported by all the probability within this share of the axis: the exact one of 1,000 bins says
more about the student's sharpness than about the label."""
PROMPTS_AT_ONCE = 16


@torch.inference_mode()
def score_answers(features: ImageFeatures, questions: Sequence[Question], *, batch_size: int = 32) -> list[AnswerScore]:
    """The student's likelihood of each answer, in the order of the questions. A batch holds `batch_size` answers."""
    answers: dict[tuple[int, str], list[int]] = {}
    for row, question in enumerate(questions):
        answers.setdefault((question.image, question.prompt), []).append(row)
    prompts = sorted(answers, key=lambda prompt: len(prompt[1]))
    scores: dict[int, AnswerScore] = {}
    for first in range(0, len(prompts), PROMPTS_AT_ONCE):
        part = prompts[first : first + PROMPTS_AT_ONCE]
        encoded = _EncodedPrompts(features, part)
        asked = [(place, row) for place, prompt in enumerate(part) for row in answers[prompt]]
        asked.sort(key=lambda pair: (len(questions[pair[1]].answer), pair[1]))
        for start in range(0, len(asked), batch_size):
            batch = asked[start : start + batch_size]
            found = encoded.score([place for place, _ in batch], [questions[row].answer for _, row in batch])
            scores.update(zip([row for _, row in batch], found, strict=True))
    return [scores[row] for row in range(len(questions))]


class _EncodedPrompts:
    """Some prompts as the decoder attends to them, with its keys and values after the start token."""

    def __init__(self, features: ImageFeatures, prompts: Sequence[tuple[int, str]]) -> None:
        self._student, self._model = features.student, features.student.model
        self._states, self._mask = encode_questions(features, prompts)
        start = self._model.config.text_config.decoder_start_token_id
        begun = torch.full((len(prompts), 1), start, device=self._mask.device)
        self._cache = self._decode(self._states, self._mask, begun, None).past_key_values

    def score(self, places: Sequence[int], answers: Sequence[str]) -> list[AnswerScore]:
        """Scores of answers to the prompts at `places`."""
        labels = encode_targets(self._student, answers).to(self._mask.device)
        inputs = shifted(labels, self._model.config.text_config)[:, 1:]
        rows = torch.tensor(places, device=self._mask.device)
        cache = EncoderDecoderCache(
            [
                tuple(states[rows] for states in (own, own_values, other, other_values))
                for own, own_values, _, other, other_values, _ in self._cache
            ]
        )
        logits = self._decode(self._states[rows], self._mask[rows], inputs, cache).logits
        return self._weigh(logits, labels[:, 1:])

    def _decode(self, states: torch.Tensor, mask: torch.Tensor, inputs: torch.Tensor, cache: Any) -> Any:
        return self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            decoder_input_ids=inputs,
            past_key_values=cache,
            use_cache=True,
        )

    def _weigh(self, logits: torch.Tensor, labels: torch.Tensor) -> list[AnswerScore]:
        """(n, t, vocabulary) logits and (n, t) labels as likelihoods."""
        losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=IGNORED)
        logs = -losses.view(labels.shape)
        first = self._student.processor.tokenizer.convert_tokens_to_ids("<loc_0>")
        bins = labels - first
        is_location = (bins >= 0) & (bins < NUM_BINS)
        reach = int(BOX_TOLERANCE * NUM_BINS)
        shares = logits[is_location].softmax(dim=-1)[:, first : first + NUM_BINS]
        near = pad(shares, (reach, reach)).unfold(1, 2 * reach + 1, 1)  # (locations, bins, what is near each bin)
        support = near[torch.arange(len(near)), bins[is_location]].sum(dim=-1)
        lengths = (labels != IGNORED).sum(dim=1).tolist()
        supports = torch.split(support, is_location.sum(dim=1).tolist())
        return [
            AnswerScore(row[:length].double().cpu().numpy(), near_row.double().cpu().numpy())
            for row, length, near_row in zip(logs, lengths, supports, strict=True)
        ]
