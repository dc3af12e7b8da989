"""The GL context of this thread and the programs that every renderer in it shares."""

from __future__ import annotations

import itertools
import os
import threading
from dataclasses import dataclass

import cv2
import moderngl

from robot.errors import SteadyhandError
from sim import render_shaders as shaders


class NoGlError(SteadyhandError):
    """No OpenGL context can be had here; says what to install."""


@dataclass(frozen=True)
class Device:
    """A context and its programs: of surfaces by (`geometry` wanted, patterned, glossy), of backdrops by the first two.
    """

    context: moderngl.Context
    shadow: moderngl.Program
    surface: dict[tuple[bool, bool, bool], moderngl.Program]
    backdrop: dict[tuple[bool, bool], moderngl.Program]
    name: str


_devices: dict[tuple[int, int], Device] = {}


def device() -> Device:
    """This thread's device, made at first use: a context can serve one thread, and none survives a fork.

    Raises `NoGlError` where EGL or OpenGL 4.3 is missing.
    """
    place = (os.getpid(), threading.get_ident())
    if place not in _devices:
        _devices[place] = _make()
    return _devices[place]


def _make() -> Device:
    # Scenes and pictures this small are drawn fastest by the calling thread; worker processes then share cores fairly.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    cv2.setNumThreads(1)
    try:
        context = moderngl.create_context(standalone=True, backend="egl", require=430)
    except Exception as error:  # the loader raises nothing narrower
        hint = "on Debian: apt install libegl1 libgl1-mesa-dri"
        raise NoGlError(f"no OpenGL 4.3 through EGL ({error}); {hint}") from error
    surface, backdrop = {}, {}
    for geometry, pattern in itertools.product((False, True), repeat=2):
        define = "#define GEOMETRY 1\n" * geometry + "#define PATTERN 1\n" * pattern
        backdrop[geometry, pattern] = context.program(vertex_shader=shaders.BACKDROP_VERTEX,
                                                      fragment_shader=shaders.BACKDROP_FRAGMENT % {"define": define})
        for gloss in (False, True):
            defined = {"define": define + "#define GLOSS 1\n" * gloss}
            surface[geometry, pattern, gloss] = context.program(vertex_shader=shaders.SURFACE_VERTEX % defined,
                                                                fragment_shader=shaders.SURFACE_FRAGMENT % defined)
    shadow = context.program(vertex_shader=shaders.SHADOW_VERTEX, fragment_shader=shaders.SHADOW_FRAGMENT)
    for program in (shadow, *surface.values(), *backdrop.values()):
        for block, slot in (("View", 0), ("Lights", 1), ("Frames", 2)):
            if block in program:
                program[block].binding = slot
        for sampler, slot in (("patterns", 0), ("shadows", 1)):
            if sampler in program:
                program[sampler].value = slot
    return Device(context, shadow, surface, backdrop, str(context.info["GL_RENDERER"]))
