"""Products of high matrices by both libraries, and which of them is taken where."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nas.kernels import products
from nas.kernels.fast_path import accelerate
from nas.kernels.products import onednn_is_faster, product, product_over_rows

sizes = st.integers(1, 40)


@pytest.fixture(params=[False, True], ids=["MKL", "oneDNN"], scope="module", autouse=True)
def library(request: pytest.FixtureRequest) -> object:
    if request.param and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this PyTorch has no oneDNN")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "onednn_is_faster", lambda: request.param)
        yield


@given(st.integers(1, 200), sizes, sizes, st.booleans(), st.sampled_from([torch.float32, torch.float64]))
def test_products_are_those_of_the_definition(rows: int, k: int, n: int, turned: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(rows)
    high = torch.randn(rows, k, dtype=dtype)
    weights = torch.randn(k, n, dtype=dtype).t() if turned else torch.randn(n, k, dtype=dtype)
    found = product(high, weights)
    assert found.shape == (rows, n)
    torch.testing.assert_close(found, (high[:, None] * weights).sum(2), rtol=1e-4, atol=1e-4)


@given(st.sampled_from([1, 15, 16, 32, 100, 400]), sizes, sizes)
def test_products_over_rows_are_those_of_the_definition(rows: int, m: int, n: int) -> None:
    torch.manual_seed(rows)
    left, right = torch.randn(rows, m), torch.randn(rows, n)
    found = product_over_rows(left, right)
    assert found.shape == (m, n)
    torch.testing.assert_close(found, (left[:, :, None] * right[:, None]).sum(0), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("capability", "vendor", "faster"),
    [
        ("AVX512", "AuthenticAMD", True),
        ("AVX512", "GenuineIntel", False),
        ("AVX512", "", False),
        ("AVX2", "AuthenticAMD", False),
    ],
)
def test_onednn_makes_products_where_mkl_has_no_avx512(
    monkeypatch: pytest.MonkeyPatch, capability: str, vendor: str, faster: bool
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(products, "_vendor", lambda: vendor)
    found = onednn_is_faster.__wrapped__()
    assert found is (faster and hasattr(torch.ops.mkldnn, "_linear_pointwise"))


def test_products_into_a_given_matrix() -> None:
    rows, weights, result = torch.randn(32, 5), torch.randn(3, 5), torch.empty(32, 3)
    assert product(rows, weights, result) is result
    torch.testing.assert_close(result, rows @ weights.t(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("chunk", [3, 40])
def test_gradients_of_networks_are_pytorch_s_with_either_library(chunk: int) -> None:
    torch.manual_seed(chunk)
    plain = nn.Sequential(
        nn.BatchNorm2d(20),
        nn.SiLU(),
        nn.Conv2d(20, 24, 1, bias=False),
        nn.BatchNorm2d(24),
        nn.Conv2d(24, 8, 1),
        nn.SiLU(inplace=True),
        nn.Conv2d(8, 8, 1, bias=False),
        nn.ReLU(inplace=True),
    )
    ours = accelerate(copy.deepcopy(plain))
    images = torch.randn(chunk, 20, 6, 8).contiguous(memory_format=torch.channels_last)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for network in (plain, ours):
            (network(images) * torch.linspace(-1, 1, 8).view(1, 8, 1, 1)).square().sum().backward()
    finally:
        torch.set_num_threads(threads)
    for found, wanted in zip(ours.parameters(), plain.parameters(), strict=True):
        assert found.grad is not None
        assert wanted.grad is not None
        torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-3, atol=1e-3 * float(wanted.grad.abs().max()))
