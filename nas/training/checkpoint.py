"""A training on disk: what an epoch left, so that a killed training goes on as if it had not been."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from nas.evaluation import Request
from nas.files import own_folder, replace_bytes, replacing
from nas.training.loop import Training

_DAMAGED = (
    OSError, RuntimeError, ValueError, TypeError, KeyError, EOFError, pickle.UnpicklingError, SafetensorError,
)  # fmt: skip
"""What reading a damaged or foreign file may raise."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be gone on from. The message is one line that names the file."""


@dataclass(frozen=True)
class TrainingState:
    """What a training has behind it: the value on val after each epoch, wall seconds, and torch's threads.

    restored, earlier: how many of the epochs, and of the seconds, are those of a checkpoint that was gone on from.
    """

    curve: tuple[float, ...] = ()
    seconds: float = 0.0
    threads: int = 1
    restored: int = 0
    earlier: float = 0.0

    @property
    def news(self) -> range:
        """The epochs (from 1) that whoever is told of each state has not been told of: the last, or all restored."""
        last = len(self.curve)
        return range(1 if last == self.restored else last, last + 1)

    @property
    def best(self) -> int:
        """The epoch (from 1) of the highest value, the first of equals."""
        return self.curve.index(max(self.curve)) + 1

    def after(self, value: float, seconds: float) -> TrainingState:
        """One epoch further."""
        return replace(self, curve=(*self.curve, value), seconds=self.seconds + seconds)


@dataclass(frozen=True)
class Checkpoints:
    """The newest checkpoint of a training and the weights of its best epoch, in a folder of their own.

    epoch-N.safetensors holds the network (and its average), epoch-N.pt the optimiser, random numbers and TrainingState,
    best-N.safetensors the weights after the best epoch where they are wanted. Each file is put in place in one step and
    the .pt comes last, so that a checkpoint is there as a whole or not at all; older files go when it is.

    worthwhile: None where every epoch must be kept, the last too. Else only the epochs of trainings that are expected
    to take longer than so many seconds are, and not the last; a full disk then costs the way back, not the training.
    """

    folder: Path
    keep_best: bool = True
    worthwhile: float | None = None

    def keep(self, training: Training, state: TrainingState) -> None:
        """Keep the state after an epoch, where that is wanted (see `worthwhile`)."""
        if self.worthwhile is None:
            self.save(training, state)
            return
        done = len(state.curve)
        if done < training.epochs and state.seconds / done * training.epochs > self.worthwhile:
            with contextlib.suppress(OSError):
                self.save(training, state)

    def save(self, training: Training, state: TrainingState) -> None:
        """Keep the state after an epoch."""
        own_folder(self.folder)
        name = f"epoch-{len(state.curve)}"
        best = self._best(state)
        if self.keep_best and state.best == len(state.curve):
            save_weights(training.result, best, durable=False)
        save_tensors(_weights(training), self.folder / f"{name}.safetensors", durable=False)
        record = {
            "optimizer": training.optimizer.state_dict(),
            "average_steps": 0 if training.average is None else training.average.steps,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(training.train.device) if _on_gpu(training) else None,
            "curve": list(state.curve),
            "seconds": state.seconds,
            "threads": state.threads,
        }
        # Not waited for: what a power failure takes is the epochs since the checkpoint before.
        with replacing(self.folder / f"{name}.pt", durable=False) as draft:
            torch.save(record, draft)
        current = {best.name, f"{name}.safetensors", f"{name}.pt"}
        for file in self._files():
            if file.name not in current:
                file.unlink()

    def restore(self, training: Training) -> TrainingState | None:
        """Bring `training` (made as it was at first) and torch's random numbers to the newest checkpoint, if any.

        Raises CheckpointError when the files do not suit, or are damaged.
        """
        found = sorted(self.folder.glob("epoch-*.pt"), key=lambda path: int(path.stem.partition("-")[2]))
        if not found:
            return None
        try:
            record = torch.load(found[-1], map_location="cpu", weights_only=True)
            tensors = load_file(found[-1].with_suffix(".safetensors"))
            for prefix, network in _networks(training).items():
                mine = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
                network.load_state_dict(mine)
            training.optimizer.load_state_dict(record["optimizer"])
            if training.average is not None:
                training.average.steps = record["average_steps"]
            torch.set_rng_state(record["random"])
            if record["random_cuda"] is not None and _on_gpu(training):
                torch.cuda.set_rng_state(record["random_cuda"], training.train.device)
            curve, seconds = tuple(record["curve"]), record["seconds"]
            return TrainingState(curve, seconds, record["threads"], restored=len(curve), earlier=seconds)
        except _DAMAGED as error:
            line = " ".join(str(error).split())[:120]
            raise CheckpointError(
                f"{found[-1]}: cannot be gone on from ({line}); remove its folder to begin anew"
            ) from None

    def load_best(self, training: Training, state: TrainingState) -> None:
        """Put the weights after the best epoch into `training.result`."""
        training.result.load_state_dict(load_file(self._best(state)))

    def remove(self) -> None:
        """Remove the folder with all that was kept."""
        for file in self._files():
            file.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _best(self, state: TrainingState) -> Path:
        return self.folder / f"best-{state.best}.safetensors"

    def _files(self) -> list[Path]:
        return [path for pattern in ("epoch-*", "best-*") for path in self.folder.glob(pattern)]


def trial_checkpoints(folder: Path, request: Request, worthwhile: float = 60.0) -> Checkpoints:
    """Where, under `folder`, the training that `request` asks for is kept while it is not finished."""
    return Checkpoints(folder / request.key.replace("/", "_"), keep_best=False, worthwhile=worthwhile)


def save_weights(
    network: nn.Module, path: Path, *, durable: bool = True, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a network's state dict as .safetensors in one step; durable: as for `nas.files.replacing`. metadata: what
    the file says about itself, in texts by name."""
    save_tensors(network.state_dict(), path, durable=durable, metadata=metadata)


def _networks(training: Training) -> dict[str, nn.Module]:
    networks = {"network.": training.network}
    if training.average is not None:
        networks["average."] = training.average.network
    return networks


def _weights(training: Training) -> dict[str, Tensor]:
    return {
        prefix + key: value
        for prefix, network in _networks(training).items()
        for key, value in network.state_dict().items()
    }


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, *, durable: bool, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors by name as .safetensors; see save_weights."""
    plain: dict[str, Any] = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    replace_bytes(path, save(plain, None if metadata is None else dict(metadata)), durable=durable)


def _on_gpu(training: Training) -> bool:
    return training.train.device.type == "cuda"
