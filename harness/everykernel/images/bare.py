"""The image of a guest without Python: the static program as its first process, and the folders that it mounts on.

What else such a guest needs, its host asks for from afar. A kernel's own part is that of `images.modules`, as always.
"""

from __future__ import annotations

import hashlib

from everykernel import cache
from everykernel.architectures import Architecture
from everykernel.images import cpio
from everykernel.images.image import Image
from everykernel.remote import program

_FOLDERS = ("boot", "dev", "etc", "everykernel", "proc", "root", "run", "sys", "tmp", "var")


def build(arch: Architecture) -> Image:
    """Return the image for an architecture; raise ToolMissing where its program cannot be built."""
    data = cpio.archive(
        [
            cpio.file("init", program.build(arch).read_bytes(), executable=True),
            *(cpio.folder(path) for path in _FOLDERS),
            cpio.character_device("dev/console", 5, 1),
        ]
    )
    digest = hashlib.sha256(data).hexdigest()
    path = cache.entry("images", f"bare-{arch.name}-{digest[:16]}.cpio")
    cache.hold(path)
    if path.exists():
        cache.touch(path)
    else:
        cache.write(path, data)
    return Image(path, digest, ())
