//! Older versions of a bucket's objects: a versioned bucket keeps what is deleted or overwritten, and `object_store` has
//! no word for it. Requests as in the S3 API: `ListObjectVersions`, `DeleteObject` with a version id.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer};
use object_store::client::HttpRequestBody;
use object_store::path::Path;
use reqwest::{Client, Method};
use serde::Deserialize;
use url::Url;

/// One request lists at most a thousand versions.
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

/// The versions of a bucket's objects.
pub struct Versions {
    store: AmazonS3,
    address: Address,
    client: Client,
}

/// A version of an object, or a marker that says that the object is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub key: String,
    pub id: String,
    /// What a plain read finds.
    pub latest: bool,
    pub marker: bool,
}

/// Why versions were not listed or deleted. Names no credentials.
#[derive(Debug, thiserror::Error)]
pub enum VersionsError {
    #[error("no credentials for the bucket: {0}")]
    Credentials(object_store::Error),
    #[error("the bucket did not answer: {}", .0.to_string())]
    Http(#[from] reqwest::Error),
    #[error("the bucket answered {status}{}", .code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Refused { status: u16, code: Option<String> },
    #[error("the bucket's answer is no list of versions: {0}")]
    Answer(String),
}

impl VersionsError {
    /// Whether the bucket has no versions to tell of.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, VersionsError::Refused { status: 405 | 501, .. })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_version_id_marker: Option<String>,
    #[serde(default)]
    version: Vec<Listed>,
    #[serde(default)]
    delete_marker: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    version_id: String,
    #[serde(default)]
    is_latest: bool,
}

impl Listed {
    fn version(self, marker: bool) -> Version {
        Version { key: self.key, id: self.version_id, latest: self.is_latest, marker }
    }
}

impl Versions {
    /// # Errors
    /// The TLS backend cannot be set up.
    pub fn new(store: AmazonS3, address: Address) -> Result<Versions, VersionsError> {
        Ok(Versions { store, address, client: Client::builder().timeout(TIMEOUT).build()? })
    }

    /// All versions and markers below a prefix.
    ///
    /// # Errors
    /// The bucket does not answer, or refuses.
    pub async fn list(&self, prefix: &Path) -> Result<Vec<Version>, VersionsError> {
        let (mut all, mut after) = (Vec::new(), (None, None));
        loop {
            let mut query = vec![("versions", String::new()), ("prefix", format!("{prefix}/"))];
            query.extend(after.0.take().map(|key| ("key-marker", key)));
            query.extend(after.1.take().map(|id| ("version-id-marker", id)));
            let text = self.send(Method::GET, "", &query).await?;
            let page: Page = quick_xml::de::from_str(&text).map_err(|e| VersionsError::Answer(e.to_string()))?;
            all.extend(page.version.into_iter().map(|listed| listed.version(false)));
            all.extend(page.delete_marker.into_iter().map(|listed| listed.version(true)));
            if !page.is_truncated || page.next_key_marker.is_none() {
                return Ok(all);
            }
            after = (page.next_key_marker, page.next_version_id_marker);
        }
    }

    /// Deletes one version for good.
    ///
    /// # Errors
    /// The bucket does not answer, or refuses (a lock on objects, missing rights).
    pub async fn delete(&self, version: &Version) -> Result<(), VersionsError> {
        self.send(Method::DELETE, &version.key, &[("versionId", version.id.clone())]).await.map(|_| ())
    }

    async fn send(&self, method: Method, key: &str, query: &[(&str, String)]) -> Result<String, VersionsError> {
        let url = format!("{}/{}", self.address.bucket, encode(key));
        let mut url = Url::parse(url.trim_end_matches('/')).map_err(|e| VersionsError::Answer(e.to_string()))?;
        url.query_pairs_mut().extend_pairs(query);
        let credential = self.store.credentials().get_credential().await.map_err(VersionsError::Credentials)?;
        let request = http::Request::builder().method(method.clone()).uri(url.as_str()).body(HttpRequestBody::empty());
        let mut request = request.map_err(|e| VersionsError::Answer(e.to_string()))?;
        AwsAuthorizer::new(&credential, "s3", &self.address.region).authorize(&mut request, None);
        let answer = self.client.request(method, url).headers(request.headers().clone()).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        match status.is_success() {
            true => Ok(text),
            false => Err(VersionsError::Refused { status: status.as_u16(), code: code(&text) }),
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
    fn pages_are_read_with_versions_and_markers_between_each_other() {
        let page = r#"<?xml version="1.0"?><ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <IsTruncated>true</IsTruncated><NextKeyMarker>b</NextKeyMarker><NextVersionIdMarker>2</NextVersionIdMarker>
            <Version><Key>a&amp;1</Key><VersionId>1</VersionId><IsLatest>true</IsLatest><Size>3</Size></Version>
            <DeleteMarker><Key>b</Key><VersionId>2</VersionId><IsLatest>true</IsLatest></DeleteMarker>
            <Version><Key>b</Key><VersionId>1</VersionId><IsLatest>false</IsLatest></Version></ListVersionsResult>"#;
        let page: Page = quick_xml::de::from_str(page).unwrap();
        assert!(page.is_truncated && page.next_key_marker.as_deref() == Some("b"));
        assert_eq!(page.version[0].key, "a&1");
        assert_eq!((page.version.len(), page.delete_marker.len()), (2, 1));
        let empty: Page = quick_xml::de::from_str("<ListVersionsResult><Prefix/></ListVersionsResult>").unwrap();
        assert!(empty.version.is_empty() && !empty.is_truncated);
    }

    #[test]
    fn keys_are_encoded_as_signatures_want_them() {
        assert_eq!(encode("a/date=2026-01-02/p~1.parquet"), "a/date%3D2026-01-02/p~1.parquet");
        assert_eq!(code("<Error><Code>AccessDenied</Code></Error>").as_deref(), Some("AccessDenied"));
    }
}
