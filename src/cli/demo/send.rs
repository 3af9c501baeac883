//! Plays the recorded session to a collector, one line of progress a request.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::super::failure::Failure;
use super::super::render::safe;
use super::super::terminal;
use super::capture::{self, Request};

/// A local collector answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sends every request in order, each after the one before was answered; returns the session's id.
pub async fn all(http: SocketAddr) -> Result<String, Failure> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build().context("cannot set up HTTP")?;
    for request in capture::requests()? {
        send(&client, http, &request).await?;
        terminal::print(&progress(&request, terminal::options(false).width))?;
    }
    Ok(capture::SESSION_ID.to_owned())
}

async fn send(client: &reqwest::Client, http: SocketAddr, request: &Request) -> Result<()> {
    let url = format!("http://{http}{}", request.path);
    let post = client.post(&url).header("content-type", &request.content_type).body(request.body()?);
    let response = post.send().await.with_context(|| format!("cannot send to {url}"))?;
    if !response.status().is_success() {
        bail!("the collector at {url} answered {}", response.status());
    }
    Ok(())
}

fn progress(request: &Request, width: usize) -> String {
    let source = match (request.path.as_str(), request.what.as_str()) {
        ("/v1/hooks", "transcript") => "→ transcript ",
        ("/v1/hooks", _) => "→ hook       ",
        ("/v1/logs", _) => "→ OTLP logs   ",
        ("/v1/metrics", _) => "→ OTLP metrics",
        _ => "→ OTLP traces ",
    };
    let what = if request.what == "transcript" { "the client's own file of the session" } else { &request.what };
    format!("  {source:<15} {}\n", safe::cut(what, width.saturating_sub(20)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_a_line_that_says_what_arrives() {
        let lines: Vec<String> = capture::requests().unwrap().iter().map(|r| progress(r, 80)).collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        insta::assert_snapshot!(lines[..6].concat(), @r#"
        → OTLP logs     36 log records: managed_settings_resolved
        → hook          SessionStart
        → OTLP metrics  1 metric: session.count
        → OTLP logs     1 log record: client housekeeping
        → hook          UserPromptSubmit
        → OTLP logs     3 log records: user_prompt
        "#);
    }
}
