//! `sessionlake connect otel-collector`: an exporter for a collector that already runs.

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::json;
use super::endpoint;

/// Print an exporter block that makes an OpenTelemetry Collector pass telemetry on to this one.
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake connect otel-collector --endpoint https://sessionlake.example.com:4318")]
pub struct OtelCollector {
    /// Where that collector reaches this one over HTTP
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4318")]
    endpoint: String,
    /// Print the block as JSON, which is YAML too
    #[arg(long)]
    json: bool,
}

impl OtelCollector {
    pub fn text(&self) -> Result<String, Failure> {
        let url = endpoint(&self.endpoint)?;
        if self.json { Ok(json::text(&block(url))) } else { Ok(yaml(url)) }
    }
}

fn block(url: &str) -> Value {
    let pipeline = json!({"exporters": ["otlp_http/sessionlake"]});
    json!({
        "exporters": {"otlp_http/sessionlake": {"endpoint": url, "compression": "gzip"}},
        "service": {"pipelines": {"logs": pipeline, "metrics": pipeline, "traces": pipeline}},
    })
}

fn yaml(url: &str) -> String {
    format!(
        "\
# Add the exporter to the collector's configuration, and its name to the exporters of your pipelines.
# Collectors before 0.131 call the component otlphttp instead of otlp_http.
exporters:
  otlp_http/sessionlake:
    endpoint: {url}
    compression: gzip

service:
  pipelines:
    logs:
      exporters: [otlp_http/sessionlake] # and those that stand there already
    metrics:
      exporters: [otlp_http/sessionlake]
    traces:
      exporters: [otlp_http/sessionlake]
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let text = |json| OtelCollector { endpoint: "http://127.0.0.1:4318".into(), json }.text().unwrap();
        let yaml: Value = serde_saphyr::from_str(&text(false)).unwrap();
        assert_eq!(yaml, serde_json::from_str::<Value>(&text(true)).unwrap());
    }
}
