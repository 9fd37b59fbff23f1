"""A connection to a port at which nobody listens reaches the socket that the program assigned."""

import socket


def check(obj):
    """Connect to two ports with the program and to one without."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        obj.maps["sockets"].update(0, server.fileno())
        for port in (7100, 7155):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                peer, address = server.accept()
                with peer:
                    assert address == client.getsockname()
                    assert peer.getsockname() == ("127.0.0.1", port), f"accepted at {peer.getsockname()}"
            assert obj.globals["looked_up"] == port
        assert obj.globals["ek_hits"] == 2, f"{obj.globals['ek_hits']} lookups"
        obj.detach()
        try:
            socket.create_connection(("127.0.0.1", 7100), timeout=5).close()
        except ConnectionRefusedError:
            pass
        else:
            raise AssertionError("somebody listens at port 7100")
    return {"ports": [7100, 7155]}
