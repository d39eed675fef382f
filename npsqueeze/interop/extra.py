"""Packages that only the extra `interop` brings."""

from importlib.util import find_spec


def require(package: str) -> None:
    """Raise ModuleNotFoundError, with the cure, unless a package is there."""
    if find_spec(package) is None:
        raise ModuleNotFoundError(
            f'this needs the package {package}: pip install "npsqueeze[interop]"', name=package
        )
