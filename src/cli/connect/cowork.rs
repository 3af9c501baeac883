//! `sessionlake connect cowork`: what Cowork's admin page asks for.

use clap::Args;
use serde_json::json;

use super::super::failure::Failure;
use super::super::json;
use super::{TokenArg, endpoint};

/// Print what to enter in Cowork's admin settings, so that Cowork sends its telemetry here
///
/// Cowork's exporter does not run on your machines: the endpoint must be public HTTPS with a certificate that everybody
/// trusts, and everything it sends must carry a token.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: sessionlake connect cowork --endpoint https://collector.example.com --token \"$TOKEN\"")]
pub struct Cowork {
    /// Where Cowork reaches this collector over HTTPS from the internet
    #[arg(long, value_name = "URL")]
    endpoint: String,
    #[command(flatten)]
    token: TokenArg,
    /// Print the values as JSON
    #[arg(long)]
    json: bool,
}

const PROTOCOL: &str = "http/protobuf";

impl Cowork {
    pub fn text(&self) -> Result<String, Failure> {
        let url = public(endpoint(&self.endpoint)?)?;
        let bearer = self.token.bearer()?.unwrap_or_else(|| "Bearer <token>".to_owned());
        Ok(match self.json {
            true => json::text(&json!({"endpoint": url, "protocol": PROTOCOL, "headers": {"Authorization": bearer}})),
            false => page(url, &bearer),
        })
    }
}

/// An address that Cowork can reach: https, and not this machine.
fn public(url: &str) -> Result<&str, Failure> {
    let parsed = url::Url::parse(url).ok();
    let local = match parsed.as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_private() || address.is_unspecified(),
        Some(url::Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        None => true,
    };
    match parsed.is_some_and(|url| url.scheme() == "https") && !local {
        true => Ok(url),
        false => Err(Failure::Usage(format!(
            "--endpoint '{url}' cannot be reached by Cowork: it needs public HTTPS, as in https://collector.example.com"
        ))),
    }
}

fn page(url: &str, bearer: &str) -> String {
    format!(
        "\
# In Cowork's admin settings, under OpenTelemetry (sessions read them when they start):
OTLP endpoint  {url}
Protocol       {PROTOCOL}
Header name    Authorization
Header value   {bearer}

# What has to be there first:
# 1. A token that may only send:
#      sessionlake token create --workspace cowork --role ingest --name cowork
# 2. This collector behind that address, with a certificate that is publicly trusted. Either it listens itself:
#      auth: {{enabled: true}}
#      receivers:
#        otlp:
#          protocols:
#            http:
#              endpoint: 0.0.0.0:443
#              tls: {{cert_file: server.crt, key_file: server.key}}
#    or a load balancer that ends TLS stands before it: then auth: {{enabled: true}} and insecure: true beside endpoint.
# 3. A try from outside, with the token in $TOKEN. It prints 200; without the header 401:
#      curl -s -o /dev/null -w '%{{http_code}}\\n' -H \"Authorization: Bearer $TOKEN\" \\
#        -H 'Content-Type: application/json' -d '{{}}' {url}/v1/logs
# Cowork sends logs only: prompts, requests with their cost, tool calls. Hooks of its sessions come by a plugin:
#      sessionlake connect hooks --endpoint {url} --token TOKEN
"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::auth::Token;

    fn command(endpoint: &str, json: bool) -> Cowork {
        let token = TokenArg { token: Some(Token::new([7; 30]).reveal().to_owned()) };
        Cowork { endpoint: endpoint.to_owned(), token, json }
    }

    #[test]
    fn the_page_and_the_json_say_the_same() {
        let values: Value = serde_json::from_str(&command("https://c.example.com/", true).text().unwrap()).unwrap();
        let page = command("https://c.example.com/", false).text().unwrap();
        for value in [&values["endpoint"], &values["protocol"], &values["headers"]["Authorization"]] {
            assert!(page.contains(&format!("  {}\n", value.as_str().unwrap())), "{value} is not in\n{page}");
        }
        assert_eq!(values["endpoint"], "https://c.example.com");
    }

    #[test]
    fn an_address_that_cowork_cannot_reach_is_refused() {
        for bad in
            ["http://c.example.com", "https://localhost:4318", "https://127.0.0.1", "https://10.0.0.1", "https://[::1]"]
        {
            assert!(matches!(command(bad, true).text(), Err(Failure::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn a_token_with_a_typo_is_refused_and_not_repeated() {
        let token = TokenArg { token: Some("slk_hunter2".to_owned()) };
        let Err(error) = (Cowork { token, ..command("https://c.example.com", true) }).text() else { panic!("taken") };
        assert!(!error.to_string().contains("hunter2"));
    }
}
