"""Writes certificates for tests into a folder: certificates.py FOLDER

`ca.pem`; `server.pem` and `server.key` for localhost; `client.pem` and `client.key`; and `other-ca.pem`, `other.pem`
and `other.key`: the same for a client of an authority that nobody trusts.
"""

import pathlib
import sys

import trustme


def write(folder):
    folder = pathlib.Path(folder)
    trusted, other = trustme.CA(), trustme.CA()
    trusted.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other-ca.pem")
    for name, issued in (
        ("server", trusted.issue_cert("localhost", "127.0.0.1")),
        ("client", trusted.issue_cert("client@example.com")),
        ("other", other.issue_cert("client@example.com")),
    ):
        with open(folder / f"{name}.pem", "wb") as chain:
            chain.writelines(pem.bytes() for pem in issued.cert_chain_pems)
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
    return folder


if __name__ == "__main__":
    write(sys.argv[1])
