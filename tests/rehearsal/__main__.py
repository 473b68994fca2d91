"""`python -m tests.rehearsal`: all scenes side by side, in about two and a half minutes; then the documents."""

import sys
from collections.abc import Awaitable, Callable

import trio

from tests.rehearsal.documents import fill, places
from tests.rehearsal.scenes import SCENES
from tests.rehearsal.stage import Texts


async def _play(scene: Callable[[Texts], Awaitable[None]], texts: Texts) -> None:
    await scene(texts)
    print(f"played: {scene.__doc__}")


async def rehearse(names: list[str]) -> Texts:
    texts: Texts = {}
    async with trio.open_nursery() as nursery:
        for scene in SCENES:
            if not names or scene.__name__ in names:
                nursery.start_soon(_play, scene, texts)
    return texts


def main() -> None:
    texts = trio.run(rehearse, sys.argv[1:])
    if sys.argv[1:]:
        for name, text in texts.items():
            print(f"\n── {name}\n{text}")
        return
    unused, missing = texts.keys() - places().keys(), places().keys() - texts.keys()
    if unused or missing:
        sys.exit(f"without a place: {sorted(unused)}; without a scene: {sorted(missing)}")
    fill(texts)


if __name__ == "__main__":
    main()
