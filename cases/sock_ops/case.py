"""The ports that both ends of a connection show to the program are those that their owners know."""

import socket


def check(obj):
    """Connect a socket to another."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        peer.close()
        local, remote = client.getsockname()[1], server.getsockname()[1]
    values = obj.globals
    seen = [values[name] for name in ("client_local", "client_remote", "server_local", "server_remote")]
    assert seen == [local, remote, remote, local], f"ports {seen} instead of {local} and {remote}"
    assert values["ek_hits"] == 2, f"{values['ek_hits']} ends seen"
    return {"ports": seen}
