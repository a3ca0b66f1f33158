"""Twelve ways in which people and programs replace a file."""

import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Callable

# Long enough that a gateway that reads at once reads half of it.
PAUSE = 0.03


def in_place(file: pathlib.Path, text: str) -> None:
    with file.open("r+") as written:
        written.write(text)
        written.truncate()


def truncated(file: pathlib.Path, text: str) -> None:
    with file.open("w") as written:
        written.flush()
        time.sleep(PAUSE)
        written.write(text)


def in_pieces(file: pathlib.Path, text: str) -> None:
    third = len(text) // 3
    with file.open("w") as written:
        for piece in (text[:third], text[third : 2 * third], text[2 * third :]):
            written.write(piece)
            written.flush()
            time.sleep(PAUSE)


def line_by_line(file: pathlib.Path, text: str) -> None:
    with file.open("w", buffering=1) as written:
        for line in text.splitlines(keepends=True):
            written.write(line)
            time.sleep(PAUSE / 10)


def renamed(file: pathlib.Path, text: str) -> None:
    new = file.with_name("new")
    new.write_text(text)
    new.rename(file)


def with_backup(file: pathlib.Path, text: str) -> None:
    file.rename(file.with_name("gateway.yaml~"))
    time.sleep(PAUSE)
    file.write_text(text)


def removed(file: pathlib.Path, text: str) -> None:
    file.unlink()
    time.sleep(PAUSE)
    file.write_text(text)


def copied(file: pathlib.Path, text: str) -> None:
    new = file.with_name("new")
    new.write_text(text)
    shutil.copyfile(new, file)


def linked(file: pathlib.Path, text: str) -> None:
    new, old = file.with_name("linked"), file.with_name("hard")
    new.write_text(text)
    old.unlink(missing_ok=True)
    os.link(new, old)
    old.rename(file)
    new.unlink()


def by_sed(file: pathlib.Path, text: str) -> None:
    new = file.with_name("wanted")
    new.write_text(text)
    subprocess.run(["sed", "-i", "-e", f"1r {new}", "-e", "d", file], check=True)


def link_swapped(file: pathlib.Path, text: str) -> None:
    target = file.with_name(f"version-{time.monotonic_ns()}.yaml")
    target.write_text(text)
    link = file.with_name("link")
    link.symlink_to(target.name)
    link.rename(file)
    prune(file.parent, "version-*")


def by_kubernetes(file: pathlib.Path, text: str) -> None:
    # The mounted file links into `..data`, which links to the folder of a version (Kubernetes' atomic writer).
    folder = file.with_name(f"..version-{time.monotonic_ns()}")
    folder.mkdir()
    (folder / file.name).write_text(text)
    link = file.with_name("..data_tmp")
    link.symlink_to(folder.name)
    link.rename(file.with_name("..data"))
    if not file.is_symlink():
        file.unlink()
        file.symlink_to(f"..data/{file.name}")
    prune(file.parent, "..version-*")


def prune(folder: pathlib.Path, pattern: str) -> None:
    for old in sorted(folder.glob(pattern))[:-1]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()


WAYS: tuple[Callable[[pathlib.Path, str], None], ...] = (
    in_place, truncated, in_pieces, line_by_line, renamed, with_backup,
    removed, copied, linked, by_sed, link_swapped, by_kubernetes,
)  # fmt: skip
