"""Files of arrays with a text beside them: ``.npz`` and ``.safetensors``.

Neither holds pickles. In an ``.npz`` the text is a member of the zip archive, ``config.json``; in a
``.safetensors`` file it stands in the metadata.
"""

from __future__ import annotations

import errno
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]

_MEMBER = "config.json"


class Archive(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    arrays : dict of str to ndarray
        The arrays by name.
    text : str or None
        The text beside them.
    """

    arrays: Arrays
    text: str | None = None


def write(path: Path, archive: Archive, overwrite: bool = True) -> None:
    """Write a file, whole or not at all: beside it first, then in its place.

    Raises
    ------
    FileExistsError
        If it is there and may not be replaced.
    ImportError
        For ``.safetensors``, if that package is missing.
    OSError
        If it can't be written; a file that was there before is then as it was.
    """
    if not overwrite and path.exists():
        raise FileExistsError(f"{path}: exists; pass overwrite=True to replace it")
    write_to = _write_npz if path.suffix == ".npz" else _write_safetensors
    atomically(path, lambda aside: write_to(aside, archive))


def atomically(path: Path, write_to: Callable[[Path], None]) -> None:
    """Have a file written under a name of its own and, when it is whole, put it in its place."""
    if path.is_file():
        path = path.resolve()  # a link stays, what it leads to is replaced
    elif not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    # A name of its own: threads may save at once, and a killed process leaves its file behind.
    aside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        write_to(aside)
        with open(aside, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def read(path: Path) -> Archive:
    """Read a file.

    Raises
    ------
    ValueError
        If it is damaged or no such file.
    ImportError
        For ``.safetensors``, if that package is missing.
    OSError
        If it can't be read.
    """
    with open(path, "rb"):  # what the system says of a missing file is clearer than what readers do
        pass
    read_from = _read_npz if path.suffix == ".npz" else _read_safetensors
    try:
        return read_from(path)
    except ImportError:
        raise
    except Exception as error:  # a damaged file fails in a dozen ways
        reason = "no archive" if "allow_pickle" in str(error) else error  # NumPy's advice for those
        raise ValueError(f"{path}: not a whole file of weights ({reason})") from error


def checked_path(filepath: str | os.PathLike[str]) -> Path:
    """Return a path whose ending tells the kind of file.

    Raises
    ------
    TypeError
        If it is no path.
    ValueError
        If it ends neither in ``.npz`` nor in ``.safetensors``.
    """
    if not isinstance(filepath, str | os.PathLike):
        raise TypeError(f"filepath: expected a path, got {type(filepath).__name__}")
    path = Path(filepath)
    if path.suffix not in (".npz", ".safetensors"):
        foreign = path.suffix in (".keras", ".h5", ".hdf5")
        close = path.with_suffix(".npz") if foreign else f"{path}.npz"
        raise ValueError(
            f"filepath: expected a path that ends in .npz or .safetensors, such as {str(close)!r}, "
            f"got {str(path)!r}"
            + ("; fastgru's files are its own, it neither writes nor reads Keras'" * foreign)
        )
    return path


# ---- .npz ----------------------------------------------------------------------------------------


def _write_npz(path: Path, archive: Archive) -> None:
    with open(path, "w+b") as file:
        np.savez(file, **archive.arrays)  # type: ignore[arg-type]
        if archive.text is not None:
            with zipfile.ZipFile(file, "a") as members:
                members.writestr(_MEMBER, archive.text)


def _read_npz(path: Path) -> Archive:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as members:
        names = [name for name in members.files if name != _MEMBER]
        text = members[_MEMBER].decode() if _MEMBER in members.files else None
        return Archive({name: members[name] for name in names}, text)


# ---- .safetensors --------------------------------------------------------------------------------


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "files that end in .safetensors need the package safetensors: "
            "pip install 'fastgru[safetensors]'"
        ) from error
    return safetensors


def _write_safetensors(path: Path, archive: Archive) -> None:
    arrays = {name: np.asarray(array, order="C") for name, array in archive.arrays.items()}
    metadata = None if archive.text is None else {_MEMBER: archive.text}
    safetensors = _safetensors()
    try:
        safetensors.numpy.save_file(arrays, path, metadata)
    except safetensors.SafetensorError as error:  # a full disk, say
        raise OSError(f"{path}: {error}") from error


def _read_safetensors(path: Path) -> Archive:
    with _safetensors().safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        return Archive(arrays, (file.metadata() or {}).get(_MEMBER))
