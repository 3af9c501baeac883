"""A program instrumented with the OpenTelemetry SDK:
sdk.py grpc|http/protobuf ENDPOINT SESSION_ID gzip|none [CA_FILE [CERT_FILE KEY_FILE]]

Sends one log record, two spans (the second with a link, the first with an event), and one counter and one histogram.
ENDPOINT is a URL without a path.
"""

import logging
import os
import pathlib
import sys

import grpc
from opentelemetry import metrics, trace
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

# The test's own authority, not the machine's: these win over what the exporter is told.
for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(variable, None)


def grpc_options(endpoint, compressed, ca, cert, key):
    options = {"endpoint": endpoint, "insecure": ca is None}
    options["compression"] = grpc.Compression.Gzip if compressed else grpc.Compression.NoCompression
    if ca:
        files = (pathlib.Path(file).read_bytes() if file else None for file in (ca, key, cert))
        options["credentials"] = grpc.ssl_channel_credentials(*files)
    return options


def grpc_exporters(*transport):
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    options = grpc_options(*transport)
    return OTLPLogExporter(**options), OTLPSpanExporter(**options), OTLPMetricExporter(**options)


def http_exporters(endpoint, compressed, ca, cert, key):
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def options(signal):
        compression = Compression.Gzip if compressed else Compression.NoCompression
        files = {"certificate_file": ca, "client_certificate_file": cert, "client_key_file": key}
        return {"endpoint": f"{endpoint}/v1/{signal}", "compression": compression, **files}

    return (
        OTLPLogExporter(**options("logs")),
        OTLPSpanExporter(**options("traces")),
        OTLPMetricExporter(**options("metrics")),
    )


def main():
    protocol, endpoint, session_id, compression, *files = sys.argv[1:]
    make = grpc_exporters if protocol == "grpc" else http_exporters
    transport = (endpoint, compression == "gzip", *(files + [None] * 3)[:3])
    log_exporter, span_exporter, metric_exporter = make(*transport)
    resource = Resource.create({"service.name": "sdk-test"})
    who = {"session.id": session_id}

    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(span_exporter))
    tracer = trace.get_tracer("sdk-test", "1", tracer_provider=tracers)
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(log_exporter))
    logger = logging.Logger("sdk-test")
    logger.addHandler(LoggingHandler(logger_provider=loggers))
    meters = MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(metric_exporter)])
    meter = metrics.get_meter("sdk-test", meter_provider=meters)

    with tracer.start_as_current_span("first", attributes=who) as first:
        first.add_event("an event", {"detail": "inside"})
    with tracer.start_as_current_span("second", attributes=who, links=[trace.Link(first.get_span_context())]):
        logger.warning("hello from the sdk", extra={**who, "detail": "a log"})
    meter.create_counter("sdk.counter", unit="1").add(3, who)
    meter.create_histogram("sdk.histogram", unit="ms").record(1.5, who)
    for provider in (tracers, loggers, meters):
        provider.force_flush()
        provider.shutdown()


if __name__ == "__main__":
    main()
