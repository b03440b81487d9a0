# For CPUs:  docker build -t scalenas .
# For CUDA:  docker build -t scalenas --build-arg BASE=pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime .
# To use:    docker run --rm -v "$PWD:/work" -u "$(id -u):$(id -g)" scalenas run photos --run runs/mine --budget 30m
#            (with --gpus all where there are any, and --shm-size 1g with many workers)
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${BASE}
# Of CPUs alone. A base image that has PyTorch keeps its own.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY --from=build /wheels /wheels
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --index-url "${TORCH_INDEX}" "torch>=2.11" \
    && pip install --no-cache-dir /wheels/*.whl \
    && rm -rf /wheels
ENV HOME=/tmp
WORKDIR /work
USER 1000
ENTRYPOINT ["scalenas"]
