"""The reinforcement-learning controller of MnasNet: a recurrent policy over the parameters, trained by PPO."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.samplers.base import Feasible, Mark
from nas.samplers.grid import Grid, Rows
from nas.samplers.history import History
from nas.samplers.local import allowed, first_fresh, random_row

_TRIES = 20


@dataclass(frozen=True)
class PPOSettings:
    """Sources: NASNet (Zoph et al. 2018, appendix), whose controller MnasNet reuses: learning rate 3.5e-4, entropy
    weight 1e-5, reward baseline an exponential moving average of 0.95, weights from +-0.1, LSTM of 100 units, batches
    of 20. Schulman et al. 2017: clipping at 0.2 and several passes over a batch.
    """

    units: int = 100
    learning_rate: float = 3.5e-4
    entropy: float = 1e-5
    decay: float = 0.95
    init: float = 0.1
    batch: int = 20
    clip: float = 0.2
    passes: int = 10


class PPOController:
    """Samples from the policy that the finished trials, in the order in which they finished, have trained.

    The policy is replayed from the history in a new process; the seed of its first weights is constant, so that
    suggestions differ between searches by their draws and what these brought.
    """

    multi_objective = False

    def __init__(self, settings: PPOSettings | None = None, feasible: Feasible | None = None) -> None:
        self._settings = settings or PPOSettings()
        self._feasible = feasible
        self._trained: tuple[Grid, list[int]] | None = None
        self._learner: _Learner | None = None

    def suggest(self, history: History, rng: np.random.Generator, mark: Mark) -> Rows:  # noqa: ARG002
        learner = self._replay(history)
        rows = learner.policy.sample(_TRIES, rng)
        fresh = first_fresh(history, rows, self._feasible)
        if fresh is not None:
            return fresh
        kept = rows[allowed(history, rows, self._feasible)]
        return np.asarray(kept[0]) if len(kept) else random_row(history, rng, self._feasible)

    def _replay(self, history: History) -> _Learner:
        size = self._settings.batch
        numbers = [trial.number for trial in history.trials[: len(history.trials) // size * size]]
        done = self._trained[1] if self._trained and self._trained[0] is history.grid else None
        if self._learner is None or done is None or numbers[: len(done)] != done:
            self._learner, done = _Learner(history.grid, self._settings), []
        for start in range(len(done), len(numbers), size):
            batch = slice(start, start + size)
            self._learner.update(history.rows[batch], history.values[batch, 0])
        self._trained = history.grid, numbers
        return self._learner


class _Policy(nn.Module):
    """An LSTM that reads the tokens chosen so far and gives logits of the next; one embedding and head for all."""

    def __init__(self, grid: Grid, units: int, init: float) -> None:
        super().__init__()
        self.sizes = grid.sizes.tolist()
        self.offsets = np.concatenate([[0], np.cumsum(grid.sizes)[:-1]])
        total = int(grid.sizes.sum())
        self.embedding = nn.Embedding(total + 1, units)
        self.lstm = nn.LSTM(units, units, batch_first=True)
        self.head = nn.Linear(units, total)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in self.parameters():
                weight.uniform_(-init, init, generator=generator)
        position = torch.zeros(len(self.sizes), total, dtype=torch.bool)
        for i, (offset, size) in enumerate(zip(self.offsets, self.sizes, strict=True)):
            position[i, offset : offset + size] = True
        self.legal: Tensor
        self.register_buffer("legal", position)

    def log_probs(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Log-probability of each row and the mean entropy of its tokens; inactive tokens count nothing."""
        active = torch.from_numpy(rows >= 0)
        tokens = torch.from_numpy(np.maximum(rows, 0) + self.offsets)
        start = torch.full((len(rows), 1), self.head.out_features)
        inputs = self.embedding(torch.cat([start, tokens[:, :-1]], 1))
        logits = self.head(self.lstm(inputs)[0]).masked_fill(~self.legal, -1e9)
        logs = logits.log_softmax(-1)
        chosen = logs.gather(2, tokens[..., None])[..., 0]
        entropy = -(logs.exp() * logs.masked_fill(~self.legal, 0)).sum(-1)
        return (chosen * active).sum(1), (entropy * active).sum(1).mean()

    @torch.no_grad()
    def sample(self, n: int, rng: np.random.Generator) -> Rows:
        """n rows drawn token by token."""
        rows = np.zeros((n, len(self.sizes)), np.int64)
        token = torch.full((n, 1), self.head.out_features)
        state: tuple[Tensor, Tensor] | None = None
        for i, (offset, size) in enumerate(zip(self.offsets, self.sizes, strict=True)):
            out, state = self.lstm(self.embedding(token), state)
            probs = self.head(out[:, 0])[:, offset : offset + size].softmax(-1).numpy().cumsum(1)
            rows[:, i] = np.minimum((rng.random((n, 1)) > probs).sum(1), size - 1)
            token = torch.from_numpy(rows[:, i : i + 1] + offset)
        return rows


class _Learner:
    def __init__(self, grid: Grid, settings: PPOSettings) -> None:
        self.policy = _Policy(grid, settings.units, settings.init)
        self._settings = settings
        self._optimizer = torch.optim.Adam(self.policy.parameters(), settings.learning_rate)
        self._baseline: float | None = None

    def update(self, rows: Rows, rewards: NDArray[np.float64]) -> None:
        """Several clipped passes over one batch. The policy before the update stands for the one that drew it."""
        s = self._settings
        baseline = float(rewards.mean()) if self._baseline is None else self._baseline
        self._baseline = s.decay * baseline + (1 - s.decay) * float(rewards.mean())
        # Rewards have any unit; their spread within the batch makes the step independent of it.
        advantage = torch.from_numpy((rewards - baseline) / (rewards.std() + 1e-8)).float()
        with torch.no_grad():
            before = self.policy.log_probs(rows)[0]
        for _ in range(s.passes):
            now, entropy = self.policy.log_probs(rows)
            ratio = (now - before).exp()
            gain = torch.minimum(ratio * advantage, ratio.clamp(1 - s.clip, 1 + s.clip) * advantage)
            loss = -gain.mean() - s.entropy * entropy
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
