"""What a RecBole model has learned, as tensors by name."""

from typing import Any

import numpy as np

__all__ = ["model_state", "restore_state"]

# RecBole keeps what non-neural models learn in attributes that it lists in ``other_parameter_name``:
# tensors, arrays and sparse matrices. They are stored as tensors, a sparse matrix as three of them.
SPARSE = ("data", "indices", "indptr")


def model_state(model: Any) -> dict[str, Any]:
    """Everything a model has learned, as contiguous tensors by name."""
    import torch
    from scipy.sparse import csr_matrix, issparse

    state = dict(model.state_dict())
    for name, value in (model.other_parameter() or {}).items():
        if issparse(value):
            matrix = csr_matrix(value)
            state |= {f"{name}.{part}": torch.from_numpy(getattr(matrix, part)) for part in SPARSE}
        elif isinstance(value, np.ndarray):
            state[name] = torch.from_numpy(np.asarray(value))
        elif isinstance(value, torch.Tensor):
            state[name] = value
    return {name: value.detach().contiguous() for name, value in state.items()}


def restore_state(model: Any, state: dict[str, Any]) -> None:
    """Put a state made by ``model_state`` back into a model of the same configuration."""
    from scipy.sparse import csr_matrix, issparse

    own = {name: state[name] for name in model.state_dict()}
    model.load_state_dict(own)
    for name, value in (model.other_parameter() or {}).items():
        if issparse(value):
            parts = tuple(state[f"{name}.{part}"].cpu().numpy() for part in SPARSE)
            setattr(model, name, csr_matrix(parts, shape=value.shape).asformat(value.format))
        elif isinstance(value, np.ndarray):
            setattr(model, name, state[name].cpu().numpy())
        elif name in state:
            setattr(model, name, state[name])
