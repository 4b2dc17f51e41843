"""Levenberg-Marquardt on a batch of bodies at once, each with its own damping."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.fitting.kinematics import Unknowns

if TYPE_CHECKING:
    from torch import Tensor

FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-2, 1e-5, 1e6
SHRINK, GROW = 0.2, 6.0
LONGEST_STEP = 0.8  # radians, metres or standard deviations: linear models hold no further
ALIGNED = 16  # float32 numbers in a cache line


def descend(
    objective: Callable[[Unknowns], tuple[Tensor, Tensor, Tensor]], start: Unknowns, *, steps: int
) -> tuple[Unknowns, Tensor]:
    """Lower an energy by damped Gauss-Newton steps; a step that does not lower it is taken back.

    Marquardt, "An algorithm for least-squares estimation of nonlinear parameters", 1963: H + damping diag(H).

    Args:
        objective: gives the energy (B), H (B U U) and g (B U) with E(d) = E + 2 g d + d H d nearby.

    Returns:
        The bodies and their energies (B), nowhere above the start's.
    """
    import torch

    at, (energy, hessian, gradient) = start, objective(start)
    damping = torch.full_like(energy, FIRST_DAMPING)
    for _ in range(steps):
        step, failed = _step(hessian, gradient, damping)
        usable = (failed == 0) & torch.isfinite(step).all(1)
        step = torch.where(usable[:, None], step, torch.zeros_like(step))
        step = step * (LONGEST_STEP / step.abs().amax(1).clamp(min=LONGEST_STEP))[:, None]
        tried = at.moved(step)
        new_energy, new_hessian, new_gradient = objective(tried)
        better = usable & (new_energy < energy)
        at = tried.where(better, at)
        energy = torch.where(better, new_energy, energy)
        hessian = torch.where(better[:, None, None], new_hessian, hessian)
        gradient = torch.where(better[:, None], new_gradient, gradient)
        damping = torch.where(better, damping * SHRINK, damping * GROW).clamp(LEAST_DAMPING, MOST_DAMPING)
    return at, energy


def _step(hessian: Tensor, gradient: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """The damped step (B U), and whether (B) its system could not be factored.

    Systems are filled up to whole cache lines: how LAPACK rounds depends on where in one a matrix begins, and so a
    body's answer would depend on its place in the batch.
    """
    import torch

    count, size = gradient.shape
    whole = -(-size // ALIGNED) * ALIGNED
    system = torch.eye(whole, dtype=hessian.dtype).repeat(count, 1, 1)
    diagonal = torch.diagonal(hessian, dim1=1, dim2=2)
    system[:, :size, :size] = hessian + torch.diag_embed(damping[:, None] * diagonal + 1e-6)
    side = gradient.new_zeros(count, whole, 1)
    side[:, :size, 0] = gradient
    root, failed = torch.linalg.cholesky_ex(system)
    return -torch.cholesky_solve(side, root)[:, :size, 0], failed
