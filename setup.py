"""What pyproject.toml cannot say: the compiled loops, which an installation without a compiler does without."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "nas.kernels._kernels",
            ["nas/kernels/_depthwise.c", "nas/kernels/_gate.c", "nas/kernels/_norm.c"],
            depends=[
                "nas/kernels/_kernels.h",
                "nas/kernels/_each.h",
                "nas/kernels/_lengths.h",
                "nas/kernels/_activation.h",
            ],
            libraries=["m"],
            extra_compile_args=["-O3", "-Wno-psabi"],
            optional=True,
        )
    ]
)
