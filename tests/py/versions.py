"""What a bucket keeps beside its objects: versions.py ENDPOINT KEY SECRET REGION BUCKET enable|list|begin KEY|uploads

`list` prints a JSON list of [key, version id, is latest, is a delete marker]. `begin` begins an upload in parts, and never
finishes it; `uploads` prints the keys of such. Signs by itself (AWS Signature Version 4).
"""

import datetime
import hashlib
import hmac
import json
import sys
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml


def signed(endpoint, key, secret, region, method, path, query, body=b""):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    host, digest = endpoint.split("://")[1], hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
    names = ";".join(headers)
    canonical = "\n".join([method, path, query, *(f"{k}:{v}" for k, v in headers.items()), "", names, digest])
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    signature = hmac.digest(signing, to_sign.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    request = urllib.request.Request(f"{endpoint}{path}?{query}", data=body or None, headers=headers, method=method)
    with urllib.request.urlopen(request) as reply:
        return reply.read()


def main():
    access, (bucket, action, *rest) = sys.argv[1:5], sys.argv[5:]
    if action == "begin":
        path = f"/{bucket}/{urllib.parse.quote(rest[0], safe='/-._~')}"
        begun = xml.fromstring(signed(*access, "POST", path, "uploads="))
        upload = next(item.text for item in begun if item.tag.endswith("UploadId"))
        signed(*access, "PUT", path, f"partNumber=1&uploadId={upload}", b"a part")
        return
    if action == "uploads":
        listed = xml.fromstring(signed(*access, "GET", f"/{bucket}", "uploads="))
        uploads = [item for item in listed if item.tag.endswith("Upload")]
        print(json.dumps([child.text for item in uploads for child in item if child.tag.endswith("Key")]))
        return
    if action == "enable":
        body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        signed(*access, "PUT", f"/{bucket}", "versioning=", body)
        return
    versions = []
    for item in xml.fromstring(signed(*access, "GET", f"/{bucket}", "max-keys=1000&versions=")):
        name = item.tag.rsplit("}", 1)[-1]
        if name in ("Version", "DeleteMarker"):
            value = {child.tag.rsplit("}", 1)[-1]: child.text for child in item}
            versions.append([value["Key"], value["VersionId"], value["IsLatest"] == "true", name == "DeleteMarker"])
    print(json.dumps(versions))


if __name__ == "__main__":
    main()
