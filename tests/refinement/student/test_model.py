from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fld_engine.refinement.student.encoding import IGNORED, encode, encode_targets
from fld_engine.refinement.student.model import load_student, open_student
from fld_engine.refinement.student.presets import PRESETS, preset
from fld_engine.refinement.student.settings import StudentConfig
from fld_engine.schemas.errors import ConfigError, ModelError
from fld_engine.schemas.target_language import (
    Instance,
    location_tokens,
    parse_answer,
    write_answer,
    write_prompt,
)
from fld_engine.schemas.tokens import SPECIAL_TOKENS
from tests.refinement.tiny import IMAGE_PX, scenes, student, training_set


def test_scratch_is_a_native_checkpoint(tmp_path: Path) -> None:
    """What anybody does with a Florence-2: from_pretrained, a task token and an image in, generate, post-process."""
    from transformers import AutoProcessor, Florence2ForConditionalGeneration

    student(tmp_path)
    model = Florence2ForConditionalGeneration.from_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    image = scenes(1)[0].pixels
    inputs = processor(text="<OD>", images=image, return_tensors="pt")
    ids = model.generate(**inputs, max_new_tokens=12, num_beams=1, do_sample=False)
    text = processor.batch_decode(ids, skip_special_tokens=False)[0]
    answer = processor.post_process_generation(text, task="<OD>", image_size=(IMAGE_PX, IMAGE_PX))
    assert answer["<OD>"].keys() >= {"bboxes", "labels"}
    assert all(len(processor.tokenizer(t, add_special_tokens=False).input_ids) == 1 for t in SPECIAL_TOKENS)


def test_our_encoding_is_the_processor_s(tmp_path: Path) -> None:
    """A student prompted by the library later must see the very tokens and pixels it was trained on."""
    taught = student(tmp_path)
    image = scenes(1)[0].pixels
    region = location_tokens((1.0, 2.0, 20.0, 30.0), (IMAGE_PX, IMAGE_PX))
    ours = encode(taught, [image], [(0, write_prompt("<REGION_TO_CATEGORY>", region))])
    theirs = taught.processor(text=f"<REGION_TO_CATEGORY>{region}", images=image, return_tensors="pt")
    assert ours["input_ids"].tolist() == theirs["input_ids"].tolist()
    assert ours["attention_mask"].tolist() == theirs["attention_mask"].tolist()
    assert np.array_equal(ours["pixel_values"].numpy(), theirs["pixel_values"].numpy())


def test_targets_read_back_through_the_tokenizer(tmp_path: Path) -> None:
    taught = student(tmp_path)
    things = [Instance(thing.label, (thing.box_xyxy,)) for thing in scenes(2)[1].things]
    target = write_answer("<OD>", things, (IMAGE_PX, IMAGE_PX)).target
    labels = encode_targets(taught, [target, "circle"])
    tokenizer = taught.processor.tokenizer
    spoken = tokenizer.decode([i for i in labels[0].tolist() if i != IGNORED], skip_special_tokens=False)
    assert len(parse_answer("<OD>", spoken, (IMAGE_PX, IMAGE_PX))) == len(things)
    assert labels[1].tolist().count(IGNORED) == (labels.shape[1] - len(tokenizer("circle").input_ids))


def test_same_seed_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = student(tmp_path / "a"), student(tmp_path / "b"), student(tmp_path / "c", seed=1)
    names = [
        name for name, value in first.model.state_dict().items() if not value.equal(again.model.state_dict()[name])
    ]
    assert names == []
    assert not first.model.lm_head.weight.equal(other.model.lm_head.weight)


def test_locations_that_are_near_look_alike_from_the_start(tmp_path: Path) -> None:
    taught = student(tmp_path)
    ids = taught.processor.tokenizer.convert_tokens_to_ids(["<loc_500>", "<loc_505>", "<loc_900>"])
    near, close, far = taught.model.get_input_embeddings().weight[ids].detach()
    assert near @ close > 0.9 * (near @ near)
    assert abs(near @ far) < 0.6 * (near @ near)
    assert taught.model.lm_head.weight.data_ptr() == taught.model.get_input_embeddings().weight.data_ptr()


def test_scratch_is_made_once(tmp_path: Path) -> None:
    student(tmp_path)
    before = (tmp_path / "model.safetensors").stat().st_mtime_ns
    student(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == before


def test_base_that_is_no_model_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="save_pretrained"):
        load_student(str(tmp_path))


def test_local_base_is_opened(tmp_path: Path) -> None:
    student(tmp_path / "base").save(tmp_path / "copy")
    opened = open_student(StudentConfig(base=str(tmp_path / "copy")), tmp_path / "unused", [])
    assert len(opened.processor.tokenizer) == opened.model.config.text_config.vocab_size
    assert not (tmp_path / "unused").exists()


def test_unknown_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'small'"):
        preset("smal")


@pytest.mark.parametrize("name", PRESETS)
def test_sizes_fit_together(name: str) -> None:
    """Heads divide widths, windows divide the grid, the image and a hundred boxes fit the positions."""
    size = preset(name)
    assert all(width % size.head_width == 0 for width in size.stage_widths)
    assert size.text_width % size.text_heads == 0
    assert size.num_image_tokens < size.max_positions
    assert training_set(1).images
