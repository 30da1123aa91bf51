"""Small promptable segmenters of the real architectures, with random weights that draw something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2Model,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
    SamConfig,
    SamImageProcessorPil,
    SamMaskDecoderConfig,
    SamModel,
    SamProcessor,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

SIDE = 64


def build_sam(folder: Path) -> Path:
    """SAM on 64 px in patches of 8: masks of 32 px."""
    torch.manual_seed(0)
    config = SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=32, output_channels=32, num_hidden_layers=1, num_attention_heads=2, image_size=SIDE,
            patch_size=8, num_pos_feats=16, mlp_dim=32, window_size=4, global_attn_indexes=[0],
        ),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=32, image_size=SIDE, patch_size=8),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=32, num_hidden_layers=1
        ),
    )  # fmt: skip
    pictures = SamImageProcessorPil(size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE})
    model = _spoken(SamModel(config))
    model.save_pretrained(folder)
    SamProcessor(pictures).save_pretrained(folder)
    return folder


def build_sam2(folder: Path) -> Path:
    """SAM 2 with a tiny Hiera; its processor cannot be made without torchvision."""
    torch.manual_seed(0)
    hiera = Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 2, 2], global_attention_blocks=[3],
        window_size_per_stage=[4, 4, 4, 4], window_positional_embedding_background_size=[4, 4],
    )  # fmt: skip
    config = Sam2Config(
        vision_config=Sam2VisionConfig(
            backbone_config=hiera, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=32,
            backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        ),
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=32, image_size=SIDE, patch_size=16),
        mask_decoder_config=Sam2MaskDecoderConfig(
            hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=32, num_hidden_layers=1
        ),
    )  # fmt: skip
    _spoken(Sam2Model(config)).save_pretrained(folder)
    return folder


def _spoken(model: Any) -> Any:
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights) * 0.1)
    return model.eval()


class Squares:
    """What `Sam2Processor` does, of tensors: pictures squashed to a square, boxes along with them, masks back again."""

    def __call__(
        self, images: Sequence[Any], input_boxes: Sequence[Any], input_data_format: str, return_tensors: str
    ) -> Mapping[str, Any]:
        assert (input_data_format, return_tensors) == ("channels_last", "pt")
        squares = [_resized(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255) for image in images]
        sizes = torch.tensor([image.shape[:2] for image in images])
        scale = SIDE / sizes.flip(1).repeat(1, 2)[:, None]
        return {
            "pixel_values": torch.cat(squares),
            "input_boxes": torch.tensor(input_boxes) * scale,
            "original_sizes": sizes,
        }

    def post_process_masks(self, masks: Any, original_sizes: Any, binarize: bool) -> list[Any]:
        assert not binarize
        return [_resized(mask, size) for mask, size in zip(masks, original_sizes, strict=True)]


def _resized(planes: Any, size: Sequence[int] = (SIDE, SIDE)) -> Any:
    return torch.nn.functional.interpolate(planes, tuple(size), mode="bilinear", align_corners=False)
