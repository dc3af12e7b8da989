"""Renderers by name: `gl` (ModernGL over EGL), `tiny` (PyBullet's own, needs no system library), `auto` (the best)."""

from __future__ import annotations

import logging

from robot.errors import SteadyhandError
from robot.registry import option
from sim.picture import NOTHING, Instant, Picture, Renderer, cameras, instant
from sim.render_gl import GlRenderer
from sim.render_tiny import TinyRenderer

__all__ = ["NOTHING", "GlRenderer", "Instant", "Picture", "Renderer", "TinyRenderer", "auto", "cameras", "instant"]

log = logging.getLogger(__name__)
_told = False

option("renderer", "gl")(GlRenderer)
option("renderer", "tiny")(TinyRenderer)


@option("renderer", "auto")
def auto() -> Renderer:
    """GL where a context can be had, else TinyRenderer, with one warning that says why."""
    global _told
    try:
        return GlRenderer()
    except SteadyhandError as error:
        if not _told:
            _told = True
            log.warning("%s; drawing with PyBullet's TinyRenderer, which is many times slower", error)
        return TinyRenderer()
