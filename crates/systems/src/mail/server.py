"""A mail server for tests: it asks for a password, speaks TLS, and writes what it takes to a file.

    server.py PORT FOLDER PROTECTION USER PASSWORD

PROTECTION is `none`, `starttls` or `tls`. Addresses decide how a recipient is treated:
`gone@…` is refused for good, `later@…` is refused once and taken the second time.
"""

import json
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Keeper:
    def __init__(self, file):
        self.file = file
        self.refused = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 5.1.1 there is no such mailbox"
        if address.startswith("later@") and address not in self.refused:
            self.refused.add(address)
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "encrypted": session.ssl is not None,
            "content": envelope.content.decode("utf-8", "replace"),
        }
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(mail) + "\n")
        return "250 taken"


def main():
    port, folder, protection, user, password = sys.argv[1:]

    def check(server, session, envelope, mechanism, data):
        right = data.login == user.encode() and data.password == password.encode()
        return AuthResult(success=right, handled=False)

    options = {}
    if protection != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder + "/server.crt", folder + "/server.key")
        if protection == "tls":
            options["ssl_context"] = context
        else:
            options["tls_context"] = context
            options["require_starttls"] = True
    controller = Controller(
        Keeper(folder + "/mails"),
        hostname="127.0.0.1",
        port=int(port),
        authenticator=check,
        auth_required=True,
        # Behind TLS from the first byte the library does not see that there is TLS.
        auth_require_tls=protection == "starttls",
        **options,
    )
    controller.start()
    threading.Event().wait()


main()
