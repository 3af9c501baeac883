//! What scalars mean: durations, sizes, addresses, URLs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::tls::MinVersion;

/// Why a scalar means nothing here, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    /// Never holds any of the value.
    pub help: Option<String>,
}

pub fn wrong(message: impl Into<String>, help: impl Into<String>) -> Wrong {
    Wrong { message: message.into(), help: Some(help.into()) }
}

pub fn text(value: &str) -> Result<String, Wrong> {
    match value.is_empty() {
        true => Err(wrong("value is empty", "write a value or remove the key")),
        false => Ok(value.to_owned()),
    }
}

pub fn boolean(value: &str) -> Result<bool, Wrong> {
    match value {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err(wrong(format!("'{value}' is neither true nor false"), "write true or false")),
    }
}

/// A whole number from `least` to `most`.
pub fn integer(value: &str, least: u64, most: u64) -> Result<u64, Wrong> {
    value.parse().ok().filter(|n| (least..=most).contains(n)).ok_or_else(|| {
        wrong(format!("'{value}' is no number in range"), format!("write a whole number from {least} to {most}"))
    })
}

const DURATION_HELP: &str = "write a number with a unit (ms, s, m, h, d), as in 200ms, 5s, 10m or 1h30m";

/// A duration as the collector writes it, and days: `200ms`, `5s`, `1h30m`, `30d`.
pub fn duration(value: &str) -> Result<Duration, Wrong> {
    let no_duration = || wrong(format!("'{value}' is no duration"), DURATION_HELP);
    let mut rest = value;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (part, after) = duration_part(rest).ok_or_else(no_duration)?;
        total = total.checked_add(part).ok_or_else(no_duration)?;
        rest = after;
    }
    if value.is_empty() { Err(no_duration()) } else { Ok(total) }
}

/// The first number with its unit, and what follows it.
fn duration_part(text: &str) -> Option<(Duration, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some((Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(millis)?), rest))
}

/// A duration from `least` to `most` (as texts, for the message).
pub fn duration_in(value: &str, least: &str, most: &str) -> Result<Duration, Wrong> {
    let found = duration(value)?;
    if (duration(least)?..=duration(most)?).contains(&found) {
        return Ok(found);
    }
    Err(wrong(format!("'{value}' is out of range"), format!("write a duration from {least} to {most}")))
}

/// A size in bytes: `20971520`, `20MiB`, `512 KiB`.
pub fn size(value: &str, least: u64, most: u64) -> Result<u64, Wrong> {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong(format!("'{value}' is no size"), "write bytes, or a number with KiB, MiB or GiB")),
    };
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    bytes.filter(|n| (least..=most).contains(n)).ok_or_else(|| {
        wrong(
            format!("'{value}' is no size in range"),
            format!("write a size from {least} to {most} bytes, as in 64MiB"),
        )
    })
}

/// Where to listen: `127.0.0.1:4317`, `[::1]:4317`, `localhost:4317`. Names are not looked up.
pub fn listen_address(value: &str) -> Result<SocketAddr, Wrong> {
    if value.contains("://") {
        let message = format!("'{value}' is a URL, but a listener's endpoint is an address and a port");
        return Err(wrong(message, "write the address and the port alone, as in localhost:13133"));
    }
    let local = value.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let local = local.map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    local.or_else(|| value.parse().ok()).ok_or_else(|| {
        let help = "write an IP address and a port, as in 127.0.0.1:4318, [::1]:4318, 0.0.0.0:4318 or localhost:4318";
        wrong(format!("'{value}' is no address to listen on"), help)
    })
}

/// The oldest version of TLS to speak, as the collector writes it.
pub fn tls_version(value: &str) -> Result<MinVersion, Wrong> {
    match value {
        "1.2" => Ok(MinVersion::Tls12),
        "1.3" => Ok(MinVersion::Tls13),
        "1.0" | "1.1" => Err(wrong(format!("TLS {value} is not safe, and not available"), "write 1.2 or 1.3")),
        _ => Err(wrong(format!("'{value}' is no version of TLS"), "write 1.2 or 1.3")),
    }
}

const LAKE_HELP: &str = "write s3://bucket/prefix, file:///absolute/path, or a directory";

