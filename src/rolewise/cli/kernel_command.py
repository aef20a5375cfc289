"""The command that compiles the augmentation kernel for this machine."""

from __future__ import annotations

from rolewise.cli.options import app, console
from rolewise.words import print_sentences


@app.command("build-kernel")
def build_kernel_command() -> None:
    """Compile the augmentation kernel once for this machine; its results are torch's to the last bit, but sooner.

    Needs a C++ compiler, the one that CXX names or g++, c++ or clang++. Every training on the CPU uses the kernel from
    then on; ROLEWISE_KERNEL=off leaves the work to torch. Building it again does no harm: what is there is compared.

    Example: rolewise build-kernel

    Example: CXX=clang++ rolewise build-kernel
    """
    from rolewise.augment import build_kernel

    path = build_kernel()
    console.print(f"Kernel: {path}", soft_wrap=True)
    console.print("It was compared with torch, operation by operation: the same bytes.")
    print_sentences(
        console, "Augmentation on the CPU uses it from now on. ROLEWISE_KERNEL=off leaves the work to torch."
    )
