"""Creates a bucket on an S3-compatible store: bucket.py ENDPOINT KEY SECRET REGION NAME"""

import sys

from pyarrow import fs


def main():
    endpoint, key, secret, region, name = sys.argv[1:]
    scheme, host = endpoint.split("://")
    store = fs.S3FileSystem(
        access_key=key, secret_key=secret, region=region, endpoint_override=host, scheme=scheme,
        allow_bucket_creation=True,
    )
    store.create_dir(name)


if __name__ == "__main__":
    main()
