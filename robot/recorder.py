"""The flight recorder: every cycle of the loop as JSON messages in an MCAP file that survives being killed.

Numbers are written in full, so that a recording brings the supervisor to the same verdicts again. Not measured
(nan) is null; so is for ever (inf) where an age is meant.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from mcap.exceptions import EndOfFile, McapError
from mcap.records import Channel, Message
from mcap.stream_reader import StreamReader
from mcap.writer import MCAP0_MAGIC, CompressionType, Writer

from robot.errors import DataError
from robot.interfaces import ArmSpec, ArmState, Array, BusStats, Mode, Response, Snapshot, Verdict

CHUNK = 32 * 1024  # bytes, about a quarter of a second at 100 Hz: the most that a kill can lose
CYCLE, EVENT, SPEC = "/cycle", "/event", "/spec"
_ROW = {"type": "array", "items": {"type": ["number", "null"]}}
_STATE = {f.name: _ROW for f in fields(ArmState) if f.name != "stamp"} | {"stamp": {"type": "number"}}
SCHEMAS: dict[str, dict[str, Any]] = {
    CYCLE: {"type": "object", "properties": {
        "now": {"type": "number"}, "mode": {"type": "string"}, "state": {"type": "object", "properties": _STATE},
        "goal": _ROW, "action": _ROW, "sent": _ROW, "frame_age": {"type": "object"},
        "frame_repeats": {"type": "object"}, "frame_level": {"type": "object"}, "frame_change": {"type": "object"},
        "travel": _ROW, "demand": _ROW, "strain": _ROW,
        "bus": {"type": "object"}, "lately": {"type": "object"}, "verdict": {"type": "object"}}},
    EVENT: {"type": "object", "properties": {"stamp": {"type": "number"}, "kind": {"type": "string"}}},
    SPEC: {"type": "object", "properties": {f.name: {} for f in fields(ArmSpec)}},
}
SCALARS = ("now", "chunk_age", "loop_late", "beat_age", "rest_voltage")


class Recorder(Protocol):
    """Where the agent writes what it saw, decided and sent."""

    def cycle(self, snapshot: Snapshot, verdict: Verdict, sent: Array) -> None: ...
    def event(self, stamp: float, kind: str, **what: Any) -> None: ...
    def notes(self) -> tuple[str, ...]:
        """What is wrong with the record itself, as `Snapshot.notes`."""
        ...

    def close(self) -> None: ...


class NullRecorder:
    """Records nothing."""

    def cycle(self, snapshot: Snapshot, verdict: Verdict, sent: Array) -> None:
        return

    def event(self, stamp: float, kind: str, **what: Any) -> None:
        return

    def notes(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        return


class McapRecorder:
    """Writes `path` in chunks that are each readable once written; nothing waits in this process's memory."""

    def __init__(self, path: Path, spec: ArmSpec) -> None:
        """Raises `DataError` when `path` cannot be written."""
        try:
            self._stream = path.open("wb", buffering=0)
        except OSError as error:
            raise DataError(f"cannot write the flight record {path}: {error.strerror}") from error
        self._writer = Writer(self._stream, chunk_size=CHUNK, compression=CompressionType.LZ4)
        self._writer.start(profile="", library="steadyhand")
        self._channels, self._counts = {}, dict.fromkeys(SCHEMAS, 0)
        for topic, schema in SCHEMAS.items():
            schema_id = self._writer.register_schema(topic.strip("/"), "jsonschema", json.dumps(schema).encode())
            self._channels[topic] = self._writer.register_channel(topic, "json", schema_id)
        self._closed, self._full = False, ""
        self._write(SPEC, 0.0, {f.name: plain(getattr(spec, f.name)) for f in fields(spec)})

    def cycle(self, snapshot: Snapshot, verdict: Verdict, sent: Array) -> None:
        document = encode(snapshot)
        document["sent"] = plain(sent)
        document["verdict"] = {
            "response": verdict.response.name, "active": verdict.active, "reasons": dict(verdict.reasons),
            "may_engage": verdict.may_engage}
        self._write(CYCLE, snapshot.now, document)

    def event(self, stamp: float, kind: str, **what: Any) -> None:
        """Something that happened once: a mode change, a fault that came or went, a reset."""
        self._write(EVENT, stamp, {"stamp": stamp, "kind": kind, **what})

    def _write(self, topic: str, stamp: float, document: Mapping[str, Any]) -> None:
        if self._full:
            return
        self._counts[topic] += 1
        nanoseconds = max(0, round(stamp * 1e9))
        try:
            self._writer.add_message(self._channels[topic], nanoseconds, json.dumps(document).encode(), nanoseconds,
                                     self._counts[topic])
        except OSError as error:
            self._full = f"the flight record ends here: {error.strerror}"

    def notes(self) -> tuple[str, ...]:
        """A full disk: the arm works on, without a record."""
        return (f"full_disk: {self._full}",) if self._full else ()

    def close(self) -> None:
        """Write the index; may be called twice."""
        if not self._closed:
            self._closed = True
            with suppress(OSError):
                self._writer.finish()
            self._stream.close()


