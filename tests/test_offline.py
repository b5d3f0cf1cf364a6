"""Code of others is kept from the network, whoever else is at the same time, and gets it back."""

import socket
import threading

import pytest

from bench.offline import Reached, without_network


def test_whoever_looks_up_a_server_is_stopped_and_later_is_not():
    before = socket.getaddrinfo
    with pytest.raises(Reached, match="weights"), without_network():
        socket.create_connection(("weights.invalid", 443))
    assert socket.getaddrinfo is before


def test_threads_that_overlap_leave_the_network_as_it_was():
    before, entered, leave = socket.getaddrinfo, threading.Event(), threading.Event()

    def other():
        with without_network():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with without_network():
        thread.start()
        entered.wait(10)
    with pytest.raises(Reached):
        socket.getaddrinfo("weights.invalid", 443)
    leave.set()
    thread.join()
    assert socket.getaddrinfo is before
