"""The command `clconv`: devices, demo, run, verify; the work of each is in a module of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clconv.errors import NoDeviceError, UnsupportedError

app = typer.Typer(
    help="Convolution on any OpenCL device, checked against a plain-Python definition.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()

DeviceOption = Annotated[
    str | None,
    typer.Option(
        help="Part of a platform's or device's name, or its numbers as `clconv devices` lists"
        " them. All usable devices by default.",
        metavar="NAME",
    ),
]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from clconv import __version__

        console.print(f"clconv {__version__}")
        raise typer.Exit


@app.command()
def devices() -> None:
    """List every OpenCL device and what of it matters for convolution."""
    from clconv.frontends.tables import device_table

    console.print(device_table())


@app.command()
def demo(
    photo: Annotated[
        Path | None,
        typer.Argument(
            help="A picture of your own; by default the astronaut Eileen Collins (NASA).",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Where the pictures go.", metavar="DIR", file_okay=False)
    ] = Path("clconv-demo"),
    device: DeviceOption = None,
) -> None:
    """Convolve a photograph, forward and backward, and check every number.

    Runs an edge-filter bank and a small network with random weights on every usable device.
    """
    from clconv.frontends.demo import run_demo

    if not run_demo(console, photo, out, device):
        raise typer.Exit(1)


@app.command()
def verify(
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Under a minute: fewer shapes, on the default device or --device."
        ),
    ] = False,
    deep: Annotated[
        int,
        typer.Option(help="So many steps of a random walk over all problems.", metavar="N", min=0),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of the random walk.")] = 0,
    problem: Annotated[
        list[str] | None, typer.Option(help="This problem; repeatable.", metavar="STRING")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Cases whose whole problem string matches this shell pattern, as"
            " 'conv_*:f16:*'; repeatable.",
            metavar="PATTERN",
        ),
    ] = None,
    device: DeviceOption = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="An object with functions of clconv's names, instead of clconv; imported from"
            " here or from where Python finds modules.",
            metavar="MODULE:OBJECT",
        ),
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first miss.")] = False,
    json: Annotated[
        Path | None, typer.Option(help="Write the counts and misses.", metavar="FILE")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.", metavar="FILE")] = None,
) -> None:
    """Hold every operator to the reference and to itself: bits, error bounds, relations.

    A miss is shown with the smallest problem found that has it, and the command that runs that.
    Exit status 1 if anything misses, 2 if the options make no sense.
    """
    from clconv.frontends.verify import Choice, run_verify

    if sum(map(bool, (quick, deep, problem))) > 1:
        raise ValueError("--quick, --deep and --problem exclude each other")
    if backend and device:
        raise ValueError("--backend runs where it likes; --device is for clconv's own kernels")
    choice = Choice(
        grid="quick" if quick else "edges",
        deep=deep,
        seed=seed,
        problems=tuple(problem or ()),
        only=tuple(only or ()),
        device=device,
        backend=backend,
        fail_fast=fail_fast,
        json=json,
        junit=junit,
    )
    if not run_verify(console, choice):
        raise typer.Exit(1)


@app.command()
def run(
    problem: Annotated[
        str,
        typer.Argument(
            help="A problem string, as CLCONV_LOG=problem prints them:"
            " conv_fwd:f32:n8c64o128g1:i56x56:k3x3:s2:p1.1:d1",
            metavar="STRING",
        ),
    ],
    algorithm: Annotated[
        str, typer.Option(help="auto, or an algorithm of convolutions by name.", metavar="NAME")
    ] = "auto",
    repeat: Annotated[int, typer.Option(help="Timed calls, at least.", min=1)] = 9,
    device: DeviceOption = None,
) -> None:
    """Run one problem, check it against the reference, and time it.

    On the default device, or on all that --device names. Exit status 1 if anything misses.
    """
    from clconv.frontends.run import run_problem

    if not run_problem(console, problem, device, algorithm, repeat):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; an error that the user can mend is one message, no traceback."""
    try:
        app()
    except (NoDeviceError, UnsupportedError, ValueError, OSError) as error:
        Console(stderr=True).print(f"[red]error:[/] {error}", highlight=False)
        raise SystemExit(2) from None
