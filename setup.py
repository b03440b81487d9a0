"""What pyproject.toml cannot say: the compiled loops, which an installation without a compiler does without."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "nas.proxy._depthwise",
            ["nas/proxy/_depthwise.c"],
            extra_compile_args=["-O3", "-Wno-psabi"],
            optional=True,
        )
    ]
)
