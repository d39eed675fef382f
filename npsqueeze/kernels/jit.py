"""How every kernel is compiled and cached: the one place that decides it.

`kernel` is Numba's `njit` with our flags and our cache. Compiled code lies in a folder of its own,
named after a hash of the whole source of `kernels/`, of Numba's version and of the CPU: an edited
kernel, a new Numba or another machine means another folder, never stale code. (Numba's own cache
looks at the file of the outermost function only.) Numba's settings stay as the user left them.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache, _CacheLocator

from npsqueeze.kernels.threads import guarded

prange = numba.prange
"""A loop whose iterations the cores share; an ordinary `range` when compilation is off."""


def kernel(
    parallel: bool = False, makes_arrays: bool = False
) -> Callable[[Callable[..., Any]], Any]:
    """Compile the decorated function at its first call, and keep the machine code on disk.

    `error_model="numpy"` drops Python's check for division by zero, which keeps loops from being
    vectorised. `fastmath={"contract"}` lets a*b + c become one fused instruction; the full fastmath
    would assume that there is no NaN and reorder sums. Kernels that are not parallel are parts of
    those that are, and are compiled into them (`forceinline`): handing over a few arrays, of seven
    or more numbers each, takes as long as a small tile. Nor does such a part count the references
    to its arrays (`_nrt`), which takes three times as long as a small tile; one that `makes_arrays`
    itself has to. `threads` says who runs the kernels.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        compiled = numba.njit(
            parallel=parallel,
            forceinline=not parallel,
            _nrt=parallel or makes_arrays,
            error_model="numpy",
            fastmath={"contract"},
        )(function)
        if numba.config.DISABLE_JIT:
            return compiled
        compiled._cache = KernelCache(function)
        return guarded(compiled) if parallel else compiled

    return decorate


_listeners: list[Callable[[str], None]] = []


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Call `listener` with the name of each kernel that is not in the cache, before it compiles."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@cache
def cache_folder() -> Path | None:
    """Return the folder of the compiled kernels; None where no private one can be written.

    Code is loaded from it, so it must be the user's own and closed to all others (mode 0700).
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "npsqueeze" / f"kernels-{_fingerprint()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        status = folder.stat()
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return None
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        return None
    is_private = os.name == "nt" or stat.S_IMODE(status.st_mode) == 0o700
    return folder if is_private and os.access(folder, os.W_OK) else None


def is_compiled() -> bool:
    """Tell whether an earlier start has left compiled kernels in the cache."""
    folder = cache_folder()
    return folder is not None and any(folder.glob("*.nbi"))


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    cpu = llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten()
    digest.update(repr((numba.__version__, llvmlite.__version__, cpu)).encode())
    return digest.hexdigest()[:16]


class _Locator(_CacheLocator):
    """Tells Numba's cache files where to lie; freshness is the folder's name."""

    def __init__(self, folder: Path, function: Callable[..., Any]) -> None:
        self.folder, self.line = folder, function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(self.folder)

    def get_source_stamp(self) -> str:
        return self.folder.name

    def get_disambiguator(self) -> str:
        return str(self.line)


class _Files(FunctionCache):
    """Numba's cache files for one function, in our folder whatever Numba's settings say."""

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        class Implementation(CompileResultCacheImpl):
            def __init__(self, function: Callable[..., Any]) -> None:
                self._lineno = function.__code__.co_firstlineno
                self._locator = _Locator(folder, function)
                name = f"{function.__module__}.{function.__qualname__}"
                self._filename_base = self.get_filename_base(name, "")

        self._impl_class = Implementation
        super().__init__(function)


class KernelCache(NullCache):
    """The cache of one kernel: looked for at the first call, silent on a damaged or full disk."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    @cached_property
    def files(self) -> _Files | None:
        """The files of this kernel; None where there is no private folder for them."""
        folder = cache_folder()
        return None if folder is None else _Files(self.function, folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled code for a signature, or None: then it is compiled again."""
        found = self._find(sig, target_context)
        if found is None:
            for listener in _listeners:
                listener(self.function.__name__)
        return found

    def _find(self, sig: Any, target_context: Any) -> Any:
        if self.files is None:
            return None
        try:
            found = self.files.load_overload(sig, target_context)
        except Exception:  # whatever a damaged file raises, compiling afresh is the cure
            with suppress(OSError):
                self.files.flush()
            return None
        # Two processes that save at once can give one file name to two signatures.
        return found if found and found.signature.args == sig else None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code for a signature, where the disk lets us."""
        if self.files is not None:
            with suppress(Exception):  # a kernel that cannot be kept still runs
                self.files.save_overload(sig, data)
