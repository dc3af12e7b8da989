"""A live view of a deployment: a table in the terminal, or everything in Rerun. It only listens, as a recorder does.

Drawing happens in a thread of its own, a few times a second, from whatever the loop saw last: the loop hands over
a reference and goes on.
"""

from __future__ import annotations

import importlib
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from robot.errors import ConfigError
from robot.interfaces import Array, Frame, Mode, Response, Snapshot, Verdict
from robot.recorder import Recorder

VIEWS = ("auto", "none", "terminal", "rerun")
Frames = Callable[[], Mapping[str, Frame]]
REFRESH = 4.0  # Hz
EVENTS = 6  # newest, kept on the screen
BACKLOG = 500  # cycles that Rerun may be behind before some are left out


class Both:
    """The flight recorder and a view beside it."""

    def __init__(self, recorder: Recorder, view: Recorder) -> None:
        self.recorder, self.view = recorder, view

    def cycle(self, snapshot: Snapshot, verdict: Verdict, sent: Array) -> None:
        self.recorder.cycle(snapshot, verdict, sent)
        self.view.cycle(snapshot, verdict, sent)

    def event(self, stamp: float, kind: str, **what: Any) -> None:
        self.recorder.event(stamp, kind, **what)
        self.view.event(stamp, kind, **what)

    def notes(self) -> tuple[str, ...]:
        return self.recorder.notes()

    def close(self) -> None:
        self.view.close()
        self.recorder.close()


def beside(recorder: Recorder, name: str, frames: Frames, console: Console | None = None) -> Recorder:
    """`recorder` with the view `name` beside it; `frames` gives the newest pictures.

    Raises `ConfigError` for an unknown view, or for `rerun` when it is not installed.
    """
    if name not in VIEWS:
        raise ConfigError(f"there is no view {name!r}; there are: {', '.join(VIEWS)}")
    if name == "auto":
        name = "terminal" if sys.stdout.isatty() else "none"
    if name == "none":
        return recorder
    return Both(recorder, RerunView(frames) if name == "rerun" else TerminalView(console or Console()))


class TerminalView:
    """State, rates, temperatures, faults and what is being done, in place, four times a second."""

    def __init__(self, console: Console) -> None:
        self._now: tuple[Snapshot, Verdict] | None = None
        self._events: deque[str] = deque(maxlen=EVENTS)
        self._stamps: deque[float] = deque(maxlen=100)
        self._live = Live(console=console, refresh_per_second=REFRESH, get_renderable=self.draw, transient=True)
        self._live.start()

    def cycle(self, snapshot: Snapshot, verdict: Verdict, sent: Array) -> None:
        self._stamps.append(snapshot.now)
        self._now = snapshot, verdict

    def event(self, stamp: float, kind: str, **what: Any) -> None:
        self._events.append(f"{stamp:9.2f}  {kind} " + ", ".join(f"{v}" for v in what.values()))

    def notes(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        """May be called twice."""
        self._live.stop()

    def draw(self) -> Group:
        """What there is to see now."""
        if self._now is None:
            return Group(Text("no cycle yet"))
        s, verdict = self._now
        return Group(self._head(s, verdict), self._joints(s), *[Text(e, style="dim") for e in list(self._events)])

    def _head(self, s: Snapshot, verdict: Verdict) -> Text:
        stamps = list(self._stamps)
        rate = (len(stamps) - 1) / (stamps[-1] - stamps[0]) if len(stamps) > 1 and stamps[-1] > stamps[0] else 0.0
        b = s.lately
        out = Text(f"{s.mode.value:8}", style="bold green" if s.mode is Mode.ACTIVE else "bold yellow")
        out.append(f"  {rate:5.0f} Hz, {s.loop_late * 1e3:4.0f} ms late; bus {b.answered} of {b.sent} answers, "
                   f"{b.corrupt} damaged; plan {s.chunk_age:.2f} s old", style="default")
        if verdict.response > Response.NONE:
            out.append("\n" + "; ".join(f"{k}: {v}" for k, v in verdict.reasons.items()), style="bold red")
        return out

    @staticmethod
    def _joints(s: Snapshot) -> Table:
        table = Table("joint", "rad", "goal", "rad/s", "effort", "A", "°C", "V", "ms old", box=None, pad_edge=False)
        state = s.state
        rows = zip(s.spec.names, state.q, s.goal, state.dq, state.effort, state.current, state.temperature,
                   state.voltage, state.age * 1e3)
        for name, *values in rows:
            places = (3, 3, 2, 2, 2, 0, 1, 0)
            table.add_row(name, *["" if not np.isfinite(v) else f"{v:.{p}f}" for v, p in zip(values, places)])
        return table


class RerunView:
    """Cameras, joints and events in the Rerun viewer."""

    def __init__(self, frames: Frames, save: str = "") -> None:
        """`save` names a file instead of a viewer. Raises `ConfigError` when Rerun is not installed."""
        try:
            self._rr: Any = importlib.import_module("rerun")
        except ImportError as error:
            raise ConfigError("view=rerun needs Rerun; install it with: pip install 'steadyhand[rerun]'") from error
        self._frames = frames
        self._shown: dict[str, float] = {}
        self._rr.init("steadyhand", spawn=not save)
        if save:
            self._rr.save(save)
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue(BACKLOG)
        self._thread = threading.Thread(target=self._run, name="rerun", daemon=True)
        self._thread.start()

    def cycle(self, snapshot: Snapshot, verdict: Verdict, sent: Array) -> None:
        self._put(lambda: self._cycle(snapshot, verdict, sent))

    def event(self, stamp: float, kind: str, **what: Any) -> None:
        words = f"{kind} " + ", ".join(f"{k} {v}" for k, v in what.items())
        self._put(lambda: self._event(stamp, words))

    def notes(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        """What is waiting is shown first; may be called twice."""
        if self._thread.is_alive():
            self._work.put(None)
            self._thread.join(5.0)
            self._rr.disconnect()  # what it still holds goes to the viewer or the file

    def _put(self, work: Callable[[], None]) -> None:
        if not self._work.full():  # the arm does not wait for a viewer
            self._work.put_nowait(work)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _cycle(self, s: Snapshot, verdict: Verdict, sent: Array) -> None:
        rr = self._rr
        self._at(s.now)
        columns = {"position": s.state.q, "sent": sent, "effort": s.state.effort, "temperature": s.state.temperature}
        for what, values in columns.items():
            for name, value in zip(s.spec.names, values):
                if np.isfinite(value):
                    rr.log(f"{what}/{name}", self._number(float(value)))
        rr.log("response", self._number(float(verdict.response)))
        for camera, frame in dict(self._frames()).items():
            if self._shown.get(camera) != frame.stamp:
                self._shown[camera] = frame.stamp
                rr.log(f"camera/{camera}", rr.Image(frame.rgb))

    def _event(self, stamp: float, words: str) -> None:
        self._at(stamp)
        self._rr.log("events", self._rr.TextLog(words))

    def _at(self, stamp: float) -> None:
        """Rerun renamed both of these in 0.23."""
        if hasattr(self._rr, "set_time"):
            self._rr.set_time("time", duration=stamp)
        else:
            self._rr.set_time_seconds("time", stamp)

    def _number(self, value: float) -> Any:
        return self._rr.Scalars(value) if hasattr(self._rr, "Scalars") else self._rr.Scalar(value)
