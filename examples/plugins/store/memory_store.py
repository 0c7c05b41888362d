#!/usr/bin/env python3
"""A store that keeps everything in this process's memory: what a store must do (docs/reference/stores.md), and no more.

Put your database where the dictionary is. A plugin that is a program: it speaks the link (docs/reference/link.md) and
needs nothing but Python 3. What it keeps is gone with its process: a real store must answer `put` only when the value is
safe, as what the host has recorded of that turn will not be done again."""
import bisect
import json
import socket
import struct
from datetime import datetime, timezone

KEY_BYTES_MAX, VALUE_BYTES_MAX, KEYS_MAX, BYTES_MAX = 126, 65536, 10000, 16 << 20
LIST_DEFAULT = 100


class Refused(Exception):
    """Nothing was changed; who asked is told why."""

    def __init__(self, code, field, message):
        super().__init__(message)
        self.data = {"code": code, "field": field, "message": message}


# ---- the store ---------------------------------------------------------------------------------------------------

class Store:
    """One named store: keys in byte order, and for each its value, version and time."""

    total_keys = total_bytes = 0  # of all of them together: memory is one

    def __init__(self, name):
        self.name = name
        self.order, self.entries = [], {}
        self.floor = 0  # no version up to here is given again: a key may have been deleted

    def check_version(self, key, wanted):
        if wanted is None:
            return
        entry = self.entries.get(key)
        is_now = entry["version"] if entry else 0
        if is_now != wanted:
            raise Refused("CONFLICT", "if_version", "the key has version %d by now; get it, look again" % is_now if is_now
                          else "there is no such key any more; put with if_version 0 to make it")

    def get(self, data, now_ms):
        entry = self.entries.get(data["key"])
        if not entry:
            raise Refused("NOT_FOUND", "key", "the store %s has no such key" % self.name)
        return dict(entry["shown"], store=self.name, value=entry["value"])

    def put(self, data, now_ms):
        key, value = data["key"], data["value"]
        size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
        if size > VALUE_BYTES_MAX:
            raise Refused("TOO_LARGE", "value", "a value has at most %d bytes as JSON, this one has %d" % (VALUE_BYTES_MAX, size))
        self.check_version(key, data.get("if_version"))
        before = self.entries.get(key)
        if Store.total_keys + (before is None) > KEYS_MAX or Store.total_bytes + size > BYTES_MAX:
            raise Refused("FULL", "value", "this store keeps all in memory, and there is no more; delete what is not needed")
        version = (before["version"] if before else self.floor) + 1
        if not before:
            bisect.insort(self.order, key.encode())
        Store.total_keys += before is None
        Store.total_bytes += size - (before["size"] if before else 0)
        at = datetime.fromtimestamp(now_ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (now_ms % 1000)
        self.entries[key] = {"value": value, "version": version, "size": size,
                             "shown": {"key": key, "version": version, "updated_at": at}}
        return {"store": self.name, "key": key, "version": version}

    def delete(self, data, now_ms):
        key = data["key"]
        self.check_version(key, data.get("if_version"))
        entry = self.entries.pop(key, None)
        if not entry:
            raise Refused("NOT_FOUND", "key", "the store %s has no such key" % self.name)
        del self.order[bisect.bisect_left(self.order, key.encode())]
        self.floor = max(self.floor, entry["version"])
        Store.total_keys -= 1
        Store.total_bytes -= entry["size"]
        return {"store": self.name, "key": key, "version": entry["version"], "deleted": True}

    def list(self, data, now_ms):
        prefix, after = data.get("prefix", "").encode(), data.get("after", "").encode()
        at = max(bisect.bisect_left(self.order, prefix), bisect.bisect_right(self.order, after) if after else 0)
        limit, items = data.get("limit", LIST_DEFAULT), []
        while at < len(self.order) and self.order[at].startswith(prefix) and len(items) <= limit:
            items.append(self.entries[self.order[at].decode()]["shown"])
            at += 1
        return {"store": self.name, "items": items[:limit], "more": len(items) > limit}


COMPONENT, OPERATIONS = "sample.memory_store", ("get", "put", "delete", "list")
STORES = {name: Store(name) for name in
          ("customer-state", "system-state", "analysis-state", "execution-state", "memory-state")}


def answer(operation, data, now_ms):
    store = STORES.get(data.get("store", ""))
    if not store:
        raise Refused("WRONG_STORE", "store", "name one of the stores that are kept here: " + ", ".join(STORES))
    size = len(data.get("key", "").encode())
    if size > KEY_BYTES_MAX:
        raise Refused("TOO_LARGE", "key", "a key has at most %d bytes, this one has %d" % (KEY_BYTES_MAX, size))
    return getattr(store, operation)(data, now_ms)


# ---- the link ----------------------------------------------------------------------------------------------------

HELLO, TURN, STOP, READY, FAILED, TELL, DONE = 1, 2, 5, 16, 17, 19, 20
REFUSED, EREFUSED, EFAULT = 1, -8, -7
HEADER, PACKET = struct.Struct("<IHHQ"), 65536
link, buffer = socket.socket(fileno=3), bytearray()


def send(kind, number, body):
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    frame = HEADER.pack(len(text), kind, 0, number) + text
    for at in range(0, len(frame), PACKET):
        link.send(frame[at:at + PACKET])


def receive():
    while True:
        if len(buffer) >= HEADER.size:
            size, kind, _, number = HEADER.unpack_from(buffer)
            if len(buffer) >= HEADER.size + size:
                body = bytes(buffer[HEADER.size:HEADER.size + size])
                del buffer[:HEADER.size + size]
                return kind, number, json.loads(body) if body else {}
        packet = link.recv(PACKET)
        if not packet:
            raise SystemExit(0)  # the host is gone
        buffer.extend(packet)


def turn(number, body):
    message, result = body["message"], 0
    try:
        data = answer(OPERATIONS[body["route"]], message.get("data") or {}, body["now"])
        send(TELL, number, {"op": "settle", "request": message["id"], "data": data})
    except Refused as refused:
        send(TELL, number, {"op": "refuse", "outcome": REFUSED, "data": refused.data})
        result = EREFUSED
    except Exception as fault:  # a fault of ours: the host undoes the turn and counts it
        send(TELL, number, {"op": "log", "level": 3, "text": type(fault).__name__})
        result = EFAULT
    send(DONE, number, {"result": result, "us": 0})


def run():
    _, _, hello = receive()
    if hello["link"] != 1:
        send(FAILED, 0, {"step": "load", "text": "speaks version 1 of the link"})
        raise SystemExit(1)
    send(READY, 0, {"link": 1, "name": "memory_store", "version": "1.0.0",
                    "components": [{"id": COMPONENT, "state_version": 1, "upgrade": False, "downgrade": False}],
                    "routes": [{"component": COMPONENT, "type": operation} for operation in OPERATIONS]})
    while True:
        kind, number, body = receive()
        if kind == TURN:
            turn(number, body)
        elif kind == STOP:
            return


if __name__ == "__main__":
    run()
