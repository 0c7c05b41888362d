#!/usr/bin/python3
"""A mail server for tests, on aiosmtpd: mail_server.py PORT FILE [ANSWERS [CERTIFICATE KEY USER PASSWORD]]

Writes a line of JSON to FILE for each message that came whole, as Python's email package reads it. ANSWERS is a list of
what it says to them, the last one for all that follow: a code ("250", "451", "550"), "drop" (takes it and closes the
connection without a word) or "hang" (takes it and says nothing). With a certificate it wants STARTTLS and that login."""
import asyncio
import email
import email.policy
import json
import ssl
import sys
import time

try:
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult
except ImportError:
    print("skipped: python3-aiosmtpd is not installed", flush=True)
    sys.exit(77)

port, path = int(sys.argv[1]), sys.argv[2]
answers = (sys.argv[3] if len(sys.argv) > 3 else "250").split(",")
certificate, key, user, password = (sys.argv[4:8] + [None] * 4)[:4]


def part(message, kind):
    found = message.get_body(preferencelist=(kind,))
    return found.get_content().replace("\r\n", "\n") if found else None


def read(envelope, session):
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    return {
        "mail_from": envelope.mail_from,
        "rcpt_to": envelope.rcpt_tos,
        "subject": message["Subject"],
        "from": [[a.display_name, a.addr_spec] for a in message["From"].addresses],
        "to": [[a.display_name, a.addr_spec] for a in message["To"].addresses],
        "message_id": message["Message-ID"],
        "date": message["Date"].datetime.isoformat(),
        "headers": message.keys(),
        "defects": [str(d) for d in message.defects],
        "text": part(message, "plain"),
        "html": part(message, "html"),
        "longest": max(len(line) for line in envelope.content.split(b"\r\n")),
        "tls": session.ssl is not None,
        "login": bool(session.authenticated),
        "at": time.time(),
    }


class Handler:
    async def handle_DATA(self, server, session, envelope):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        line = read(envelope, session)
        line["answer"] = answer
        with open(path, "a") as out:
            out.write(json.dumps(line) + "\n")
        if answer == "drop":
            server.transport.abort()
            return "250 nobody hears this"
        if answer == "hang":
            await asyncio.sleep(3600)
        return answer + (" queued as 4Xy" if answer == "250" else " as the test wants it")


def authenticate(server, session, envelope, mechanism, login):
    good = (login.login, login.password) == (user.encode(), password.encode())
    return AuthResult(success=good, handled=good)


options = {}
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    options = dict(tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True)
controller = Controller(Handler(), hostname="127.0.0.1", port=port, **options)
controller.start()
print("ready", flush=True)
while True:
    time.sleep(3600)
