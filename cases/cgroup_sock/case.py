"""A cgroup's programs see sockets come, be bound and go as their owner does; a port can be forbidden."""

import socket

SO_MARK = 36  # Linux include/uapi/asm-generic/socket.h


def check(obj):
    """Make, bind and close sockets."""
    values = obj.globals
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    made = (values["made"], values["also_made"])
    assert made == (3, 3), f"{made} sockets seen instead of 3"
    marks = [s.getsockopt(socket.SOL_SOCKET, SO_MARK) for s in sockets]
    assert marks == [0xE4] * 3, f"marks {marks}"
    sockets[0].bind(("127.0.0.1", 0))
    port = sockets[0].getsockname()[1]
    assert values["bound_port"] == port, f"port {values['bound_port']} instead of {port}"
    values["forbidden_port"] = 7777
    try:
        sockets[1].bind(("127.0.0.1", 7777))
    except PermissionError:
        pass
    else:
        raise AssertionError("the forbidden port was bound")
    sockets[2].bind(("127.0.0.1", 7778))
    for s in sockets:
        s.close()
    assert values["released"] == 3, f"{values['released']} sockets released instead of 3"
    return {"port": port}
