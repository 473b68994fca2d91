"""The image's tests need podman, root, and an image of this very code."""

from pathlib import Path

import pytest

from tests.image import podman


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder carry the marker."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("image")


@pytest.fixture(scope="session", autouse=True)
def image() -> str:
    """The image's name, once it is known to be usable."""
    podman.require_image()
    return podman.IMAGE
