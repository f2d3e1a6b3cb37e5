"""Addresses and sockets of the agent."""

import socket

import pytest

from trimtab import errors
from trimtab.agent.listeners import open_admin, open_listener, parse_address


def test_a_free_port_is_taken_and_named_in_the_url() -> None:
    listener = open_listener("127.0.0.1:0", "inference")
    with listener.socket:
        port = listener.socket.getsockname()[1]
        assert listener.url == f"http://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_a_taken_port_is_an_error_with_a_hint() -> None:
    first = open_listener("127.0.0.1:0", "inference")
    with first.socket, pytest.raises(errors.Unavailable) as caught:
        open_listener(first.url.removeprefix("http://"), "inference")
    assert caught.value.code == errors.PORT_IN_USE
    assert "TRIMTAB_SERVER_INFERENCE" in caught.value.hint


def test_an_address_that_is_not_here_is_refused_with_its_reason() -> None:
    with pytest.raises(errors.Unavailable) as caught:
        open_listener("192.0.2.1:0", "inference")
    assert "the system refuses it" in caught.value.message


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:8090", "example.org:8090", "[::]:0"])
def test_the_admin_listener_does_not_leave_the_machine(address: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        open_admin(address)
    assert caught.value.code == errors.UNSAFE_BIND


def test_the_admin_listener_may_be_named_localhost() -> None:
    with open_admin("localhost:0").socket:
        pass


@pytest.mark.parametrize(
    "text", ["8080", "localhost", ":8080", "host:port", "h:70000", "h:²", "h:" + "1" * 5000, ""]
)
def test_an_address_is_host_and_port(text: str) -> None:
    with pytest.raises(errors.Usage) as caught:
        parse_address(text, "inference")
    assert caught.value.code == errors.BAD_VALUE


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    assert parse_address("[::1]:80", "admin") == ("::1", 80)
