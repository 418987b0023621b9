"""Native code against what one would write otherwise: functions of arrays (`kernels`), and programs that loop (`polybench`).

One core, one thread, f64, medians of paired rounds; Numba and JAX where they are installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import native_kernels
import native_polybench
import typer
from timing import confine_to_one_core

PARTS = {"kernels": native_kernels.table, "polybench": native_polybench.polybench}
TITLES = {"kernels": "Functions of arrays", "polybench": "Programs that loop"}


def main(
    parts: Annotated[str, typer.Option(help="What to run, separated by commas.")] = "kernels,polybench",
    only: Annotated[str, typer.Option(help="Functions or programs to run, such as chain,lu; all without it.")] = "",
    repeats: Annotated[int, typer.Option(help="Rounds; every round times every contender once.")] = 7,
    peers: Annotated[bool, typer.Option(help="Numba and JAX, where they are installed.")] = True,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables here, too.")] = None,
) -> None:
    """Measure and print the tables."""
    texts = [f"### {TITLES[part]}\n\n{PARTS[part](only, repeats, peers)}\n" for part in parts.split(",")]
    print("\n".join(texts))
    if markdown is not None:
        markdown.write_text("\n".join(texts))


if __name__ == "__main__":
    confine_to_one_core()
    typer.run(main)
