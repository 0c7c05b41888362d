#!/usr/bin/env python3
"""ApprovalAgent: somebody asks, somebody else decides, and whoever waits hears of it.

A plugin that is a program: it speaks the link (docs/reference/link.md) and needs nothing but Python 3. One file, because
the host keeps a copy of the program and the confined process may read that and what is installed under /usr, no more.
The first half is the link and fits any plugin; the agent begins at "the agent"."""
import json
import socket
import struct
import sys
import time

# ---- the link ----------------------------------------------------------------------------------------------------

HELLO, TURN, ANSWER, CONVERT, STOP = 1, 2, 3, 4, 5
READY, FAILED, ASK, TELL, DONE, CONVERTED = 16, 17, 18, 19, 20, 21
OK, PENDING = 0, 1
ENOENT, EFAULT, EREFUSED, EDATA = -2, -7, -8, -12
REPLIED, REFUSED, ERROR, TIMEOUT, BUSY, UNKNOWN = range(6)
REQUEST, MESSAGE, PUBLISH, FORWARD = range(4)
HEADER, PACKET = struct.Struct("<IHHQ"), 65536


class Failed(Exception):
    """The host says no to an operation: `error` is its number. Let it pass, and the turn fails with it."""

    def __init__(self, error, what=""):
        super().__init__("%s: error %d" % (what, error))
        self.error = error


class Refused(Exception):
    """Nothing of the turn is kept; who asked is told why."""

    def __init__(self, code, field, message):
        super().__init__(message)
        self.data = {"code": code, "field": field, "message": message}


