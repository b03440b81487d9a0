"""Products of high matrices by both libraries, and which of them is taken where."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.kernels import products
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
    onednn_is_faster.cache_clear()
    assert onednn_is_faster() is (faster and hasattr(torch.ops.mkldnn, "_linear_pointwise"))
    onednn_is_faster.cache_clear()
