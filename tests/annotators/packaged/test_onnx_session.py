"""A broken model file is one clear error, not a traceback of onnxruntime."""

from __future__ import annotations

from pathlib import Path

import pytest

from fld_engine.annotators.packaged.onnx_session import open_session
from fld_engine.schemas.errors import ModelError


@pytest.mark.parametrize("content", [b"", b"<html>proxy error</html>", b"\x08\x08truncated"])
def test_a_broken_file_names_itself_and_the_cure(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.onnx .*delete it and run `fld models pull`"):
        open_session(path)


def test_an_absent_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="absent"):
        open_session(tmp_path / "absent.onnx")
