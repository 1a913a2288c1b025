"""Engines in processes of their own, each stopped while another runs.

Threads of most engines spin for a while after a call, and those of ONNX Runtime as long as its
session lives: in one process, whoever else is measured has a core less. A stopped process has none,
and every engine keeps the settings that its users get.
"""

from __future__ import annotations

import os
import signal
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from peers import PEERS, Array, Call, Tensors, torch_gradient

import clconv
from clconv.reference.shapes import ConvShape, Direction

CALL, PLAN = "clconv", "plan"  # a functional call; a plan with prepared weights
WARM_UP_S = 0.02


class Engine:
    """One engine, which serves one layer at a time."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, options), daemon=True)
        self._process.start()

    def prepare(self, shape: ConvShape, direction: Direction) -> Array:
        """Take a layer and return its result.

        Raises
        ------
        NotImplementedError : the engine cannot run it, or is not installed
        """
        result: Array = self._ask("prepare", shape, direction)
        return result

    def seconds(self, repeats: int) -> float:
        """Return the time of a call, the mean of some in a row."""
        seconds: float = self._ask("time", repeats)
        return seconds

    def close(self) -> None:
        """End the process."""
        self._process.kill()

    def _ask(self, *request: Any) -> Any:
        os.kill(self._process.pid or 0, signal.SIGCONT)
        self._pipe.send(request)
        try:
            answer = self._pipe.recv()
        finally:
            os.kill(self._process.pid or 0, signal.SIGSTOP)
        if isinstance(answer, Exception):
            raise NotImplementedError(f"{self.name}: {answer}")
        return answer


def _serve(pipe: Connection, name: str, options: dict[str, Any]) -> None:
    call: Call | None = None
    while True:
        verb, *arguments = pipe.recv()
        try:
            if verb == "prepare":
                call = _call_of(name, *arguments, **options)
                pipe.send(call())
            else:
                assert call is not None
                pipe.send(_sample_s(call, *arguments))
        except (ImportError, NotImplementedError) as error:
            pipe.send(NotImplementedError(str(error)))


def _call_of(name: str, shape: ConvShape, direction: Direction, **options: Any) -> Call:
    x, w, dy, _ = shape.random_tensors("float32")
    if name == CALL:
        return _functional(shape, direction, (x, w, dy), **options)
    if name == PLAN:
        plan = clconv.plan(f"conv_fwd:f32:{shape}", **options).prepare_weights(w)
        y = np.empty(shape.y_shape, np.float32)
        return lambda: plan(x, out=y)
    if direction != "forward":
        return torch_gradient(shape, direction, (x, w, dy))
    return PEERS[name](shape, x, w)


def _functional(shape: ConvShape, direction: Direction, tensors: Tensors, **options: Any) -> Call:
    x, w, dy = tensors
    how = {**shape.keywords(), **options}
    if direction == "forward":
        return lambda: clconv.conv(x, w, **how)
    if direction == "backward_data":
        return lambda: clconv.conv_backward_data(dy, w, input_shape=x.shape, **how)
    return lambda: clconv.conv_backward_weights(x, dy, weight_shape=w.shape, **how)


def _sample_s(call: Call, repeats: int) -> float:
    # Long enough for the system to part threads that woke on one core, which takes some ticks.
    until = time.perf_counter() + WARM_UP_S
    while time.perf_counter() < until:
        call()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats
