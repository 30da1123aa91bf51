"""Checkpoints loaded for a role, through `from_pretrained`: what is refused and why, device, precision, gradients."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from fld_engine.annotators.checkpoints.loading import Loaded, choose_device, load
from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.schemas.errors import ModelError
from tests.annotators.hub.checkpoints_chat import build_llava

SIDE = 28
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Eight small files, as a checkpoint of some size has them."""
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**SIZES, "vocab_size": 50, "max_position_embeddings": 8, "eos_token_id": 49, "bos_token_id": 48},
        vision_config={**SIZES, "image_size": SIDE, "patch_size": 14},
        projection_dim=16,
    )
    CLIPModel(config).save_pretrained(tmp_path / "clip", max_shard_size="40KB")
    CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(
        tmp_path / "clip"
    )
    return tmp_path / "clip"


def params_of(folder: Path, **given: object) -> HubParams:
    params = HubParams.model_validate({"checkpoint": str(folder), "device": "cpu", **given})
    return params.pinned(models_root="", strict=True)


def opened(folder: Path, **given: object) -> Loaded:
    return load(params_of(folder, **given), role="ranking", auto_model="AutoModel", auto_processor="AutoImageProcessor")


def shards(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.safetensors"))
    assert len(found) > 2
    return found


def pictures() -> torch.Tensor:
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def test_the_weights_are_those_that_were_saved(clip: Path) -> None:
    loaded = opened(clip)
    expected = {name: tensor for shard in shards(clip) for name, tensor in load_file(shard).items()}
    found = loaded.model.state_dict()
    assert expected.keys() <= found.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert not loaded.model.training
    assert loaded.device == torch.device("cpu")
    assert loaded.passes.run([1], lambda items: {}, lambda inputs: ["done"]) == ["done"]


def test_another_kind_names_those_that_fit(clip: Path) -> None:
    with pytest.raises(
        ModelError, match=r"clip is of kind 'clip', which does not do object detection; expected"
    ) as got:
        load(params_of(clip), role="object detection", auto_model="AutoModelForObjectDetection")
    for kind in ("detr", "rt_detr_v2", "d_fine"):
        assert f" {kind}," in str(got.value)


def test_an_adapter_may_ask_for_some_kinds_alone(clip: Path) -> None:
    with pytest.raises(ModelError, match=r"kind 'clip', which does not do masks; expected one of: sam, sam2$"):
        load(params_of(clip), role="masks", auto_model="AutoModel", kinds={"sam2", "sam"})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"model_type": 3}', '{"model_type": "no-such-kind"}'],
)
def test_a_config_that_cannot_be_read(clip: Path, text: str) -> None:
    (clip / "config.json").write_text(text)
    with pytest.raises(ModelError, match="clip has no config that transformers can read: "):
        opened(clip)


@pytest.mark.parametrize("keep", [0, 5, 200, -1], ids=["empty", "half a length", "half a header", "a byte short"])
def test_truncated_weights(clip: Path, keep: int) -> None:
    shard = shards(clip)[1]
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(ModelError, match=f"checkpoint {clip} cannot be loaded from {clip}: "):
        opened(clip)


def test_weights_that_are_no_safetensors(clip: Path) -> None:
    shards(clip)[1].write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")  # a pointer, not fetched
    with pytest.raises(ModelError, match=f"checkpoint {clip} cannot be loaded from {clip}: "):
        opened(clip)


def test_a_shard_that_is_not_there(clip: Path) -> None:
    shards(clip)[1].unlink()
    with pytest.raises(ModelError, match=f"checkpoint {clip} cannot be loaded from {clip}: "):
        opened(clip)


def test_missing_weights_are_never_made_up(clip: Path) -> None:
    """`transformers` initialises them at random and warns."""
    name = "visual_projection.weight"
    index = clip / "model.safetensors.index.json"
    listing = json.loads(index.read_text())
    shard = clip / listing["weight_map"].pop(name)
    index.write_text(json.dumps(listing))
    tensors = load_file(shard)
    del tensors[name]
    save_file(tensors, shard, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"clip lacks 1 weights that ranking needs, {name} among them"):
        opened(clip)


def test_weights_of_another_shape(clip: Path) -> None:
    config = json.loads((clip / "config.json").read_text())
    config["projection_dim"] = 24
    (clip / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"checkpoint {clip} cannot be loaded from {clip}: "):
        opened(clip)


def test_no_processor(clip: Path) -> None:
    (clip / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=f"checkpoint {clip} has no processor that loads here: "):
        opened(clip)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"added_tokens": [], "model": {"type": "?"}}'])
def test_a_tokenizer_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    folder = build_llava(tmp_path / "llava")
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(ModelError, match=f"checkpoint {folder} has no processor that loads here: "):
        load(params_of(folder), role="chat", auto_model="AutoModelForImageTextToText")


def test_a_device_that_is_not_here() -> None:
    missing = [
        name for name, there in (("cuda", torch.cuda.is_available()), ("mps", torch.mps.is_available())) if not there
    ]
    assert missing, "no machine has both"
    for name in missing:
        with pytest.raises(ModelError, match=rf"device '{name}' is not on this machine; available: .*cpu"):
            choose_device("cuda" if name == "cuda" else "mps")


