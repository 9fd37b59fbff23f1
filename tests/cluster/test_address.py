"""Addresses of schedulers: what is none, and what needs TLS."""

from __future__ import annotations

import importlib.util
import socket

import psutil
import pytest

from everykernel.cluster import address, serving
from everykernel.cluster.address import Address
from everykernel.errors import ToolMissing, UsageError


@pytest.mark.parametrize("text", ["tcp://10.0.0.1:8786", "tls://build.example:9000", "tcp://[fd00::1]:8786"])
def test_an_address_prints_as_it_was_given(text: str) -> None:
    """An address is read and printed the same."""
    assert str(address.parse(text)) == text


def test_a_port_may_be_left_out() -> None:
    """Without a port, distributed's own is meant."""
    assert address.parse("tcp://host") == Address("tcp", "host", 8786)


@pytest.mark.parametrize("text", ["host:8786", "http://host:8786", "tcp://", "tcp://h:99999", "tcp://u@h", "tcp://h/x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """Anything else is refused in a line that names the form."""
    with pytest.raises(UsageError) as caught:
        address.parse(text)
    assert str(caught.value).startswith("--cluster: ")
    assert address.FORM in str(caught.value)


@pytest.mark.parametrize(
    "text", ["tcp://127.0.0.1", "tcp://10.1.2.3", "tcp://[fe80::1]", "tls://8.8.8.8", "tcp://100.64.0.1"]
)
def test_networks_of_ones_own_need_no_tls(text: str) -> None:
    """Private addresses are taken as they are, public ones with TLS."""
    address.check(address.parse(text), "--cluster")


def test_a_public_address_without_tls_is_refused() -> None:
    """One line says what is wrong and what would do."""
    with pytest.raises(UsageError) as caught:
        address.check(address.parse("tcp://8.8.8.8"), "--cluster")
    assert str(caught.value) == (
        "--cluster: 8.8.8.8 is a public address, and without TLS whoever reaches it runs code here "
        "[tls://8.8.8.8:8786 (docs/cluster.md), or a private network]"
    )


def test_a_name_of_a_public_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a name means decides, any of its addresses."""
    rows = [(0, 0, 0, "", ("10.0.0.1", 0)), (0, 0, 0, "", ("2600::1", 0, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    with pytest.raises(UsageError, match="2600::1 is a public address"):
        address.check(address.parse("tcp://both.example"), "--cluster")


def test_a_worker_or_scheduler_does_not_listen_to_the_internet_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither listens at a public address, nor at all addresses of a host that has one; with TLS both do."""
    row = type("Row", (), {"address": "198.41.0.4", "family": socket.AF_INET})
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth0": [row]})
    for host in ("198.41.0.4", "0.0.0.0"):
        with pytest.raises(UsageError, match=r"198\.41\.0\.4.*TLS"):
            serving.scheduler(host, 0, tls=False, tell=print)
        with pytest.raises(UsageError, match=r"198\.41\.0\.4.*TLS"):
            serving.worker(Address("tcp", "127.0.0.1", 1), slots=1, host=host, name="", tell=print)
        serving._check_listening(Address("tls", host, 0))


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without distributed, the line says how to get it."""
    monkeypatch.setattr(address, "find_spec", lambda name: None)
    with pytest.raises(ToolMissing) as caught:
        address.require()
    assert str(caught.value) == "--cluster: needs Dask's distributed [pip install 'everykernel[cluster]']"
    assert importlib.util.find_spec("distributed") is not None
