//! `sessionlake connect otel-collector`: an exporter for a collector that already runs.

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::json;
use super::{TokenArg, endpoint};

/// Print an exporter block that makes an OpenTelemetry Collector pass telemetry on to this one.
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake connect otel-collector --endpoint https://sessionlake.example.com:4318")]
pub struct OtelCollector {
    /// Where that collector reaches this one over HTTP
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4318")]
    endpoint: String,
    #[command(flatten)]
    token: TokenArg,
    /// Print the block as JSON, which is YAML too
    #[arg(long)]
    json: bool,
}

impl OtelCollector {
    pub fn text(&self) -> Result<String, Failure> {
        let url = endpoint(&self.endpoint)?;
        let bearer = self.token.bearer()?;
        let bearer = bearer.as_deref();
        if self.json { Ok(json::text(&block(url, bearer))) } else { Ok(yaml(url, bearer)) }
    }
}

fn block(url: &str, bearer: Option<&str>) -> Value {
    let pipeline = json!({"exporters": ["otlp_http/sessionlake"]});
    let mut exporter = json!({"endpoint": url, "compression": "gzip"});
    if let Some(bearer) = bearer {
        exporter["headers"] = json!({"Authorization": bearer});
    }
    json!({
        "exporters": {"otlp_http/sessionlake": exporter},
        "service": {"pipelines": {"logs": pipeline, "metrics": pipeline, "traces": pipeline}},
    })
}

fn yaml(url: &str, bearer: Option<&str>) -> String {
    let headers = bearer.map_or(String::new(), |bearer| format!("    headers:\n      Authorization: {bearer}\n"));
    format!(
        "\
# Add the exporter to the collector's configuration, and its name to the exporters of your pipelines.
# Collectors before 0.131 call the component otlphttp instead of otlp_http.
exporters:
  otlp_http/sessionlake:
    endpoint: {url}
    compression: gzip
{headers}
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
        for token in [None, Some(crate::auth::Token::new([7; 30]).reveal().to_owned())] {
            let text = |json| {
                let token = TokenArg { token: token.clone() };
                OtelCollector { endpoint: "http://127.0.0.1:4318".into(), token, json }.text().unwrap()
            };
            let yaml: Value = serde_saphyr::from_str(&text(false)).unwrap();
            assert_eq!(yaml, serde_json::from_str::<Value>(&text(true)).unwrap());
        }
    }
}
