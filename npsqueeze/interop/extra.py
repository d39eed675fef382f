"""The packages of the extra `interop`, which npsqueeze does without until a file asks for one."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needs_extra(package: str) -> Iterator[None]:
    """Say, around the import of a package that is missing, how to install it."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f'{package} is not installed: pip install "npsqueeze[interop]"', name=package
        ) from error
