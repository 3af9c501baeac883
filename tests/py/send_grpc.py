"""Sends a serialized OTLP request from stdin over gRPC: send_grpc.py HOST:PORT logs|metrics|traces [none|gzip]

Prints `ok`, or the status code and message; exit code 0 either way.
"""

import sys

import grpc

METHODS = {
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}


def main():
    endpoint, signal = sys.argv[1:3]
    gzip = len(sys.argv) > 3 and sys.argv[3] == "gzip"
    channel = grpc.insecure_channel(endpoint)
    export = channel.unary_unary(METHODS[signal], request_serializer=bytes, response_deserializer=bytes)
    compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
    try:
        export(sys.stdin.buffer.read(), timeout=30, compression=compression)
        print("ok")
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()
