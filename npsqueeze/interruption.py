"""Ctrl-C as a request, which a loop heeds where nothing is half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_request() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event, so that no step is cut in two; a second one breaks."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return
    previous = signal.getsignal(signal.SIGINT)

    def request(number: int, frame: Any) -> None:
        stop.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)
