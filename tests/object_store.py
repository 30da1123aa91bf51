"""A bucket of its own on a real S3 protocol, spoken by moto's server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import pytest
from moto.server import ThreadedMotoServer


@contextmanager
def served_bucket() -> Iterator[str]:
    """URL of an empty bucket, which this process and those it starts reach through their environment.

    What a server holds outlives it within a process, and s3fs remembers the address that it found first: hence a name
    that is never used again, and a cache that is emptied on both sides.
    """
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    s3 = fsspec.get_filesystem_class("s3")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3.clear_instance_cache()
        bucket = f"dataset-{uuid.uuid4().hex}"
        fsspec.filesystem("s3").mkdir(bucket)
        yield f"s3://{bucket}"
        s3.clear_instance_cache()
    server.stop()
