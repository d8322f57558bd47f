"""The calls of a worker without Redis: methods of the ledger, the queue and others, by their own signatures.

A call is `<object>.<method>` with the method's keyword arguments as JSON. Its answer names the outcome's class, if it
is one: `{"outcome": "Begun", "value": {…}}`. Both sides validate by the types in the method's signature, so a method
that changes its signature changes its call. Amounts are integers; decimals are text.
"""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import Any, NotRequired, get_args, get_type_hints

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from gateway import domain
from gateway.ledger import outcomes, pause_records, policy, tried
from gateway.ledger.generation_records import setting_from_json, setting_to_json
from gateway.ledger.ledger import Ledger
from gateway.queue import heartbeats, jobs, messages, slots
from gateway.queue.job_times import JobTimes
from gateway.queue.queue import Queue
from gateway.queue.slots import Slots
from gateway.remote.callback_addresses import CallbackAddresses
from gateway.remote.dispatching import Dispatching

Json = Mapping[str, Any]

CALLS: Mapping[str, tuple[type, frozenset[str]]] = {
    "ledger": (Ledger, frozenset({
        "time", "generation", "begin", "note", "renew", "deliver", "park", "hand_back", "settle", "wait_for_slot",
        "assign", "progress", "call_back", "book_loss", "paused_providers", "policies_in_force",
    })),
    "queue": (Queue, frozenset({
        "claim", "read_job", "give_back", "take_out", "reroute", "stop", "stop_elsewhere", "stop_stray",
        "request_check", "worker_seen", "worker_gone", "callable_providers",
    })),
    "slots": (Slots, frozenset({"acquire", "enqueue", "hold", "release", "note", "note_of"})),
    "job_times": (JobTimes, frozenset({"note", "lately"})),
    "dispatcher": (Dispatching, frozenset({"dispatch"})),
    "callbacks": (CallbackAddresses, frozenset({"url"})),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RemoteCall:
    """One call: validates its arguments and its answer."""

    name: str
    parameters: tuple[str, ...]
    arguments: TypeAdapter[dict[str, Any]]
    answer: TypeAdapter[Any]
    outcomes: Mapping[str, TypeAdapter[Any]]
    """The answer's classes by name, if it is one of several."""

    def write_arguments(self, arguments: Mapping[str, Any]) -> Json:
        """The arguments as JSON values."""
        written: dict[str, Any] = self.arguments.dump_python(dict(arguments), mode="json")
        _write_settings(arguments.get("generation"), written.get("generation"))
        return written

    def read_arguments(self, written: Json) -> dict[str, Any]:
        """The arguments; ValidationError."""
        return self.arguments.validate_python(_with_settings(written, "generation"), strict=False)

    def write_answer(self, answer: object) -> Json:
        """The answer as JSON values."""
        name = type(answer).__name__
        adapter = self.outcomes.get(name)
        if adapter is None:
            return {"outcome": None, "value": self.answer.dump_python(answer, mode="json")}
        written = adapter.dump_python(answer, mode="json")
        _write_settings(answer, written)
        _write_settings(getattr(answer, "generation", None), written.get("generation"))
        return {"outcome": name, "value": written}

    def read_answer(self, written: Json) -> Any:
        """The answer; ValidationError, or KeyError for an outcome that this version does not know."""
        if written["outcome"] is None:
            return self.answer.validate_python(written["value"])
        value = _with_settings({"value": written["value"]}, "value")["value"]
        return self.outcomes[written["outcome"]].validate_python(_with_settings(value, "generation"))


@cache
def call_named(name: str) -> RemoteCall:
    """The call of a name such as `ledger.begin`; LookupError if there is none. Made at its first use."""
    kind, _, method = name.partition(".")
    cls, methods = CALLS[kind]
    if method not in methods:
        raise LookupError(name)
    return _call(name, getattr(cls, method))


def _call(name: str, method: Callable[..., Any]) -> RemoteCall:
    hints = get_type_hints(method, localns=_NAMES)
    answer = hints.pop("return")
    parameters = list(inspect.signature(method).parameters.values())[1:]  # without self
    types = {
        one.name: hints[one.name] if one.default is inspect.Parameter.empty else NotRequired[hints[one.name]]
        for one in parameters
    }
    shape = with_config({"extra": "forbid"})(TypedDict(f"Arguments of {name}", types))  # type: ignore[operator]
    classes = [one for one in (get_args(answer) or (answer,)) if isinstance(one, type) and is_dataclass(one)]
    return RemoteCall(
        name,
        tuple(one.name for one in parameters),
        TypeAdapter(shape),
        TypeAdapter(answer),
        {one.__name__: TypeAdapter(one) for one in classes},
    )


_NAMES = {
    name: value
    for module in (collections.abc, domain, tried, pause_records, policy, jobs, messages, slots, heartbeats)
    for name, value in vars(module).items()
} | {"outcomes": outcomes}
"""What signatures may name, also where a module imports it for type checkers only."""


def _write_settings(value: object, written: Any) -> None:
    """In the written form of a generation, mark the settings that are decimals: as text they would be read as text."""
    if isinstance(value, outcomes.Generation):
        settings = value.request.settings
        written["request"]["settings"] = {name: setting_to_json(one) for name, one in settings.items()}


def _with_settings(written: Json, member: str) -> dict[str, Any]:
    """The reverse, for the generation in a member."""
    match written.get(member):
        case {"request": {"settings": dict(settings), **request}, **rest}:
            read = {name: setting_from_json(one) for name, one in settings.items()}
            return {**written, member: {**rest, "request": {**request, "settings": read}}}
    return dict(written)