class Turn:
    """One message being handled. What a handler asks for is done when it has returned, all of it or nothing."""

    def __init__(self, plugin, number, body):
        self.plugin, self.number = plugin, number
        self.now_ms, self.message = body["now"], body["message"]
        self.component = self.message["recipient"]
        self.data = self.message.get("data") or {}
        self._state, self._context = {}, None

    def take(self, name, kind, default=None):
        """A member of the message's data. The host checks requests from outside against the manifest, no others."""
        value = self.data.get(name, default)
        if type(value) is not kind or (kind is str and not 0 < len(value) <= 1000):
            raise Refused("INVALID", name, "Expected a %s." % {str: "text", int: "number", bool: "true or false"}[kind])
        return value

    def ask(self, op, **members):
        """Does it now, and gives the answer."""
        self.plugin.send(ASK, self.number, dict(members, op=op))
        answer = self.plugin.wait_for(ANSWER, self.number)
        if answer["error"] < 0:
            raise Failed(answer["error"], op)
        return answer

    def tell(self, op, **members):
        self.plugin.send(TELL, self.number, dict(members, op=op))

    # answers
    def reply(self, data, content=None):
        self.settle(self.message["id"], data, content=content)

    def settle(self, request, data=None, outcome=REPLIED, content=None):
        """Ends a request that this component holds: the one being handled, or one left open with PENDING."""
        members = {"request": request, "outcome": outcome, "data": data or {}}
        if content is not None:
            members["content"] = content
        if request == self.message.get("id") and self.message.get("requires_response"):
            self.tell("settle", **members)
        else:
            self.ask("settle", **members)

    # messages out
    def request(self, to, type, data, on_behalf=None, **more):
        """The answer comes to the route "TYPE.reply", with `on_behalf`."""
        if on_behalf:
            more["on_behalf"] = on_behalf
        return self.ask("emit", kind=REQUEST, to=to, type=type, data=data, **more)["id"]

    def send(self, to, type, data, **more):
        return self.ask("emit", kind=MESSAGE, to=to, type=type, data=data, **more)["id"]

    def publish(self, topic, data):
        self.ask("emit", kind=PUBLISH, type=topic, data=data)

    def timer(self, type, delay_ms, data, on_behalf=None):
        members = {"on_behalf": on_behalf} if on_behalf else {}
        return self.ask("timer", type=type, delay_ms=delay_ms, data=data, **members)["id"]

    def timer_cancel(self, timer):
        """False: it has fired already."""
        try:
            self.ask("timer_cancel", timer=timer)
            return True
        except Failed as failed:
            if failed.error == ENOENT:
                return False
            raise

    # state: the host answers with what it has; what this turn wrote lies over it
    def get(self, key, default=None):
        if key in self._state:
            value = self._state[key]
            return default if value is None else value
        try:
            return self.ask("state_get", key=key)["value"]
        except Failed as failed:
            if failed.error == ENOENT:
                return default
            raise

    def put(self, key, value):
        self._state[key] = value
        self.tell("state_put", key=key, value=value)

    def delete(self, key):
        self._state[key] = None
        self.tell("state_put", key=key)

    def scan(self, prefix, limit=100):
        """[(key, value)], by key; at most 1,000."""
        gone = sum(1 for key, value in self._state.items() if value is None)
        pairs = self.ask("state_scan", prefix=prefix, limit=min(limit + gone, 1000))["value"]
        found = {pair[0]: pair[1] for pair in pairs}
        found.update((key, value) for key, value in self._state.items() if key.startswith(prefix))
        return sorted((pair for pair in found.items() if pair[1] is not None), key=lambda pair: pair[0].encode())[:limit]

    # the conversation's document
    def context(self):
        if self._context is None:
            self._context = self.ask("context").get("value") or {}
        return self._context

    def context_set(self, path, value):
        """Sets "/a/b"; None removes, "/a/-" appends to a list."""
        self.tell("context_set", path=path, **({} if value is None else {"value": value}))
        at, names = self.context(), path.split("/")[1:]
        last = names.pop()
        if last == "-" and names:
            last = names.pop()
            value = list(self._find(names + [last]) or []) + [value]
        for name in names:
            if not isinstance(at.get(name), dict):
                at[name] = {}
            at = at[name]
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value

    def _find(self, names):
        at = self.context()
        for name in names:
            at = at.get(name) if isinstance(at, dict) else None
        return at if isinstance(at, list) else None

    # facts: kept until the host says that they are others
    def settings(self):
        return self._fact("settings", "")

    def secret(self, name):
        return self._fact("secret", name)

    def registry(self, name):
        return self._fact("registry", name)

    def _fact(self, op, name):
        key = (op, name, self.component if op == "settings" else "")
        facts = self.plugin.facts
        if key not in facts:
            facts[key] = self.ask(op, name=name)["value"]
        return facts[key]

    def new_id(self, prefix):
        """A short id for people: "AP-" and 12 digits."""
        return self.ask("new_id", prefix=prefix)["value"]

    def note(self, what, data):
        """A line in `cvmhost why`."""
        self.tell("note", what=what, data=data)

    def end(self):
        self.tell("end")

    def log(self, text, level=1):
        self.tell("log", level=level, text=text)


