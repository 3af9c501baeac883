//! Older versions: a versioned bucket keeps what is deleted or overwritten. `ListObjectVersions`, and `DeleteObject` with a
//! version id.

use object_store::path::Path;
use reqwest::Method;
use serde::Deserialize;

use super::{Bucket, BucketError};

/// A version of an object, or a marker that says that the object is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub key: String,
    pub id: String,
    /// What a plain read finds.
    pub latest: bool,
    pub marker: bool,
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

impl Bucket {
    /// All versions and markers below a prefix.
    ///
    /// # Errors
    /// The bucket does not answer, or refuses.
    pub async fn versions(&self, prefix: &Path) -> Result<Vec<Version>, BucketError> {
        let (mut all, mut after) = (Vec::new(), (None, None));
        loop {
            let mut query = vec![("versions", String::new()), ("prefix", format!("{prefix}/"))];
            query.extend(after.0.take().map(|key| ("key-marker", key)));
            query.extend(after.1.take().map(|id| ("version-id-marker", id)));
            let page: Page = self.page(&query).await?;
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
    pub async fn delete_version(&self, version: &Version) -> Result<(), BucketError> {
        self.send(Method::DELETE, &version.key, &[("versionId", version.id.clone())]).await.map(|_| ())
    }
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
}
