"""Build of the compiled core, ``fastgru._core``.

``csrc/kernels.c`` is one source, compiled once per instruction set and real type; each object
exports one table of functions, and ``csrc/dispatch.c`` chooses among them at import. Everything
else about the project stands in pyproject.toml.
"""

import copy
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# setuptools wants the paths of sources and dependencies relative to this file.
os.chdir(Path(__file__).resolve().parent)

WINDOWS = sys.platform == "win32"
MACOS = sys.platform == "darwin"
# The free-threaded CPython has no limited API yet: there the extension is built for one version.
LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")

KERNELS = Path("csrc/kernels.c")
# Contraction is off because the compiler's choice of fused operations varies with inlining, and
# with it the bits of the results; link-time optimisation, because it inlines across objects. Where
# the kernel's loops begin would otherwise vary, by up to 3 % of the time, with what stands before.
# Python's own flags have -fwrapv, which costs up to 15 %: addresses are harder to simplify.
FLAGS = (
    "-O3 -std=gnu11 -ffp-contract=off -fno-math-errno -fno-lto -fno-wrapv -falign-loops=32 "
    "-fvisibility=hidden -Wall -Wextra"
)

AVX2 = "-mavx2 -mfma"
AVX512 = f"-mavx512f -mavx512vl -mavx512dq -mavx512bw {AVX2} -mprefer-vector-width=512"
AMX = f"-mamx-tile -mamx-int8 -mavx512vbmi -mavx512vnni {AVX512}"


@dataclass(frozen=True)
class InstructionSet:
    """What one build of the kernels is compiled for."""

    name: str
    vector_bytes: int
    registers: int
    flags: str = ""
    reals: tuple[str, ...] = ("float", "double")


BASELINE = InstructionSet("baseline", 16, 16)
X86 = [
    BASELINE,
    InstructionSet("avx2", 32, 16, AVX2),
    InstructionSet("avx512", 64, 32, AVX512),
]
AMX_SET = InstructionSet("amx", 64, 32, AMX, reals=("float",))
ARM64 = [InstructionSet("neon", 16, 32)]
# The 16-lane code on AVX2 registers, and AMX's tiles in plain C, run the paths of AVX-512 and AMX
# where no CPU has them. For tests only.
AVX2_WIDE_FLAGS = f"{AVX2} -Wno-psabi"
FOR_TESTS = [
    InstructionSet("avx2_wide", 64, 32, AVX2_WIDE_FLAGS),
    InstructionSet(
        "emulated_amx", 64, 32, f"{AVX2_WIDE_FLAGS} -DFASTGRU_EMULATE_TILES", reals=("float",)
    ),
]

INSTALL_A_COMPILER = """
fastgru is compiled from C and needs GCC or Clang, and Python's headers. To install them:
  Debian, Ubuntu   apt install gcc libc6-dev python3-dev
  Fedora, RHEL     dnf install gcc python3-devel
  Alpine           apk add gcc musl-dev python3-dev
  macOS            xcode-select --install
  Windows          Visual Studio Build Tools with the component "C++ Clang tools for Windows"
To name a compiler that is not on the PATH, set the environment variable CC.
"""


