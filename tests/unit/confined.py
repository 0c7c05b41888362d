#!/usr/bin/env python3
"""What an ordinary program does at its start and in its loop must work when it is confined; what would lead out must not.
Sends one word over the link (the descriptor in its argument): "fine", or what went wrong."""
import asyncio, datetime, json, os, random, select, signal, socket, subprocess, sys, threading, time

link = socket.socket(fileno=int(sys.argv[1]))
wrong = []


def works(name, action):
    try:
        action()
    except BaseException as error:
        wrong.append(f"{name} fails: {error!r}")


def fails(name, action):
    try:
        action()
        wrong.append(f"{name} works")
    except (OSError, PermissionError):
        pass


def thread():
    t = threading.Thread(target=time.sleep, args=(0.001,))
    t.start()
    t.join()


def poll():
    p = select.epoll()
    p.register(link, select.EPOLLIN | select.EPOLLOUT)
    assert p.poll(1)
    assert select.select([], [link], [], 1)[1]


async def nap():
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.001)


works("reading itself", lambda: open(__file__).read())
works("a module of the library", lambda: __import__("hashlib").sha256(b"x").hexdigest())
works("a shared object of the library", lambda: __import__("decimal").Decimal(1) / 3)
works("a thread", thread)
works("poll", poll)
works("an event loop", lambda: asyncio.run(nap()))
works("time", lambda: datetime.datetime.now().astimezone())
works("random", lambda: (random.random(), os.urandom(8)))
works("signals", lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
works("JSON", lambda: json.loads(json.dumps({"a": [1, "b"]})))
fails("reading /etc/passwd", lambda: open("/etc/passwd").read())
fails("reading /proc/self/environ", lambda: open("/proc/self/environ").read())
fails("listing the folder of itself", lambda: os.listdir(os.path.dirname(os.path.abspath(__file__))))
fails("writing", lambda: open("/tmp/cvm-confined-%d" % os.getpid(), "w"))
fails("a socket", lambda: socket.socket())
fails("a process", lambda: subprocess.run(["true"]))
fails("becoming another program", lambda: os.execv("/bin/ls", ["ls"]))
fails("a signal to the host", lambda: os.kill(os.getppid(), 0))
if set(os.environ) - {"LC_ALL", "PATH", "LC_CTYPE"}:
    wrong.append("the environment has %s" % sorted(os.environ))
link.send(("; ".join(wrong) or "fine").encode())
