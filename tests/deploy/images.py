"""Stages of a Dockerfile built by hand where no Docker daemon runs: in a chroot, each an overlay on a bare Debian.

Every RUN is run as it is written, every COPY copies, and ENV, ARG, WORKDIR and USER hold as Docker has them. Needs
root, debootstrap and overlays. What Docker's base image has beyond a bare Debian with Python's venv and pip is absent.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LENT_VARIABLES = re.compile(r"proxy|CERT|_CA_|^PIP_|^npm_config_", re.IGNORECASE)
"""How this machine reaches package registries is the machine's, as it is where a daemon builds."""


class Unbuildable(Exception):
    """This machine cannot build: says what is missing."""


@dataclass
class Stage:
    """Layers of files, the lowest last, and what a command in it sees."""

    layers: list[Path]
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0"

    def run(
        self, command: list[str], *, check: bool = True, mounted: Sequence[Path] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """What a command in this stage says; what it writes stays in the topmost layer, but for `mounted` folders."""
        work, root = self.layers[0].with_suffix(".work"), self.layers[0].with_suffix(".root")
        for path in (work, root):
            path.mkdir(exist_ok=True)
        lower = ":".join(map(str, self.layers[1:]))
        lent = "".join(
            f"mkdir -p {root}{path} && mount --bind {path} {root}{path} && mount -o remount,bind,ro {root}{path}\n"
            for path in [*_lent_folders(), *mounted]
        )
        script = (
            f"set -e\nmount -t overlay overlay -o lowerdir={lower},upperdir={self.layers[0]},workdir={work} {root}\n"
            f"mount --rbind /proc {root}/proc\nmount --rbind /dev {root}/dev\nmount -t tmpfs tmpfs {root}/dev/shm\n"
            f"cp -L /etc/resolv.conf /etc/hosts {root}/etc/\n{lent}"
            f'exec chroot --userspec={self.user} {root} /bin/sh -c \'mkdir -p "$0" && cd "$0" && exec "$@"\' '
            f"{shlex.join([self.folder, *command])}"
        )
        environment = {**_lent_variables(), "HOME": "/root" if self.user == "0" else "/home/fld", **self.environment}
        return subprocess.run(
            ["unshare", "--mount", "bash", "-c", script],
            env={**environment, **self.arguments, **variables},
            capture_output=True,
            text=True,
            check=check,
        )


def build(dockerfile: Path, context: Path, folder: Path, targets: list[str], **arguments: str) -> dict[str, Stage]:
    """Targets by name, with the stages that they need. Raises `AssertionError` with what a failed step said."""
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise Unbuildable("needs root and debootstrap: apt-get install debootstrap")
    blocks = _stages(dockerfile.read_text())
    given = dict(_argument(value, arguments) for word, value in blocks.pop("") if word == "ARG")
    debian = _bare_debian(folder / "debian")
    (folder / "probe").mkdir()
    mounted = Stage([folder / "probe", debian]).run(["true"], check=False)
    if mounted.returncode:
        raise Unbuildable(f"overlays cannot be mounted here: {mounted.stderr}")
    stages = {given["PYTHON_IMAGE"]: Stage([debian])}
    for name in dict.fromkeys(name for target in targets for name in _needed(blocks, target)):
        parent = stages[_filled(blocks[name][0][1], given).split()[0]]
        layer = folder / name
        layer.mkdir()
        stage = stages[name] = Stage([layer, *parent.layers], dict(parent.environment), {}, parent.folder, parent.user)
        for word, value in blocks[name][1:]:
            _step(stage, stages, word, value, context, {**given, **arguments})
    return stages


def _step(
    stage: Stage, stages: Mapping[str, Stage], word: str, value: str, context: Path, given: dict[str, str]
) -> None:
    known = {**stage.environment, **stage.arguments}
    if word == "ARG":
        name, default = _argument(value, given)
        stage.arguments[name] = given.get(name, default)
    elif word == "ENV":
        stage.environment |= dict(_filled(pair, known).split("=", 1) for pair in shlex.split(value))
    elif word == "WORKDIR":
        stage.folder = value
    elif word == "USER":
        stage.user = _filled(value, known)
    elif word == "RUN":
        done = stage.run(["/bin/bash", "-o", "pipefail", "-c", value], check=False)
        assert done.returncode == 0, f"RUN {value}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    elif word == "COPY":
        _copy(stage, stages, shlex.split(value), context)
    elif word not in ("SHELL", "CMD", "ENTRYPOINT"):
        raise AssertionError(f"{word} is not understood here: teach it")


def _copy(stage: Stage, stages: Mapping[str, Stage], words: list[str], context: Path) -> None:
    options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
    *sources, target = [word for word in words if not word.startswith("--")]
    inside = os.path.join(stage.folder, target)
    if "from" in options:  # through a tar, for the two are never mounted at once
        source, packed = stages[options["from"]], stage.layers[0] / "copied.tar"
        source.run(["tar", "--create", "--file", "/copied.tar", "--directory", sources[0], "."])
        (source.layers[0] / "copied.tar").rename(packed)
        stage.run(["mkdir", "-p", inside])
        stage.run(["tar", "--extract", "--file", "/copied.tar", "--directory", inside])
        if "chown" in options:
            stage.run(["chown", "--recursive", options["chown"], inside])
        packed.unlink()
        return
    for path in files_of_context(context, sources):
        to = stage.layers[0] / inside.lstrip("/") / path
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(context / path, to, follow_symlinks=False)


def files_of_context(context: Path, sources: list[str]) -> Iterator[Path]:
    """What of some files and folders is sent to a builder: all that `.dockerignore` leaves, links as links.

    No exception in that file may name what is inside a folder that it leaves out: such folders are not looked into.
    """
    lines = (context / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    for source in sources:
        base = context / source
        for where, folders, files in os.walk(base) if base.is_dir() else [(str(context), [], [source])]:
            folders[:] = [
                name for name in folders if not _is_ignored((Path(where) / name).relative_to(context), patterns)
            ]
            linked = [name for name in folders if (Path(where) / name).is_symlink()]
            for name in [*files, *linked]:
                path = (Path(where) / name).relative_to(context)
                if not _is_ignored(path, patterns):
                    yield path


def _is_ignored(path: Path, patterns: list[str]) -> bool:
    """The last pattern decides that fits the path or a folder that it is in."""
    ignored = False
    heads = [str(head) for head in (path, *path.parents)][:-1]
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        names = [Path(head).name for head in heads] if bare.startswith("**/") else heads
        if any(fnmatch.fnmatchcase(name, bare.removeprefix("**/")) for name in names):
            ignored = not pattern.startswith("!")
    return ignored


def _stages(text: str) -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage, its FROM the first; what stands before any is under the empty name."""
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    stages: dict[str, list[tuple[str, str]]] = {"": []}
    name = ""
    for instruction in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, value = instruction.split(maxsplit=1)
        if word == "FROM":
            name = value.split()[-1]
            stages[name] = []
        stages[name].append((word, value))
    return stages


def _needed(stages: Mapping[str, list[tuple[str, str]]], target: str) -> list[str]:
    """The stages that a target is made from, itself the last."""
    needed: list[str] = []
    for word, value in stages[target]:
        named = value.split()[0] if word == "FROM" else value.removeprefix("--from=").split()[0]
        if named in stages and (word == "FROM" or value.startswith("--from=")):
            needed += [name for name in _needed(stages, named) if name not in needed]
    return [*needed, target]


def _argument(value: str, given: Mapping[str, str]) -> tuple[str, str]:
    name, _, default = value.partition("=")
    return name, given.get(name, default)


def _filled(value: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda match: known.get(match[1], ""), value)


def _bare_debian(folder: Path) -> Path:
    """Debian 12 as an image of it is, with the Python that it has."""
    options = ["--variant=minbase", "--include=ca-certificates,python3-venv,python3-pip"]
    command = ["debootstrap", *options, "bookworm", str(folder), "http://deb.debian.org/debian"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Unbuildable(f"debootstrap: {made.stdout.splitlines()[-1] if made.stdout else made.stderr}")
    shutil.copy(CERTIFICATES, folder / CERTIFICATES.relative_to("/"))
    return folder


def _lent_variables() -> dict[str, str]:
    """Variables, and pip's settings as variables, by which this machine reaches package registries."""
    listed = subprocess.run(["python3", "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    settings = re.findall(r"^global\.(index-url|extra-index-url|find-links|cert)='(.*)'$", listed.stdout, re.MULTILINE)
    pip = {f"PIP_{key.upper().replace('-', '_')}": value for key, value in settings}
    return pip | {name: value for name, value in os.environ.items() if LENT_VARIABLES.search(name)}


def _lent_folders() -> list[str]:
    """Folders of packages that those variables name."""
    named = " ".join(_lent_variables().values()).replace("file://", "").split()
    roots = {"/".join(path.split("/")[:3]) for path in named if path.startswith("/") and "/etc/" not in path}
    return sorted(root for root in roots if Path(root).is_dir())