def plain(value: Any) -> Any:
    """What JSON can hold: arrays become lists, and numbers that are not finite become null."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            return [None if not np.isfinite(v) else float(v) for v in value]
        return value.tolist()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def encode(s: Snapshot) -> dict[str, Any]:
    """A snapshot as JSON, without its arm's description."""
    out: dict[str, Any] = {name: plain(float(getattr(s, name))) for name in SCALARS}
    out["mode"] = s.mode.value
    out["state"] = {f.name: plain(getattr(s.state, f.name)) for f in fields(s.state)}
    out["goal"], out["action"] = plain(s.goal), None if s.action is None else plain(s.action)
    for name in ("frame_age", "frame_repeats", "frame_level"):
        out[name] = {k: plain(v) for k, v in getattr(s, name).items()}
    for name in ("travel", "demand", "strain"):
        value = getattr(s, name)
        out[name] = None if value is None else plain(value)
    out["frame_change"] = dict(s.frame_change)
    out["bus"], out["lately"] = asdict(s.bus), asdict(s.lately)
    out["notes"], out["spare"] = list(s.notes), list(s.spare)
    return out


def decode(document: Mapping[str, Any], spec: ArmSpec, previous: ArmState | None = None) -> Snapshot:
    """The snapshot that `encode` was given; `previous` is the state of the cycle before it."""
    d = document
    values = {k: v if k == "stamp" else _array(v, k == "health") for k, v in d["state"].items()}
    values["age"] = np.where(np.isnan(values["age"]), np.inf, values["age"])
    return Snapshot(
        **{name: _missing(name) if d[name] is None else float(d[name]) for name in SCALARS},
        mode=Mode(d["mode"]), spec=spec, state=ArmState(**values), goal=_array(d["goal"]),
        action=_maybe(d["action"]),
        frame_age={k: np.inf if v is None else v for k, v in d["frame_age"].items()},
        frame_repeats=d["frame_repeats"], frame_level=d["frame_level"], bus=BusStats(**d["bus"]),
        travel=_maybe(d.get("travel")), demand=_maybe(d.get("demand")), strain=_maybe(d.get("strain")),
        frame_change=d.get("frame_change", {}), lately=BusStats(**d.get("lately", {})),
        notes=tuple(d["notes"]), spare=tuple(d.get("spare", ())), previous=previous,
    )


def _missing(name: str) -> float:
    return float("nan") if name == "rest_voltage" else float("inf")


def _maybe(values: list[float | None] | None) -> Any:
    return None if values is None else _array(values)


def _array(values: list[float | None], whole: bool = False) -> Any:
    if whole:
        return np.array(values, dtype=np.int64)
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


@dataclass(frozen=True)
class Record:
    """One message of a recording: a cycle with its verdict, or an event."""

    stamp: float  # s
    snapshot: Snapshot | None = None
    verdict: Verdict | None = None
    event: Mapping[str, Any] | None = None


def read(path: Path) -> Iterator[Record]:
    """Every record of a flight, in order, also of one that was cut off. Raises `DataError` for another file."""
    spec: ArmSpec | None = None
    previous: ArmState | None = None
    for topic, document in messages(path):
        if topic == SPEC:
            arrays: dict[str, Any] = {k: np.array(v) for k, v in document.items() if k not in ("name", "names")}
            spec = ArmSpec(name=document["name"], names=tuple(document["names"]), **arrays)
        elif topic == EVENT:
            yield Record(document["stamp"], event=document)
        elif topic == CYCLE and spec is not None:
            snapshot = decode(document, spec, previous)
            previous = snapshot.state
            v = document["verdict"]
            yield Record(snapshot.now, snapshot,
                         Verdict(Response[v["response"]], tuple(v["active"]), v["reasons"], v["may_engage"]))


def messages(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Topic and document of every whole message. Raises `DataError` when `path` is no flight record."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise DataError(f"cannot read the flight record {path}: {error.strerror}") from error
    topics: dict[int, str] = {}
    with stream:
        try:
            for record in StreamReader(stream).records:
                if isinstance(record, Channel):
                    topics[record.id] = record.topic
                elif isinstance(record, Message):
                    yield topics[record.channel_id], json.loads(record.data)
        except (EndOfFile, McapError, struct.error, RuntimeError, ValueError, KeyError) as error:
            if not topics or not _cut_off(stream):
                raise DataError(f"{path} is not a flight record, or is damaged: {error}") from error


def _cut_off(stream: BinaryIO) -> bool:
    """Whether the file ends without the closing magic, as after a kill: then what came before is whole."""
    stream.seek(-min(len(MCAP0_MAGIC), stream.seek(0, os.SEEK_END)), os.SEEK_END)
    return bytes(stream.read()) != bytes(MCAP0_MAGIC)
