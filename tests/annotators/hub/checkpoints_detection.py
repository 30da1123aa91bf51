"""Small detectors of the real architectures, with random weights that say something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CLASSES = {0: "N/A", 1: "person", 2: "traffic_light", 3: "Dog", 4: "dining table", 5: "cup"}


def build_rtdetr(folder: Path) -> Path:
    """RT-DETR v2 with a tiny ResNet, 64 px, 20 queries."""
    import torch
    from transformers import RTDetrImageProcessorPil, RTDetrResNetConfig, RTDetrV2Config, RTDetrV2ForObjectDetection

    torch.manual_seed(0)
    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = RTDetrV2Config(
        backbone_config=backbone, encoder_hidden_dim=32, encoder_in_channels=[16, 24, 32], encoder_layers=1,
        encoder_ffn_dim=32, encoder_attention_heads=2, d_model=32, num_queries=20, decoder_in_channels=[32, 32, 32],
        decoder_ffn_dim=32, decoder_layers=2, decoder_attention_heads=2, id2label=CLASSES,
        label2id={name: i for i, name in CLASSES.items()}, anchor_image_size=None,
    )  # fmt: skip
    model = RTDetrV2ForObjectDetection(config)
    _widen(model)
    return _saved(model, RTDetrImageProcessorPil(size={"height": 64, "width": 64}), folder)


def build_dfine(folder: Path) -> Path:
    """D-FINE with a tiny HGNet v2, 64 px, 20 queries."""
    import torch
    from transformers import DFineConfig, DFineForObjectDetection, HGNetV2Config, RTDetrImageProcessorPil

    torch.manual_seed(0)
    backbone = HGNetV2Config(
        embedding_size=8, depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32], stem_channels=[3, 8, 8],
        stage_in_channels=[8, 8, 16, 24], stage_mid_channels=[8, 8, 8, 8], stage_out_channels=[8, 16, 24, 32],
        stage_num_blocks=[1, 1, 1, 1], stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True], stage_kernel_size=[3, 3, 5, 5],
        stage_numb_of_layers=[1, 1, 1, 1], out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = DFineConfig(
        backbone_config=backbone, encoder_hidden_dim=32, encoder_in_channels=[16, 24, 32], encoder_layers=1,
        encoder_ffn_dim=32, encoder_attention_heads=2, d_model=32, num_queries=20, decoder_in_channels=[32, 32, 32],
        decoder_ffn_dim=32, decoder_layers=2, decoder_attention_heads=2, id2label=CLASSES,
        label2id={name: i for i, name in CLASSES.items()}, anchor_image_size=None,
    )  # fmt: skip
    model = DFineForObjectDetection(config)
    _spread(model, 0.05)
    _brighten(model)
    _widen(model)
    return _saved(model, RTDetrImageProcessorPil(size={"height": 64, "width": 64}), folder)


def build_deformable_detr(folder: Path) -> Path:
    """Deformable DETR, whose kin DINO is, with a tiny ResNet and images of their own proportions."""
    import torch
    from transformers import (
        DeformableDetrConfig,
        DeformableDetrForObjectDetection,
        DeformableDetrImageProcessorPil,
        ResNetConfig,
    )

    torch.manual_seed(0)
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = DeformableDetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone, d_model=32,
        encoder_layers=1, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, num_queries=20, num_feature_levels=3, id2label=CLASSES,
        label2id={name: i for i, name in CLASSES.items()},
    )  # fmt: skip
    model = DeformableDetrForObjectDetection(config)
    _spread(model, 0.05)
    _widen(model)
    return _saved(model, DeformableDetrImageProcessorPil(size={"shortest_edge": 48, "longest_edge": 96}), folder)


def build_detr(folder: Path) -> Path:
    """DETR with a tiny ResNet and images of their own proportions: 48 px on the shorter side, 20 queries."""
    import torch
    from transformers import DetrConfig, DetrForObjectDetection, DetrImageProcessorPil, ResNetConfig

    torch.manual_seed(0)
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    config = DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone, d_model=32,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, num_queries=20, id2label=CLASSES, label2id={name: i for i, name in CLASSES.items()},
    )  # fmt: skip
    model = DetrForObjectDetection(config)
    _widen(model)
    return _saved(model, DetrImageProcessorPil(size={"shortest_edge": 48, "longest_edge": 96}), folder)


def _widen(model: Any) -> None:
    """Class weights so wide that queries differ in what they see."""
    import torch

    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "class" in name and weights.dim() > 1:
                weights.mul_(8)


def _brighten(model: Any) -> None:
    """Convolutions that keep what they see as strong as it came: from their start, pictures drown in biases."""
    import torch

    for weights in model.parameters():
        if weights.dim() == 4:
            torch.nn.init.kaiming_normal_(weights)


def _spread(model: Any, by: float) -> None:
    """Move weights from their start, where every query answers every word alike, and a prior keeps scores low."""
    import torch

    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.add_(torch.randn_like(weights) * by)
            if "class_embed" in name and weights.dim() <= 1:
                weights.zero_()


def _saved(model: Any, processor: Any, folder: Path) -> Path:
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def build_grounding_dino(folder: Path) -> Path:
    """Grounding DINO with a tiny Swin and a tiny BERT, 20 queries."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    return _grounding(GroundingDinoConfig, GroundingDinoForObjectDetection, folder)


