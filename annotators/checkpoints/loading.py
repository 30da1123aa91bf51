"""A checkpoint loaded for a role: architecture checked, weights whole, on its device and in its precision."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fld_engine.annotators.checkpoints.params import DeviceName, HubParams
from fld_engine.annotators.checkpoints.passes import Inputs, Passes, is_out_of_memory
from fld_engine.engine.data.images import RGB
from fld_engine.schemas.errors import ModelError

if TYPE_CHECKING:
    import torch

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""What `transformers` raises for files that are missing, no JSON, or JSON of another shape."""


class Loaded:
    """A model in evaluation mode with its processor. Forward passes run inside `inference()`."""

    def __init__(self, model: Any, processor: Any, params: HubParams, device: torch.device) -> None:
        self.model, self.processor, self.device = model, processor, device
        self.dtype: torch.dtype = model.dtype
        if device.type == "cpu":
            _cast_into_layer_norms(model)
        self.passes = Passes(params.items_per_pass, to_host=self._to_host, to_device=self._to_device)

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Without gradients, and with autocast where the precision is below float32."""
        import torch

        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.dtype != torch.float32:
                stack.enter_context(torch.autocast(self.device.type, self.dtype))
            yield

    @property
    def image_processor(self) -> Any:
        """That of the processor, which may be one itself."""
        return getattr(self.processor, "image_processor", self.processor)

    @property
    def tokenizer(self) -> Any:
        """That of the processor, which may be one itself."""
        return getattr(self.processor, "tokenizer", self.processor)

    def pixels(self, images: Sequence[RGB]) -> dict[str, Any]:
        """Inputs of the model that hold the pixels of images, (height, width, 3) each, in order."""
        arrays = list(images)  # their layout is stated, as a picture 3 px high could be taken for three channels
        return dict(self.image_processor(images=arrays, input_data_format="channels_last", return_tensors="pt"))

    def size_bucket(self, image_wh: tuple[int, int]) -> Hashable:
        """Equal for images that go through the network in one size: all, where the image processor has a fixed one."""
        is_cropped = getattr(self.image_processor, "do_center_crop", False)
        is_fixed = {"height", "width"} <= set(dict(self.image_processor.size)) or is_cropped
        return None if is_fixed else image_wh

    def forward(self, inputs: Inputs, method: str = "__call__") -> Any:
        """What the model says of `inputs`, which are on the device; its tensors as float32, whatever it computed in."""
        import torch

        with self.inference():
            output = getattr(self.model, method)(**inputs)
        for name, value in output.items():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                output[name] = value.float()
        return output

    def _to_host(self, inputs: Inputs) -> Inputs:
        """Pixels in the model's precision, coordinates in their own; for a cuda device, in pinned memory."""
        import torch

        def ready(name: str, tensor: torch.Tensor) -> torch.Tensor:
            tensor = tensor.to(self.dtype) if name.startswith("pixel_values") else tensor
            return tensor.pin_memory() if self.device.type == "cuda" else tensor

        return {name: ready(name, v) if isinstance(v, torch.Tensor) else v for name, v in inputs.items()}

    def _to_device(self, inputs: Inputs) -> Inputs:
        """Copies from pinned memory, which nothing waits for before the device needs them."""
        import torch

        return {
            name: v.to(self.device, non_blocking=True) if isinstance(v, torch.Tensor) else v
            for name, v in inputs.items()
        }


def load(
    params: HubParams, *, role: str, auto_model: str, auto_processor: str = "AutoProcessor", kinds: Collection[str] = ()
) -> Loaded:
    """Open a checkpoint with classes of `transformers` named by `auto_model` and `auto_processor`.

    `role` is what the adapter needs it for, as in "object detection"; `kinds` narrows the model types that fit, by
    default all that `auto_model` knows. Raises `ModelError` for a checkpoint that is not there, of another kind, with
    missing or corrupt weights, or too large for the device.
    """
    import torch
    import transformers

    folder = params.source.folder()
    device = choose_device(params.device)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    auto = getattr(transformers, auto_model)
    fitting = set(kinds) or {config.model_type for config in auto._model_mapping}
    _check_kind(folder, params, role, fitting)
    try:
        model = _load_weights(auto, folder, params, role).to(device).eval()
    except (OSError, ValueError, RuntimeError, MemoryError, _safetensor_error()) as error:
        if is_out_of_memory(error):
            raise ModelError(
                f"checkpoint {params.checkpoint} does not fit into the memory of {device} as {params.dtype}: "
                "choose a smaller one, dtype bfloat16, or a larger device"
            ) from error
        raise ModelError(f"checkpoint {params.checkpoint} cannot be loaded from {folder}: {error}") from error
    return Loaded(model, load_processor(folder, params, auto_processor), params, device)


def _load_weights(auto: Any, folder: Path, params: HubParams, role: str) -> Any:
    """The model with all of its weights; none of them is made up."""
    import torch

    model, report = auto.from_pretrained(
        folder,
        dtype=getattr(torch, params.dtype),
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=params.trust_remote_code,
        output_loading_info=True,
    )
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"checkpoint {params.checkpoint} lacks {len(missing)} weights that {role} needs, {missing[0]} among "
            "them: it was made for something else"
        )
    return model


def _cast_into_layer_norms(model: Any) -> None:
    """Autocast of a processor, unlike that of a GPU, leaves them alone, and they refuse a sum that came as float32."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.register_forward_pre_hook(lambda norm, given: (given[0].to(norm.weight.dtype), *given[1:]))


def load_processor(folder: Path, params: HubParams, auto_processor: str) -> Any:
    """The processor, image processor or tokenizer that comes with a checkpoint."""
    import transformers

    try:
        return getattr(transformers, auto_processor).from_pretrained(
            folder, local_files_only=True, trust_remote_code=params.trust_remote_code
        )
    except Exception as error:  # what `tokenizers` raises for a file of another version is an `Exception`, no more
        raise ModelError(f"checkpoint {params.checkpoint} has no processor that loads here: {error!r}") from error


def choose_device(name: DeviceName) -> torch.device:
    """Raises `ModelError` for a device that this machine does not have."""
    import torch

    is_here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    here = [kind for kind, there in is_here.items() if there]  # in order of speed
    if name not in ("auto", *here):
        raise ModelError(f"device {name!r} is not on this machine; available: {', '.join(here)}")
    return torch.device(here[0] if name == "auto" else name)


def _check_kind(folder: Path, params: HubParams, role: str, fitting: Collection[str]) -> None:
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=params.trust_remote_code)
    except UNREADABLE as error:
        raise ModelError(f"checkpoint {params.checkpoint} has no config that transformers can read: {error}") from error
    if config.model_type not in fitting and not params.trust_remote_code:
        raise ModelError(
            f"checkpoint {params.checkpoint} is of kind {config.model_type!r}, which does not do {role}; "
            f"expected one of: {', '.join(sorted(fitting))}"
        )


def _safetensor_error() -> type[Exception]:
    from safetensors import SafetensorError

    return SafetensorError
