"""An S3 file system whose changes are moments of the chaos table; imported in drivers and workers alone."""

from __future__ import annotations

import os
from typing import Any

from s3fs import S3FileSystem
from sitecustomize import count

CHANGES = {"put_object", "copy_object", "delete_object", "delete_objects", "complete_multipart_upload"}


class CountedS3(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
    """Counts each request that changes what is under the root, before it is made."""

    async def _call_s3(self, method: str, *given: Any, **named: Any) -> Any:
        bucket, _, prefix = os.environ["CHAOS_ROOT"].removeprefix("s3://").partition("/")
        asked = {**{key: value for one in given if isinstance(one, dict) for key, value in one.items()}, **named}
        keys = [asked.get("Key", ""), *(one["Key"] for one in asked.get("Delete", {}).get("Objects", ()))]
        inside = asked.get("Bucket") == bucket and any(key.startswith(f"{prefix}/") for key in keys)
        if method in CHANGES and inside and not any(key.startswith(f"{prefix}/lease.") for key in keys):
            count(os.environ["CHAOS_COUNTED_AS"])
        return await super()._call_s3(method, *given, **named)
