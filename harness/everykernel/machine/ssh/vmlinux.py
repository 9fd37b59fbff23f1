"""A target's BTF, read from its kernel by a program of its own.

Some 5 MB, which sysfs gives a page at a time, whatever is asked for (Linux fs/kernfs/file.c: kernfs_file_read_iter): by
SFTP each of a thousand pages is an exchange, and what ``cat`` writes is a stream.
"""

from __future__ import annotations

from everykernel.errors import GuestLost
from everykernel.machine.ssh.connection import BROKEN, Connection

_COMMAND = "cat /sys/kernel/btf/vmlinux"
_LARGEST = 64 << 20  # bytes


def read(connection: Connection, patience: float, where: str) -> bytes:
    """Return the BTF of a target's kernel; ``patience`` is in seconds, without a byte of it.

    Raises GuestLost where it does not come whole, or has no end.
    """
    out = bytearray()
    try:
        with connection.transport.open_session(timeout=patience) as channel:
            channel.settimeout(patience)
            channel.exec_command(_COMMAND)
            while data := channel.recv(1 << 18):
                out += data
                if len(out) > _LARGEST:
                    raise GuestLost(f"its BTF has more than {_LARGEST >> 20} MiB", where=where)
            channel.status_event.wait(patience)
            code = channel.exit_status
    except BROKEN as e:
        raise GuestLost(f"the connection was cut while its BTF was read: {str(e) or 'no answer'}", where=where) from e
    if code < 0:  # a stream that ends without a word is none that ended well
        raise GuestLost("the connection was cut while its BTF was read", where=where)
    if code:
        raise GuestLost(f"its BTF cannot be read: '{_COMMAND}' ended with exit code {code}", where=where)
    return bytes(out)
