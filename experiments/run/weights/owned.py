"""Whose weights a file has, told where they are not those of the network that the user named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import torch

from experiments.errors import UserError, from_user
from search_spaces import REFERENCE_NAMES, build_network, load_weights, reference_arch
from search_spaces.weights import suited_arch
from search_spaces.weights_file import WeightsError, read_weights


@contextmanager
def from_weights_of(name: str, file: str) -> Iterator[None]:
    """As `from_user`; where the weights of the file are not those of the network `name` but of another known one, that
    is named too."""
    try:
        with from_user():
            yield
    except UserError as error:
        found = owners(file) if isinstance(error.__cause__, WeightsError) else []
        if not found or name in found:
            raise
        why = str(error).removeprefix(f"{file}: ")
        raise UserError(f"{file}: weights of {' or '.join(found)}, not of {name} ({why})") from error.__cause__


def owners(file: str) -> list[str]:
    """The known networks whose names and shapes the weights have, but for the classifier; those of other widths where
    none has the widths, too. None where the file cannot be read."""
    exact: list[str] = []
    others: list[str] = []
    with suppress(WeightsError, OSError), torch.device("meta"):
        state = read_weights(file)
        for name in REFERENCE_NAMES:
            known = reference_arch(name)
            with suppress(WeightsError):
                suited = suited_arch(known, state)
                load_weights(build_network(suited), state, head=False)
                same = replace(known, input_channels=suited.input_channels, padding=suited.padding) == suited
                (exact if same else others).append(name)
    return exact or others