class Plugin:
    """Components and routes by decorators; run() speaks the link until the host ends it."""

    def __init__(self, name, version):
        self.name, self.version = name, version
        self.components, self.routes = [], []
        self.convert = {}  # component -> (upgrade, downgrade)
        self.held, self.buffer = [], bytearray()
        self.facts, self.facts_number = {}, None
        self.socket = None

    def component(self, id, state_version=1, upgrade=None, downgrade=None):
        """upgrade(version, key, value) gives the value as this version stores it; None: it cannot."""
        self.components.append({"id": id, "state_version": state_version, "upgrade": upgrade is not None,
                                "downgrade": downgrade is not None})
        self.convert[id] = (upgrade, downgrade)

    def route(self, component, type):
        def add(handler):
            self.routes.append((component, type, handler))
            return handler
        return add

    def send(self, kind, number, body):
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        frame = HEADER.pack(len(text), kind, 0, number) + text
        for at in range(0, len(frame), PACKET):
            self.socket.send(frame[at:at + PACKET])

    def receive(self):
        """The next frame, whole: packets put together are a stream of them."""
        while True:
            if len(self.buffer) >= HEADER.size:
                size, kind, _, number = HEADER.unpack_from(self.buffer)
                if len(self.buffer) >= HEADER.size + size:
                    body = bytes(self.buffer[HEADER.size:HEADER.size + size])
                    del self.buffer[:HEADER.size + size]
                    return kind, number, json.loads(body) if body else {}
            packet = self.socket.recv(PACKET)
            if not packet:
                raise SystemExit(0)  # the host is gone
            self.buffer += packet

    def wait_for(self, kind, number):
        """Turns that were sent ahead are kept; a stored value to convert may come at any time."""
        while True:
            frame = self.receive()
            if frame[0] == CONVERT:
                self.convert_value(frame)
            elif frame[0] == kind and frame[1] == number:
                return frame[2]
            else:
                self.held.append(frame)

    def convert_value(self, frame):
        body, answer = frame[2], {"error": EDATA}
        by = self.convert.get(body["component"], (None, None))[1 if body["down"] else 0]
        try:
            value = by(body["version"], body["key"], body["value"]) if by else None
            if value is not None:
                answer = {"error": 0, "value": value}
        except Exception as wrong:  # a value that is not as expected is the host's to report
            answer["text"] = repr(wrong)
        self.send(CONVERTED, frame[1], answer)

    def turn(self, number, body):
        if body["facts"] != self.facts_number:
            self.facts, self.facts_number = {}, body["facts"]
        begun = time.process_time_ns()
        turn = Turn(self, number, body)
        try:
            result = self.routes[body["route"]][2](turn) or OK
        except Refused as refused:
            turn.tell("refuse", outcome=REFUSED, data=refused.data)
            result = EREFUSED
        except Failed as failed:
            result = failed.error
        except Exception as fault:  # a fault of ours: the host undoes the turn and counts it
            at = fault.__traceback__
            while at.tb_next:
                at = at.tb_next
            turn.log("%s in line %d: %s" % (type(fault).__name__, at.tb_lineno, at.tb_frame.f_code.co_name), 3)
            result = EFAULT
        self.send(DONE, number, {"result": result, "us": (time.process_time_ns() - begun) // 1000})

    def run(self):
        sys.setrecursionlimit(5000)  # the host lets JSON nest 2,048 deep
        self.socket = socket.socket(fileno=3)
        kind, _, hello = self.receive()
        if kind != HELLO or hello["link"] != 1:
            self.send(FAILED, 0, {"step": "load", "text": "speaks version 1 of the link"})
            raise SystemExit(1)
        self.send(READY, 0, {"link": 1, "name": self.name, "version": self.version, "components": self.components,
                             "routes": [{"component": c, "type": t} for c, t, _ in self.routes]})
        while True:
            kind, number, body = self.held.pop(0) if self.held else self.receive()
            if kind == TURN:
                self.turn(number, body)
            elif kind == CONVERT:
                self.convert_value((kind, number, body))
            elif kind == STOP:
                return


# ---- the agent ---------------------------------------------------------------------------------------------------

AGENT = "approval.agent"
MINUTE_MS, WAIT_MS = 60000, 25000
plugin = Plugin("approval", "1.0.0")
plugin.component(AGENT, state_version=1)


def key_of(approval_id):
    return "approval/" + approval_id


def find(turn):
    approval_id = turn.take("approval_id", str)
    approval = turn.get(key_of(approval_id)) if len(approval_id) <= 40 else None
    if approval is None:
        raise Refused("NOT_FOUND", "approval_id", "There is no such approval.")
    return approval


def open_approval(turn, what, amount_minor, asked_by):
    """Keeps it and arms its timer, both or neither."""
    approval_id = turn.new_id("AP")
    minutes = turn.settings()["minutes"]
    turn.put(key_of(approval_id), {
        "approval_id": approval_id, "what": what, "amount_minor": amount_minor, "asked_by": asked_by, "status": "open",
        "expires_ms": turn.now_ms + minutes * MINUTE_MS, "waiting": [],
        "timer": turn.timer("expired", minutes * MINUTE_MS, {"approval_id": approval_id})})
    return approval_id


def close(turn, approval, status, by):
    """Decided or expired: those who wait are answered, all who listen are told."""
    waiting = approval["waiting"]
    approval.update(status=status, by=by, waiting=[])
    turn.put(key_of(approval["approval_id"]), approval)
    shown = {name: approval[name] for name in ("approval_id", "status", "by")}
    for request in waiting:
        try:
            turn.settle(request, shown)
        except Failed as failed:
            if failed.error != ENOENT:  # it has given up waiting
                raise
    turn.note("approval", {"approval_id": approval["approval_id"], "status": status})
    turn.publish("approval.closed", shown)


@plugin.route(AGENT, "request")
def request(turn):
    most = turn.settings()["most_minor"]
    what, amount_minor = turn.take("what", str), turn.take("amount_minor", int, 0)
    if not 0 <= amount_minor <= most:
        raise Refused("TOO_MUCH", "amount_minor", "At most %d can be approved here." % most)
    approval_id = open_approval(turn, what, amount_minor, turn.message.get("sender", ""))
    turn.reply({"approval_id": approval_id, "status": "open"})


@plugin.route(AGENT, "decide")
def decide(turn):
    approval, approve, by = find(turn), turn.take("approve", bool), turn.take("by", str)
    if approval["status"] != "open":
        raise Refused("CLOSED", "approval_id", "It is %s already." % approval["status"])
    turn.timer_cancel(approval["timer"])
    close(turn, approval, "approved" if approve else "declined", by)
    turn.reply({"approval_id": approval["approval_id"], "status": approval["status"]})


@plugin.route(AGENT, "wait")
def wait(turn):
    """Answered at once where it is decided; else the request stays open until it is, or for a while."""
    approval = find(turn)
    if approval["status"] != "open":
        turn.reply({name: approval[name] for name in ("approval_id", "status", "by")})
        return OK
    approval["waiting"] = approval["waiting"][-15:] + [turn.message["id"]]
    turn.put(key_of(approval["approval_id"]), approval)
    turn.timer("waited", WAIT_MS, {"approval_id": approval["approval_id"]}, on_behalf=turn.message["id"])
    return PENDING


@plugin.route(AGENT, "waited")
def waited(turn):
    """Still not decided: who waits may ask again."""
    try:
        turn.settle(turn.message.get("on_behalf", ""), {"approval_id": turn.data.get("approval_id"), "status": "open"})
    except Failed as failed:
        if failed.error != ENOENT:  # answered already
            raise


@plugin.route(AGENT, "expired")
def expired(turn):
    """The timer: a message as any other, also after a restart."""
    approval = turn.get(key_of(turn.take("approval_id", str)[:40]))
    if approval and approval["status"] == "open":
        close(turn, approval, "expired", "nobody")


@plugin.route(AGENT, "list")
def list_open(turn):
    """A look, which changes nothing ("durable": false)."""
    found = [value for _, value in turn.scan("approval/", 1000) if value["status"] == "open"]
    members = ("approval_id", "what", "amount_minor", "expires_ms")
    turn.reply({"approvals": [{name: approval[name] for name in members} for approval in found[:100]]})


@plugin.route(AGENT, "handle")
def handle(turn):
    """One step of a conversation: the first text opens an approval, every later one asks how it stands."""
    approval_id = turn.context().get("approval_id")
    approval = turn.get(key_of(approval_id)) if isinstance(approval_id, str) else None
    if not approval:
        message = turn.data.get("message")
        text = message.get("content") if isinstance(message, dict) else None
        approval_id = open_approval(turn, text[:200] if isinstance(text, str) else "a question", 0, "")
        turn.context_set("/approval_id", approval_id)
        approval = {"status": "open"}
    over = approval["status"] != "open"
    turn.reply({"content": "Your request %s is %s." % (approval_id, approval["status"]),
                "structured_data": {"approval_id": approval_id, "status": approval["status"]}, "next": None, "end": over})


if __name__ == "__main__":
    plugin.run()
