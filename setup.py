"""What pyproject.toml cannot say: the compiled loops, which an installation without a compiler does without."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "nas.proxy._kernels",
            ["nas/proxy/_depthwise.c", "nas/proxy/_norm.c"],
            depends=["nas/proxy/_kernels.h"],
            libraries=["m"],
            extra_compile_args=["-O3", "-Wno-psabi"],
            optional=True,
        )
    ]
)
