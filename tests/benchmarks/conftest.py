"""Benchmarks run when they are asked for, with pytest-benchmark's option `--benchmark-only`."""


def pytest_ignore_collect(config):
    return None if config.getoption("benchmark_only", default=False) else True
