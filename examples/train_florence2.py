"""Train a Florence-2 on an export: python examples/train_florence2.py export --save checkpoint.pt

It needs torch, transformers, webdataset and the export's own `reader.py`, and nothing of the engine. Without `--base`,
a hub id or folder of a native Florence-2, it starts from a small one of its own that learns on a processor. Run again
with the same `--save`, it goes on where it was, with the next sample. On several processes:

    torchrun --nproc-per-node 2 examples/train_florence2.py export --save checkpoint.pt
"""

import argparse
import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import webdataset as wds
from transformers import (
    BartTokenizerFast,
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

SIDE, MAX_TOKENS = 96, 512
SPECIAL = ["<od>", "</od>", "<ocr>", "</ocr>", *(f"<loc_{n}>" for n in range(1000)), "<cap>", "</cap>", "<ncap>"]
SPECIAL += ["</ncap>", "<dcap>", "</dcap>", "<grounding>", "</grounding>", "<seg>", "</seg>", "<sep>", "<region_cap>"]
SPECIAL += ["</region_cap>", "<region_to_desciption>", "</region_to_desciption>", "<proposal>", "</proposal>"]
SPECIAL += ["<poly>", "</poly>", "<and>"]
ANSWERS = ["ocr", "phrase_grounding", "pure_text", "description_with_bboxes", "description_with_polygons", "polygons"]
ANSWERS += ["bboxes", "description_with_bboxes_or_polygons"]


def small_florence2():
    """A model of half a million weights whose words are spelled byte by byte, and its processor."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *bytes_to_unicode().values()]
    vocab = {token: n for n, token in enumerate(tokens)}
    tokenizer = BartTokenizerFast(vocab=vocab, merges=[], extra_special_tokens={"image_token": "<image>"})
    tokenizer.add_tokens(SPECIAL, special_tokens=True)
    pictures = CLIPImageProcessorPil(size={"height": SIDE, "width": SIDE}, do_center_crop=False)
    pictures.image_seq_length = 10
    processor = Florence2Processor(pictures, tokenizer, post_processor_config={kind: {} for kind in ANSWERS})
    vision = {
        "embed_dim": [16, 32, 64, 64], "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 2], "num_groups": [1, 2, 2, 2],
        "patch_stride": [4, 2, 2, 2], "window_size": 3, "projection_dim": 64,
    }  # fmt: skip
    words = {
        "vocab_size": len(tokenizer), "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 128,
        "decoder_ffn_dim": 128, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "dropout": 0.0,
        "max_position_embeddings": 1024, "decoder_start_token_id": 2, "forced_eos_token_id": None,
    }  # fmt: skip
    config = Florence2Config(vision_config=vision, text_config=words, image_token_id=tokenizer.image_token_id)
    return Florence2ForConditionalGeneration(config), processor


def pairs(reader, export, args, processor, part, parts, state):
    """Training pairs of up to `MAX_TOKENS`, without end, each with its key and the state after it: epoch, position."""
    epoch, position = state[0], reader.Position(*state[1])
    while True:
        given = position > (0, 0)  # of an epoch that is resumed, little may be left
        for sample, after in export.epoch(epoch=epoch, seed=args.seed, part=part, parts=parts, position=position):
            pair = reader.choose(sample, args.tasks, seed=args.seed, epoch=epoch)
            if pair is not None and len(processor.tokenizer(pair.target)["input_ids"]) <= MAX_TOKENS:
                given = True
                yield pair, sample.key, (epoch, tuple(after))
        if not given:
            what = f"no sample with a target of --tasks {args.tasks or 'any'}"
            sys.exit(f"{MAX_TOKENS=}: part {part} of {parts} has {what}")
        epoch, position = epoch + 1, reader.Position()


def batches(stream, processor, size):
    """Tensors of `size` pairs, their keys, and the state after the last."""
    decode, chosen = wds.imagehandler("rgb8"), []
    for pair, key, state in stream:
        chosen.append((pair, key))
        if len(chosen) == size:
            images, prompts = [decode("x.jpg", p.image) for p, _ in chosen], [p.prompt for p, _ in chosen]
            inputs = processor(
                images=images, text=prompts, padding=True, input_data_format="channels_last", return_tensors="pt"
            )
            said = processor.tokenizer([p.target for p, _ in chosen], padding=True, return_tensors="pt")
            inputs["labels"] = said["input_ids"].masked_fill(said["attention_mask"] == 0, -100)
            yield inputs, [key for _, key in chosen], state
            chosen = []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export")
    parser.add_argument("--save", default="checkpoint.pt", help="checkpoint, to go on from where it is there")
    parser.add_argument("--base", default="", help="hub id or folder of a native Florence-2")
    parser.add_argument("--steps", type=int, default=300, help="in all, those before a resume included")
    for name, kind, value in (("save-every", int, 50), ("batch", int, 8), ("lr", float, 3e-3), ("seed", int, 0)):
        parser.add_argument(f"--{name}", type=kind, default=value)
    parser.add_argument("--tasks", type=json.loads, help='weights, such as {"<OD>": 2, "<CAPTION>": 1}')
    parser.add_argument("--keys", default="", help="append what each step saw to this file, one line of JSON a step")
    args = parser.parse_args()
    sys.path.insert(0, args.export)
    import reader

    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    torch.manual_seed(args.seed)
    device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu")
    if world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    kinds = (Florence2ForConditionalGeneration, Florence2Processor)
    model, processor = [kind.from_pretrained(args.base) for kind in kinds] if args.base else small_florence2()
    optimizer = torch.optim.AdamW(model.to(device).train().parameters(), lr=args.lr)
    start, losses, states = 0, [], [(0, (0, 0))] * world
    if Path(args.save).exists():
        kept = torch.load(args.save, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        start, losses, states = kept["step"], kept["losses"], kept["states"]
    trained = torch.nn.parallel.DistributedDataParallel(model) if world > 1 else model
    stream = pairs(reader, reader.open_export(args.export, "train"), args, processor, rank, world, states[rank])
    given = batches(stream, processor, args.batch)
    for step in range(start, args.steps):
        inputs, keys, state = next(given)
        torch.manual_seed(args.seed + step * world + rank)  # dropped paths of a resumed run are those of a whole one
        loss = trained(**inputs.to(device)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if args.keys:
            with open(args.keys, "a") as file:
                file.write(json.dumps({"step": step, "rank": rank, "epoch": state[0], "keys": keys}) + "\n")
        if (step + 1) % args.save_every == 0 or step + 1 == args.steps:
            states = [state] * world
            if world > 1:
                dist.all_gather_object(states, state)
            if rank == 0:
                whole = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
                torch.save({**whole, "losses": losses, "states": states}, f"{args.save}.tmp")
                os.replace(f"{args.save}.tmp", args.save)
                print(f"step {step + 1}: loss {sum(losses[-20:]) / len(losses[-20:]):.3f}", flush=True)
    if world > 1:
        del trained  # the last to hold the group would wait for its threads, and they for Python's lock
        dist.barrier()  # all leave together: the first process may be saving still
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
