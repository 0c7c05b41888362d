#!/usr/bin/python3
"""Slack's incoming webhooks, played: slack_stub.py PORT FILE [ANSWERS]

Writes a line of JSON to FILE for each post. ANSWERS is a list of what it says to them, the last one for all that follow:
"200" ("ok"), "429:2" (with Retry-After), "500", "404", or "page" (200 with a page of somebody else's)."""
import http.server
import json
import sys
import time

port, path = int(sys.argv[1]), sys.argv[2]
answers = (sys.argv[3] if len(sys.argv) > 3 else "200").split(",")
texts = {200: b"ok", 404: b"no_service", 429: b"rate_limited", 500: b"server_error"}


class Stub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(path, "a") as out:
            out.write(json.dumps({"path": self.path, "body": json.loads(body), "at": time.time(), "answer": answer}) + "\n")
        code, _, after = answer.partition(":")
        status = 200 if code == "page" else int(code)
        text = b"<html>Please log in</html>" if code == "page" else texts[status]
        self.send_response(status)
        if after:
            self.send_header("Retry-After", after)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Stub)
print("ready", flush=True)
server.serve_forever()