class BuildCore(build_ext):
    """Compile the C core once per instruction set, then build the extension around it."""

    def build_extension(self, ext: Extension) -> None:
        if WINDOWS:
            use_clang_cl(self.compiler)
        else:
            use_installed_compiler(self.compiler)
        jobs = [
            job
            for compiler in one_compiler_per_architecture(self.compiler)
            for job in core_jobs(compiler, self.include_dirs)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            ext.extra_objects = list(pool.map(self.compile, jobs))

        ext.extra_compile_args = native(FLAGS) + self.debug_flags()
        if not WINDOWS:
            ext.libraries = ["m", "pthread"]
            if not self.debug:
                ext.extra_link_args = ["-Wl,-x" if MACOS else "-Wl,-s"]
        # The objects may differ though no source does: other flags, another compiler.
        self.force = True
        super().build_extension(ext)

    def compile(self, job: "Job") -> str:
        """Compile one object of the core and return its path."""
        objects = job.compiler.compile(
            [str(job.source)],
            output_dir=str(Path(self.build_temp, job.folder)),
            macros=list(job.macros.items()),
            include_dirs=["csrc"],
            extra_postargs=native(f"{FLAGS} {job.flags}") + self.debug_flags(),
        )
        return objects[0]

    def debug_flags(self) -> list[str]:
        """Return the flags that keep Python's own ``-g`` out of the wheel, or ask for it."""
        return [] if WINDOWS else ["-g" if self.debug else "-g0"]


@dataclass(frozen=True)
class Job:
    """One object to compile: a source, its macros and flags, and the folder its object goes to."""

    compiler: object
    source: Path
    folder: str
    macros: dict[str, str]
    flags: str = ""


def core_jobs(compiler, include_dirs: list[str]) -> list[Job]:
    """List the objects of the C core for the one architecture that ``compiler`` targets."""
    architecture = target_architecture(compiler, include_dirs)
    sets = {"x86-64": X86, "arm64": ARM64}.get(architecture, [BASELINE])
    if architecture == "x86-64" and os.environ.get("FASTGRU_TEST_ISAS") == "1":
        sets = [*sets, *FOR_TESTS]
    if architecture == "x86-64" and sys.platform == "linux" and knows(compiler, AMX):
        sets = [*sets, AMX_SET]

    kernels = [
        Job(
            compiler,
            KERNELS,
            f"{architecture}/{isa.name}-{real}",
            {
                "FASTGRU_ISA": isa.name,
                "FASTGRU_REAL": real,
                "FASTGRU_REAL_IS_DOUBLE": str(int(real == "double")),
                "FASTGRU_VECTOR_BYTES": str(isa.vector_bytes),
                "FASTGRU_REGISTERS": str(isa.registers),
            },
            isa.flags,
        )
        for isa in sets
        for real in isa.reals
    ]
    have = {f"FASTGRU_HAVE_{isa.name.upper()}": "1" for isa in sets}
    others = [
        Job(compiler, source, architecture, have)
        for source in sorted(KERNELS.parent.glob("*.c"))
        if source != KERNELS
    ]
    return kernels + others


def use_installed_compiler(compiler) -> None:
    """Replace a compiler that Python was built with but that is not here by one that is."""
    configured = compiler.compiler_so[0]
    if shutil.which(configured):
        return
    installed = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if installed is None:
        stop(f"no C compiler found: neither {configured!r} nor cc, gcc or clang is on the PATH")
    for command in (compiler.compiler, compiler.compiler_so, compiler.linker_so):
        command[0] = installed


def use_clang_cl(compiler) -> None:
    """Make the Windows build compile with Clang: MSVC knows no vector extensions."""
    if compiler.compiler_type != "msvc":
        return
    if not compiler.initialized:
        compiler.initialize()
    clang_cl = shutil.which(os.environ.get("CC", "clang-cl"))
    if clang_cl is None:
        stop("clang-cl is not on the PATH (MSVC itself cannot compile GCC's vector extensions)")
    compiler.cc = clang_cl


def one_compiler_per_architecture(compiler) -> list:
    """Split a macOS compiler that makes universal binaries: each half has its own instruction sets.

    The linker takes from the objects of the two halves what belongs to each.
    """
    command = getattr(compiler, "compiler_so", [])
    architectures = [command[i + 1] for i, word in enumerate(command) if word == "-arch"]
    if len(architectures) < 2:
        return [compiler]
    bare = re.sub(r" -arch \S+", "", " ".join(command)).split()
    compilers = []
    for architecture in architectures:
        half = copy.copy(compiler)
        half.compiler_so = [*bare, "-arch", architecture]
        compilers.append(half)
    return compilers


def target_architecture(compiler, include_dirs: list[str]) -> str:
    """Return "x86-64", "arm64" or "other", after seeing that the compiler works at all.

    The compiler is asked, not the machine: it may be a cross compiler.
    """
    if WINDOWS:
        return {"win-amd64": "x86-64", "win-arm64": "arm64"}.get(sysconfig.get_platform(), "other")
    includes = [f"-I{folder}" for folder in include_dirs]
    probe = subprocess.run(
        [*compiler.compiler_so, *includes, "-dM", "-E", "-x", "c", "-"],
        input="#include <Python.h>\n#include <math.h>\n",
        capture_output=True,
        text=True,
    )
    name = compiler.compiler_so[0]
    if probe.returncode:
        stop(f"{name} cannot compile a Python extension:\n{probe.stderr.strip()}")
    macros = set(re.findall(r"^#define (\w+)", probe.stdout, re.MULTILINE))
    if "__GNUC__" not in macros:
        stop(f"{name} is neither GCC nor Clang")
    if "__FAST_MATH__" in macros:
        sys.exit("fastgru: CFLAGS hold -ffast-math, which breaks infinities and NaN: remove it")
    if "__x86_64__" in macros:
        return "x86-64"
    return "arm64" if "__aarch64__" in macros else "other"


def knows(compiler, flags: str) -> bool:
    """Return whether the compiler takes some flags: GCC knows AMX since version 11."""
    probe = [*compiler.compiler_so, *flags.split(), "-E", "-x", "c", os.devnull]
    return subprocess.run(probe, capture_output=True).returncode == 0


def native(flags: str) -> list[str]:
    """Return GCC's flags as the platform's compiler takes them."""
    if not WINDOWS:
        return flags.split()
    # clang-cl takes -m… and -W… as they are; the rest goes to Clang through /clang:.
    return [f if f.startswith(("-m", "-W")) else f"/clang:{f}" for f in flags.split()]


def stop(what: str) -> None:
    """End the build with a message that says what to install."""
    sys.exit(f"\nfastgru: {what}\n{INSTALL_A_COMPILER}")


core = Extension(
    "fastgru._core",
    ["fastgru/_core.pyx"],
    include_dirs=["csrc"],
    depends=sorted(str(path) for path in Path("csrc").glob("*.[ch]")),
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if LIMITED_API else [],
    py_limited_api=LIMITED_API,
)

setup(
    ext_modules=[core],
    cmdclass={"build_ext": BuildCore},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {},
)
