// A program instrumented with the OpenTelemetry JavaScript SDK:
//   sdk.cjs grpc|http/protobuf|http/json ENDPOINT SESSION_ID gzip|none [CA_FILE [CERT_FILE KEY_FILE]]
// Sends one log record, two spans (the second with an event and a link), and one counter and one histogram; prints
// `ok`, or what an exporter said. ENDPOINT is a URL without a path.
'use strict';

const fs = require('node:fs');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { LoggerProvider, SimpleLogRecordProcessor } = require('@opentelemetry/sdk-logs');
const { MeterProvider, PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics');
const { BasicTracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-base');

const PACKAGES = { grpc: 'grpc', 'http/protobuf': 'proto', 'http/json': 'http' };
const [protocol, endpoint, session, compression, ca, cert, key] = process.argv.slice(2);

function options(path) {
  const read = (file) => (file ? fs.readFileSync(file) : undefined);
  if (protocol === 'grpc') {
    const { credentials } = require('@grpc/grpc-js');
    const secure = () => credentials.createSsl(read(ca), read(key), read(cert));
    return { url: endpoint, compression, credentials: ca ? secure() : credentials.createInsecure() };
  }
  const httpAgentOptions = ca ? { ca: read(ca), cert: read(cert), key: read(key), keepAlive: true } : undefined;
  return { url: `${endpoint}/v1/${path}`, compression, httpAgentOptions };
}

function exporter(signal, name, path) {
  const module = require(`@opentelemetry/exporter-${signal}-otlp-${PACKAGES[protocol]}`);
  return watched(new module[name](options(path)));
}

const failures = [];

// The SDK keeps what an exporter says to itself.
function watched(exporter) {
  const send = exporter.export.bind(exporter);
  exporter.export = (items, done) =>
    send(items, (result) => {
      if (result.code !== 0) failures.push(String(result.error));
      done(result);
    });
  return exporter;
}

async function main() {
  const resource = resourceFromAttributes({ 'service.name': 'sdk-test' });
  const who = { 'session.id': session };
  const tracers = new BasicTracerProvider({
    resource,
    spanProcessors: [new SimpleSpanProcessor(exporter('trace', 'OTLPTraceExporter', 'traces'))],
  });
  const loggers = new LoggerProvider({
    resource,
    processors: [new SimpleLogRecordProcessor(exporter('logs', 'OTLPLogExporter', 'logs'))],
  });
  const meters = new MeterProvider({
    resource,
    readers: [new PeriodicExportingMetricReader({ exporter: exporter('metrics', 'OTLPMetricExporter', 'metrics') })],
  });

  const tracer = tracers.getTracer('sdk-test', '1');
  const first = tracer.startSpan('first', { attributes: who });
  first.end();
  const second = tracer.startSpan('second', { attributes: who, links: [{ context: first.spanContext() }] });
  second.addEvent('an event', { detail: 'inside' });
  second.end();
  loggers.getLogger('sdk-test').emit({ body: 'hello from the sdk', attributes: { ...who, detail: 'a log' } });
  const meter = meters.getMeter('sdk-test');
  meter.createCounter('sdk.counter', { unit: '1' }).add(3, who);
  meter.createHistogram('sdk.histogram', { unit: 'ms' }).record(1.5, who);
  for (const provider of [tracers, loggers, meters]) await provider.forceFlush();
  for (const provider of [tracers, loggers, meters]) await provider.shutdown();
  console.log(failures.length === 0 ? 'ok' : failures.join('; '));
}

main();