def test_auto_takes_the_fastest_device() -> None:
    fastest = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    assert choose_device("auto").type == fastest


def test_bfloat16_runs_in_autocast_and_stays_close(clip: Path) -> None:
    exact, half = opened(clip), opened(clip, dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    seen: list[torch.dtype] = []

    def features(loaded: Loaded) -> list[torch.Tensor]:
        def forward(inputs: object) -> list[torch.Tensor]:
            assert isinstance(inputs, dict)
            seen.append(inputs["pixel_values"].dtype)
            assert inputs["boxes"].dtype == torch.float32, "coordinates in half precision would be whole pixels off"
            with loaded.inference():
                assert torch.is_autocast_enabled("cpu") == (loaded is half)
                return list(loaded.model.vision_model(pixel_values=inputs["pixel_values"]).pooler_output)

        return loaded.passes.run([0], lambda _: {"pixel_values": pictures()[:1], "boxes": torch.ones(1, 4)}, forward)

    a, b = features(exact)[0], features(half)[0]
    assert seen == [torch.float32, torch.bfloat16]
    assert torch.cosine_similarity(a, b.float(), dim=0) > 0.999  # bfloat16 keeps 8 bits: errors of 2^-9 each
    assert not torch.equal(a, b.float())


class OfHost(torch.Tensor):
    """A tensor that says when it was pinned, which takes a device that this machine may not have."""

    def pin_memory(self, device: object = None) -> torch.Tensor:
        return self.as_subclass(Pinned)


class Pinned(torch.Tensor):
    """In memory that a device copies from by itself."""


def test_inputs_of_a_cuda_device_wait_in_pinned_memory(clip: Path) -> None:
    """Those of a processor do not: there is nothing to copy, and pinning without a device is an error."""
    loaded = opened(clip, dtype="bfloat16")
    inputs = {"pixel_values": torch.ones(2, 3).as_subclass(OfHost), "boxes": torch.ones(2, 4).as_subclass(OfHost)}
    inputs_of_both = {**inputs, "sizes": [(1, 2)]}
    here = loaded._to_host(inputs_of_both)
    assert not any(isinstance(value, Pinned) for value in here.values())
    loaded.device = torch.device("cuda")
    there = loaded._to_host(inputs_of_both)
    assert all(isinstance(there[name], Pinned) for name in inputs)
    assert [there[name].dtype for name in inputs] == [torch.bfloat16, torch.float32]
    assert there["sizes"] == [(1, 2)]


def test_answers_carry_no_gradients(clip: Path) -> None:
    loaded = opened(clip)
    with loaded.inference():
        output = loaded.model.vision_model(pixel_values=pictures()).pooler_output
    assert output.is_inference()
    assert not torch.is_inference_mode_enabled()
    with torch.no_grad():
        direct = CLIPModel.from_pretrained(clip).train(False)
        expected = direct.vision_model(pixel_values=pictures()).pooler_output
    assert torch.equal(output, expected)


OWN = """
from pathlib import Path

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

Path(__file__).with_name("ran").touch()


class OwnConfig(PretrainedConfig):
    model_type = "own-kind"


class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.layer = nn.Linear(2, 2)
        self.post_init()
"""


@pytest.fixture
def own(clip: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A checkpoint that comes with Python code."""
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    for shard in shards(clip):
        shard.unlink()
    (clip / "model.safetensors.index.json").unlink()
    save_file({"layer.weight": torch.eye(2), "layer.bias": torch.ones(2)}, clip / "model.safetensors", {"format": "pt"})
    (clip / "own.py").write_text(OWN)
    auto = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    (clip / "config.json").write_text(json.dumps({"model_type": "own-kind", "auto_map": auto}))
    return clip


def test_code_of_a_checkpoint_never_runs_unasked(own: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config that transformers can read: (?s:.*)trust_remote_code"):
        opened(own)
    assert list(tmp_path.rglob("ran")) == []


def test_code_of_a_checkpoint_runs_where_the_config_says_so(own: Path, tmp_path: Path) -> None:
    loaded = opened(own, trust_remote_code=True)
    assert torch.equal(loaded.model.layer.weight, torch.eye(2))
    assert list(tmp_path.rglob("ran")) != []
    assert params_of(own, trust_remote_code=True).identity.remote_code


@pytest.mark.parametrize(
    "full", ["raise torch.OutOfMemoryError('full')", "torch.empty(1 << 52, device='cpu')"], ids=["device", "machine"]
)
def test_a_model_that_does_not_fit(own: Path, full: str) -> None:
    """It raises what torch raises while weights are put on a device that is full, or while they are read."""
    (own / "own.py").write_text(OWN.replace("self.post_init()", f"import torch; {full}"))
    with pytest.raises(ModelError, match="does not fit into the memory of cpu as float32: choose a smaller one, dtype"):
        opened(own, trust_remote_code=True)
