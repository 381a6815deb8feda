"""A file that is whole or not there: written beside its place, and moved there at the end.

And one whose bytes say no more than it does: the same weights, written again, are the same file.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import save
from torch import Tensor


@contextmanager
def moved_when_whole(path: Path) -> Iterator[Path]:
    """A place to write to. It becomes `path` at the end of the block; whoever stops before leaves what was there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        yield Path(name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def save_in_order(weights: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """What `safetensors.torch.save_file` writes, with the header in alphabetical order.

    There the metadata stand in an order that changes from one writing to the next, so that the same weights have
    another checksum each time.
    """
    whole = memoryview(save(weights, metadata))
    start = 8 + int.from_bytes(whole[:8], "little")  # the format: length of the header, header, data
    header = json.dumps(json.loads(bytes(whole[8:start])), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the data begin at a multiple of 8
    with open(path, "wb") as file:
        file.writelines([len(header).to_bytes(8, "little"), header, whole[start:]])
