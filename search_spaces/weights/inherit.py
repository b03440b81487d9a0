"""Weights for a network from a larger trained one of the same kind: its most important channels, its first layers.

Both networks are walked side by side. Of the channels that a convolution of the parent writes, the child gets those
that matter most; what reads them gets their columns. A channel's importance is the size of its scale in the norm behind
it (Liu et al. 2017, *Learning efficient convolutional networks through network slimming*), times that of the weights
that read it next; of the channels that all blocks of a stage write to, the sum of their scales. Of larger kernels the
centre is taken, as in Cai et al. 2020 (*Once-for-all*), of stages the first blocks. Where the child is wider or deeper
than its parent, it computes the same at first: what reads new channels begins at zero, and so does the last norm of new
residual blocks (Chen et al. 2016, *Net2Net*).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from search_spaces.checks import ArchError
from search_spaces.network import Gate, Network, Residual, branch_ends

_NEW = -1
"""In a list of the parent's channels: one that it has not."""


@torch.no_grad()
def inherit(child: Network, parent: Network) -> None:
    """Fill `child`, all but its classifier, from `parent`, whose blocks must be of the same ops.

    Stages of the parent behind the child's last are left out, and the head with them. The running statistics of norms
    are those of the parent's channels, which a training replaces. Raises ArchError where the two are of different kinds
    or have blocks of several branches.
    """
    stages, theirs = _parts(child, "stages"), _parts(parent, "stages")
    if len(stages) > len(theirs):
        raise ArchError(f"a network of {len(stages)} stages cannot begin as one of {len(theirs)}")
    colours = child.arch.input_channels
    if colours != parent.arch.input_channels:
        raise ArchError(f"a network of {colours} input channels cannot begin as one of {parent.arch.input_channels}")
    channels = _fill(_chain(child.get_submodule("stem")), _chain(parent.get_submodule("stem")), torch.arange(colours))
    for stage, other in zip(stages, theirs, strict=False):
        channels = _fill_stage(list(stage.children()), list(other.children()), channels)
    mine, head = _chain(child.get_submodule("head")), _chain(parent.get_submodule("head"))
    if len(stages) == len(theirs) and len(mine) == len(head):
        _fill(mine, head, channels)


def _parts(network: Network, name: str) -> list[nn.Module]:
    return list(network.get_submodule(name).children())


def _fill_stage(blocks: Sequence[nn.Module], theirs: Sequence[nn.Module], channels: Tensor) -> Tensor:
    """Of a stage that is fed with `channels` of the parent; returns those that it gives."""
    ends = [_chain(block)[-1] for block in theirs]
    stream = torch.stack([end.weight.abs() for end in ends if isinstance(end, nn.BatchNorm2d)] or [torch.ones(1)]).sum(
        0
    )
    given = None
    for block, other in zip(blocks, theirs, strict=False):
        fed, channels = channels, _fill(_chain(block), _chain(other), channels, given, stream)
        given = channels
        for shortcut, theirs_too in zip(_shortcuts(block), _shortcuts(other), strict=False):
            _fill(_chain(shortcut), _chain(theirs_too), fed, channels)
    for block in blocks[len(theirs) :]:
        for norm in branch_ends(nn.ModuleList([block])):
            norm.weight.zero_()
    return channels


def _shortcuts(block: nn.Module) -> list[nn.Module]:
    """Those with weights."""
    found = (part.shortcut for part in block.modules() if isinstance(part, Residual))
    return [shortcut for shortcut in found if list(shortcut.parameters())]


def _chain(block: nn.Module) -> list[nn.Module]:
    """What has weights in a block, in order: convolutions, norms and gates, but those of shortcuts. Raises ArchError on
    several branches."""
    return list(_links(block))


def _links(block: nn.Module) -> Iterator[nn.Module]:
    if isinstance(block, Residual):
        yield from _links(block.body)
    elif isinstance(block, nn.Sequential):
        for part in block:
            yield from _links(part)
    elif isinstance(block, nn.Conv2d | nn.BatchNorm2d | Gate):
        yield block
    elif list(block.parameters()) and not isinstance(block, nn.Linear):  # the classifier is new
        raise ArchError(f"networks with blocks of several branches ({type(block).__name__}) cannot inherit weights")


def _fill(
    mine: Sequence[nn.Module],
    theirs: Sequence[nn.Module],
    channels: Tensor,
    out: Tensor | None = None,
    stream: Tensor | None = None,
) -> Tensor:
    """Of a chain that is fed with `channels` of the parent; returns those that it gives.

    out: which these must be, None where that may be chosen, by `stream` where it is given: their importance.
    """
    if [type(part) for part in mine] != [type(part) for part in theirs]:
        raise ArchError("a network cannot begin as one of other blocks")
    last = max((i for i, part in enumerate(theirs) if _is_dense(part)), default=-1)
    for i, (own, other) in enumerate(zip(mine, theirs, strict=True)):
        if isinstance(own, nn.Conv2d) and isinstance(other, nn.Conv2d):
            if _is_dense(other):
                score = stream if i == last and stream is not None else _importance(theirs, i)
                given = out if i == last and out is not None else _best(score, own.out_channels)
                _fill_dense(own, other, given, channels)
                channels = given
            else:
                _copy(own.weight, _centre(other.weight, own.kernel_size[0]), channels)
        elif isinstance(own, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                _copy(getattr(own, name), getattr(other, name), channels)
        elif isinstance(own, Gate) and isinstance(other, Gate):
            _fill(_chain(own.body), _chain(other.body), channels, channels)
    return channels


def _is_dense(part: nn.Module) -> bool:
    return isinstance(part, nn.Conv2d) and part.groups == 1


def _importance(chain: Sequence[nn.Module], at: int) -> Tensor:
    """Of each channel that the dense convolution at that place writes."""
    first = chain[at]
    assert isinstance(first, nn.Conv2d)
    behind = chain[at + 1] if at + 1 < len(chain) else None
    by_norm = isinstance(behind, nn.BatchNorm2d)
    score = behind.weight.abs() if isinstance(behind, nn.BatchNorm2d) and by_norm else first.weight.abs().sum((1, 2, 3))
    reader = next((part for part in chain[at + 1 :] if isinstance(part, nn.Conv2d) and part.groups == 1), None)
    return score if reader is None else score * reader.weight.abs().sum((0, 2, 3))


def _best(score: Tensor, count: int) -> Tensor:
    """The places of the `count` highest, in order; where there are fewer, all and then new ones."""
    chosen = score.topk(min(count, len(score))).indices.sort().values
    return torch.cat([chosen, chosen.new_full((count - len(chosen),), _NEW)])


def _fill_dense(own: nn.Conv2d, other: nn.Conv2d, given: Tensor, channels: Tensor) -> None:
    """Rows `given`, columns `channels`; new rows stay as they are, new columns begin at zero."""
    known = channels != _NEW
    cut = own.weight.new_zeros((len(other.weight), *own.weight.shape[1:]))
    cut[:, known] = _centre(other.weight, own.kernel_size[0])[:, channels[known]]
    _copy(own.weight, cut, given)
    if own.bias is not None and other.bias is not None:
        _copy(own.bias, other.bias, given)


def _copy(own: Tensor, other: Tensor, rows: Tensor) -> None:
    known = rows != _NEW
    own[known] = other[rows[known]]


def _centre(weight: Tensor, kernel: int) -> Tensor:
    """The middle of filters that are larger than `kernel`; smaller ones with zeros around them."""
    less = (weight.shape[-1] - kernel) // 2
    return nn.functional.pad(weight, (-less,) * 4)
