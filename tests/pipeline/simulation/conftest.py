"""One simulated person for all tests of a module; a mesh takes a second."""

import numpy as np
import pytest

from pipeline.simulation.figure import Person, draw_person
from pipeline.simulation.person import person_mesh


@pytest.fixture(scope="session")
def person() -> Person:
    return draw_person(np.random.default_rng(5))


@pytest.fixture(scope="session")
def mesh(person: Person) -> tuple[np.ndarray, np.ndarray]:
    return person_mesh(person)


@pytest.fixture(scope="session")
def points(mesh: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """A tenth of the vertices, from all over the surface."""
    return mesh[0][::10]
