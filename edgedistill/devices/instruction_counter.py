"""A QEMU that counts what its emulated CPU executes, put together beside the emulated board.

QEMU counts through a plugin. Debian builds QEMU 10 without plugins, so this takes bookworm's QEMU 7.2 with the
libraries it loads, and compiles the plugin with this machine's C compiler.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgedistill.cache import cache_folder
from edgedistill.devices.arm_parts import HOST_ARCHITECTURE, QEMU, SUITE
from edgedistill.devices.build_lock import only_one
from edgedistill.devices.debian import download_from_any, unpack, unpack_one
from edgedistill.devices.host_tools import last_words, run_tool
from edgedistill.errors import DependencyError

QEMU_PACKAGE = "qemu-user"
LIBRARIES = (
    "libcapstone4",
    "libffi8",
    "libglib2.0-0",
    "libgmp10",
    "libgnutls30",
    "libhogweed6",
    "libidn2-0",
    "libnettle8",
    "libnuma1",
    "libp11-kit0",
    "libpcre2-8-0",
    "libtasn1-6",
    "libunistring2",
    "liburing2",
    "zlib1g",
)
"""What QEMU 7.2 of bookworm loads besides the C library."""

MARK = 23017
"""A program that calls getpriority(MARK, 0), which does nothing, has the count so far written down."""

PLUGIN = """
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The part of QEMU's plugin interface, version 1, that is used here; Debian ships no header for it. */
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
typedef void (*translated_cb)(plugin_id, struct qemu_plugin_tb *);
typedef void (*syscall_cb)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                           uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, translated_cb);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, syscall_cb);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

#define VISIBLE __attribute__((visibility("default")))
enum { ADD = 0, GETPRIORITY = 141, MARK = @MARK@ };

VISIBLE int qemu_plugin_version = 1;
static uint64_t executed;
static FILE *marks;

static void on_translated(plugin_id id, struct qemu_plugin_tb *block)
{
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, &executed, qemu_plugin_tb_n_insns(block));
}

static void on_syscall(plugin_id id, unsigned cpu, int64_t number, uint64_t first, uint64_t b, uint64_t c, uint64_t d,
                       uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    if (number == GETPRIORITY && first == MARK) {
        fprintf(marks, "%" PRIu64 "\\n", executed);
        fflush(marks);
    }
}

VISIBLE int qemu_plugin_install(plugin_id id, const void *info, int count, char **arguments)
{
    if (count != 1 || strncmp(arguments[0], "marks=", 6) != 0)
        return 1;
    marks = fopen(arguments[0] + 6, "w");
    if (marks == NULL)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
""".replace("@MARK@", str(MARK))


@dataclass(frozen=True)
class InstructionCounter:
    """A QEMU with the counting plugin.

    Args:
        folder: where it is.
    """

    folder: Path

    @property
    def qemu(self) -> Path:
        """The emulator; it needs `libraries` in LD_LIBRARY_PATH."""
        return self.folder / QEMU

    @property
    def plugin(self) -> Path:
        """The plugin; its one argument is `marks=FILE`."""
        return self.folder / "counter.so"

    @property
    def libraries(self) -> str:
        """Value of LD_LIBRARY_PATH."""
        roots = (self.folder / "root" / place / "x86_64-linux-gnu" for place in ("usr/lib", "lib"))
        return ":".join(map(str, roots))


def ensure_counter(*, cache: Path | None = None) -> InstructionCounter:
    """Return the counter; put it together first where it is missing (about 15 MB of downloads).

    Args:
        cache: folder of the cache; none means `$EDGEDISTILL_CACHE` or `~/.cache/edgedistill`.

    Raises:
        DependencyError: there is no C compiler, or something cannot be downloaded.
    """
    folder = counter_folder(cache=cache)
    if folder.exists():
        return InstructionCounter(folder)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise DependencyError("counting instructions", found="no C compiler", fix="apt-get install gcc libc6-dev")
    with only_one(folder.with_suffix(".lock")):
        if not folder.exists():
            _build(folder, compiler)
    return InstructionCounter(folder)


def counter_folder(*, cache: Path | None = None) -> Path:
    """Return where the counter is, or would be."""
    key = hashlib.sha256("\n".join((SUITE, QEMU_PACKAGE, *LIBRARIES, PLUGIN)).encode()).hexdigest()[:16]
    return (cache or cache_folder()).absolute() / "arm64" / f"counter-{key}"


def _build(folder: Path, compiler: str) -> None:
    for left in folder.parent.glob("new-counter-*"):  # of a build that was killed
        shutil.rmtree(left, ignore_errors=True)
    elsewhere = Path(tempfile.mkdtemp(prefix="new-counter-", dir=folder.parent))
    counter = InstructionCounter(elsewhere)
    _compile(compiler, counter.plugin)
    downloads = elsewhere / "downloads"
    downloads.mkdir()
    packages = (QEMU_PACKAGE, *LIBRARIES)
    download_from_any(packages, suites=(SUITE,), architecture=HOST_ARCHITECTURE, into=downloads)
    for package in sorted(downloads.glob("lib*.deb")) + sorted(downloads.glob("zlib1g_*.deb")):
        unpack(package, elsewhere / "root")
    (emulator,) = downloads.glob(f"{QEMU_PACKAGE}_*.deb")
    unpack_one(emulator, f"./usr/bin/{QEMU}", counter.qemu)
    counter.qemu.chmod(0o755)
    shutil.rmtree(downloads)
    elsewhere.chmod(0o755)
    elsewhere.rename(folder)


def _compile(compiler: str, plugin: Path) -> None:
    source = plugin.with_suffix(".c")
    source.write_text(PLUGIN, "utf-8")
    done = run_tool(compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", str(plugin), str(source))
    if done.returncode:
        raise DependencyError(
            "counting instructions",
            found=f"the C compiler says: {last_words(done)}",
            fix="apt-get install gcc libc6-dev",
        )