def build_mm_grounding_dino(folder: Path) -> Path:
    """The same as MM Grounding DINO."""
    from transformers import MMGroundingDinoConfig, MMGroundingDinoForObjectDetection

    return _grounding(MMGroundingDinoConfig, MMGroundingDinoForObjectDetection, folder)


def _grounding(config_class: Any, model_class: Any, folder: Path) -> Path:
    import torch
    from transformers import BertConfig, GroundingDinoImageProcessorPil, GroundingDinoProcessor, SwinConfig

    torch.manual_seed(0)
    words = bert_tokenizer()
    swin = SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2], window_size=4, image_size=64,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    bert = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    config = config_class(
        backbone_config=swin, text_config=bert, num_queries=20, encoder_layers=1, encoder_ffn_dim=32,
        encoder_attention_heads=2, decoder_layers=2, decoder_ffn_dim=32, decoder_attention_heads=2, d_model=64,
        max_text_len=64,
    )  # fmt: skip
    model = model_class(config)
    _spread(model, 0.05)
    pictures = GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 128})
    return _saved(model, GroundingDinoProcessor(pictures, words), folder)


def build_owlv2(folder: Path) -> Path:
    """OWLv2 with one layer each for picture and text: 64 px in patches of 8."""
    import torch
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessorPil, Owlv2Processor

    torch.manual_seed(0)
    words = clip_tokenizer()
    layers: dict[str, Any] = {
        "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    }  # fmt: skip
    config = Owlv2Config(
        text_config={
            **layers,
            "vocab_size": len(words),
            "max_position_embeddings": 16,
            "bos_token_id": words.bos_token_id,
            "eos_token_id": words.eos_token_id,
            "pad_token_id": words.pad_token_id,
        },
        vision_config={**layers, "image_size": 64, "patch_size": 8},
        projection_dim=32,
    )
    model = Owlv2ForObjectDetection(config)
    _spread(model, 0.02)
    pictures = Owlv2ImageProcessorPil(size={"height": 64, "width": 64})
    return _saved(model, Owlv2Processor(pictures, words), folder)


def bert_tokenizer() -> Any:
    """Letters and a few words, as word pieces."""
    from transformers import BertTokenizerFast

    letters = [chr(n) for n in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", ",", "cat", "dog", "ball", "red", "table"]
    pieces += [*letters, *(f"##{letter}" for letter in letters)]
    return BertTokenizerFast(vocab={piece: n for n, piece in enumerate(pieces)}, do_lower_case=True)


def clip_tokenizer() -> Any:
    """Letters alone, as CLIP's byte pairs; 16 tokens at most."""
    from transformers import CLIPTokenizerFast

    letters = [chr(n) for n in range(ord("a"), ord("z") + 1)]
    pieces = ["!", *letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizerFast(
        vocab={piece: n for n, piece in enumerate(pieces)}, merges=[], model_max_length=16, pad_token="!"
    )
