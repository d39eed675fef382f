"""Provisional."""


def check(name, function):
    """Say nothing yet."""
    print(f"{name}: (the check is being written)")
    return False


def hint(name):
    """Say nothing yet."""
    print(f"{name}: (hints are being written)")
