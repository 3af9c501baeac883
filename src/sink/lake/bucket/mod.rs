//! What a bucket can do and `object_store` has no word for: older versions of objects, uploads that were never finished.
//! Requests as in the S3 API, signed as the store's are.

mod uploads;
mod versions;

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer};
use object_store::client::HttpRequestBody;
use reqwest::{Client, Method};
use serde::de::DeserializeOwned;
use url::Url;

pub use versions::Version;

/// One request lists at most a thousand things.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Where a bucket is and how requests to it are signed.
pub struct Address {
    bucket: String,
    region: String,
}

impl Address {
    /// As the builder of the store has it.
    pub fn of(builder: &AmazonS3Builder, bucket: &str) -> Address {
        let value = |key| builder.get_config_value(&key);
        let region = value(AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned());
        let hosted = value(AmazonS3ConfigKey::VirtualHostedStyleRequest).is_some_and(|on| on == "true");
        let bucket = match value(AmazonS3ConfigKey::Endpoint) {
            // The host's name has the bucket in it.
            Some(endpoint) if hosted => endpoint.trim_end_matches('/').to_owned(),
            Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            None => format!("https://s3.{region}.amazonaws.com/{bucket}"),
        };
        Address { bucket, region }
    }
}

/// A bucket, beside the store that reads and writes its objects.
pub struct Bucket {
    store: AmazonS3,
    address: Address,
    client: Client,
}

/// Why the bucket did not do it. Names no credentials.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error("no credentials for the bucket: {0}")]
    Credentials(object_store::Error),
    #[error("the bucket did not answer: {}", .0.to_string())]
    Http(#[from] reqwest::Error),
    #[error("the bucket answered {status}{}", .code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Refused { status: u16, code: Option<String> },
    #[error("the bucket's answer is not what was asked for: {0}")]
    Answer(String),
}

impl BucketError {
    /// Whether the bucket has nothing of the kind.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, BucketError::Refused { status: 405 | 501, .. })
    }
}

impl Bucket {
    /// # Errors
    /// The TLS backend cannot be set up.
    pub fn new(store: AmazonS3, address: Address) -> Result<Bucket, BucketError> {
        Ok(Bucket { store, address, client: Client::builder().timeout(TIMEOUT).build()? })
    }

    /// A page of a listing of the bucket.
    async fn page<T: DeserializeOwned>(&self, query: &[(&str, String)]) -> Result<T, BucketError> {
        let text = self.send(Method::GET, "", query).await?;
        quick_xml::de::from_str(&text).map_err(|e| BucketError::Answer(e.to_string()))
    }

    async fn send(&self, method: Method, key: &str, query: &[(&str, String)]) -> Result<String, BucketError> {
        let url = format!("{}/{}", self.address.bucket, encode(key));
        let mut url = Url::parse(url.trim_end_matches('/')).map_err(|e| BucketError::Answer(e.to_string()))?;
        url.query_pairs_mut().extend_pairs(query);
        let credential = self.store.credentials().get_credential().await.map_err(BucketError::Credentials)?;
        let request = http::Request::builder().method(method.clone()).uri(url.as_str()).body(HttpRequestBody::empty());
        let mut request = request.map_err(|e| BucketError::Answer(e.to_string()))?;
        AwsAuthorizer::new(&credential, "s3", &self.address.region).authorize(&mut request, None);
        let answer = self.client.request(method, url).headers(request.headers().clone()).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        match status.is_success() {
            true => Ok(text),
            false => Err(BucketError::Refused { status: status.as_u16(), code: code(&text) }),
        }
    }
}

/// The error's name in S3's answer.
fn code(answer: &str) -> Option<String> {
    let (_, rest) = answer.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    (code.len() < 64).then(|| code.to_owned())
}

/// As the signature wants a path: everything but letters, digits, `-._~` and `/` in percent.
fn encode(key: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_as_signatures_want_them() {
        assert_eq!(encode("a/date=2026-01-02/p~1.parquet"), "a/date%3D2026-01-02/p~1.parquet");
        assert_eq!(code("<Error><Code>AccessDenied</Code></Error>").as_deref(), Some("AccessDenied"));
    }
}
