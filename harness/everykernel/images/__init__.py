"""The guest image: Debian packages to an initramfs, a kernel's modules to a cpio behind it, our code to one zip."""

from everykernel.images import bare
from everykernel.images.agent import agent_compiled, agent_digest, agent_packed, agent_sent, agent_zipapp
from everykernel.images.image import Image, build, place
from everykernel.images.modules import modules_cpio

__all__ = [
    "Image",
    "agent_compiled",
    "agent_digest",
    "agent_packed",
    "agent_sent",
    "agent_zipapp",
    "bare",
    "build",
    "modules_cpio",
    "place",
]