/// Where the lake is: `s3://bucket/prefix`, `file:///...` or a directory.
pub fn lake_url(value: &str) -> Result<String, Wrong> {
    let Some((scheme, rest)) = value.split_once("://") else { return text(value) };
    match scheme {
        "s3" => bucket_url(value),
        "file" if rest.starts_with('/') => Ok(value.to_owned()),
        "file" => Err(wrong(format!("'{value}' has no absolute path"), LAKE_HELP)),
        _ => Err(wrong(format!("a lake cannot be at '{scheme}://'"), LAKE_HELP)),
    }
}

fn bucket_url(value: &str) -> Result<String, Wrong> {
    let url = url::Url::parse(value).map_err(|e| wrong(format!("'{value}' is no URL: {e}"), LAKE_HELP))?;
    if url.password().is_some() || !url.username().is_empty() {
        return Err(wrong(
            "a lake's URL takes no credentials",
            "use exporters.lake.storage or the usual AWS variables",
        ));
    }
    if url.host_str().is_none_or(str::is_empty) || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(format!("'{value}' names no bucket and prefix"), LAKE_HELP));
    }
    Ok(value.to_owned())
}

/// The base URL of an HTTP service.
pub fn http_url(value: &str) -> Result<String, Wrong> {
    let help = "write https://host or http://host:port";
    let url = url::Url::parse(value).map_err(|e| wrong(format!("'{value}' is no URL: {e}"), help))?;
    if url.host().is_some_and(is_link_local) {
        return Err(wrong(format!("'{value}' is a link-local address, where clouds keep credentials"), help));
    }
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(value.to_owned()),
        _ => Err(wrong(format!("'{value}' is no http or https URL"), help)),
    }
}

/// 169.254.0.0/16, which holds the metadata service of most clouds, and fe80::/10; in any of their forms.
fn is_link_local(host: url::Host<&str>) -> bool {
    match host {
        url::Host::Domain(_) => false,
        url::Host::Ipv4(address) => address.is_link_local(),
        url::Host::Ipv6(address) => {
            address.is_unicast_link_local() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_link_local())
        }
    }
}

/// One of a few words.
pub fn one_of<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        wrong(format!("'{value}' is not known here"), format!("write one of: {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_mean_what_the_collector_means_and_know_days() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
    }

    #[test]
    fn a_number_without_unit_or_an_overflow_is_no_duration() {
        for bad in ["", "5", "s", "5 s", "-5s", "1.5h", "5s3", "99999999999999999999d", "18446744073709551615d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn listeners_are_addresses_and_never_looked_up() {
        assert_eq!(listen_address("localhost:4318").unwrap().to_string(), "127.0.0.1:4318");
        assert_eq!(listen_address("[::1]:0").unwrap().to_string(), "[::1]:0");
        for bad in ["collector.example.com:4318", ":4318", "127.0.0.1", "127.0.0.1:99999", "http://localhost:4318"] {
            assert!(listen_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_binary_units_and_bounds() {
        assert_eq!(size("20MiB", 1, 1 << 30), Ok(20 << 20));
        assert_eq!(size("20971520", 1, 1 << 30), Ok(20 << 20));
        for bad in ["", "MiB", "20MB", "2GiB", "0", "-1"] {
            assert!(size(bad, 1, 1 << 30).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_store_is_not_the_clouds_metadata_service() {
        for bad in
            ["http://169.254.169.254/latest", "http://2852039166", "http://[::ffff:a9fe:a9fe]", "http://[fe80::1]"]
        {
            assert!(http_url(bad).is_err(), "{bad}");
        }
        assert!(http_url("http://127.0.0.1:8333").is_ok() && http_url("https://s3.example.com").is_ok());
    }

    #[test]
    fn a_lake_is_a_directory_or_a_bucket_without_credentials_in_its_url() {
        for good in ["s3://acme/prod", "file:///var/lake", "./lake", "/var/lake"] {
            assert!(lake_url(good).is_ok(), "{good}");
        }
        for bad in ["gs://acme/prod", "file://lake", "s3://", "s3://key:secret@acme/prod", "s3://acme?x=1", ""] {
            assert!(lake_url(bad).is_err(), "{bad}");
        }
    }
}
