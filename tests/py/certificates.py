"""Writes certificates for tests into a folder: certificates.py FOLDER

`ca.pem`; `server.pem` and `server.key` for localhost; `client.pem` and `client.key`; and `other-ca.pem`, `other.pem`
and `other.key`: the same for a client of an authority that nobody trusts; `expired.pem` and `expired.key`: the same for
one whose certificate is not valid any more.
"""

import datetime
import pathlib
import sys

import trustme


PAST = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


def write(folder):
    folder = pathlib.Path(folder)
    trusted, other = trustme.CA(), trustme.CA()
    trusted.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other-ca.pem")
    for name, issued in (
        ("server", trusted.issue_cert("localhost", "127.0.0.1")),
        ("client", trusted.issue_cert("client@example.com")),
        ("expired", trusted.issue_cert("client@example.com", not_before=PAST, not_after=PAST + datetime.timedelta(days=1))),
        ("other", other.issue_cert("client@example.com")),
    ):
        with open(folder / f"{name}.pem", "wb") as chain:
            chain.writelines(pem.bytes() for pem in issued.cert_chain_pems)
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
    return folder


if __name__ == "__main__":
    write(sys.argv[1])
