//! Uploads in parts that were begun and never finished: their parts are in no listing of objects, and are kept until they
//! are aborted. `ListMultipartUploads`, `AbortMultipartUpload`.

use chrono::{DateTime, Utc};
use object_store::path::Path;
use reqwest::Method;
use serde::Deserialize;

use super::{Bucket, BucketError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    #[serde(default)]
    upload: Vec<Upload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
    initiated: DateTime<Utc>,
}

impl Bucket {
    /// Aborts uploads below a prefix that were begun before a time, UTC microseconds; says how many.
    ///
    /// # Errors
    /// The bucket does not answer, or refuses.
    pub async fn abort_uploads(&self, prefix: &Path, before: i64) -> Result<usize, BucketError> {
        let (mut aborted, mut after) = (0, (None, None));
        loop {
            let mut query = vec![("uploads", String::new()), ("prefix", format!("{prefix}/"))];
            query.extend(after.0.take().map(|key| ("key-marker", key)));
            query.extend(after.1.take().map(|id| ("upload-id-marker", id)));
            let page: Page = self.page(&query).await?;
            for upload in page.upload.iter().filter(|upload| upload.initiated.timestamp_micros() < before) {
                match self.send(Method::DELETE, &upload.key, &[("uploadId", upload.upload_id.clone())]).await {
                    // Finished or aborted meanwhile.
                    Err(BucketError::Refused { status: 404, .. }) => {}
                    answer => aborted += answer.map(|_| 1)?,
                }
            }
            if !page.is_truncated || page.next_key_marker.is_none() {
                return Ok(aborted);
            }
            after = (page.next_key_marker, page.next_upload_id_marker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_with_any_number_of_uploads() {
        let page = r#"<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket>
            <IsTruncated>false</IsTruncated><Upload><Key>a/1</Key><UploadId>u1</UploadId><Initiator/>
            <Initiated>2026-11-26T04:05:06.000Z</Initiated></Upload></ListMultipartUploadsResult>"#;
        let page: Page = quick_xml::de::from_str(page).unwrap();
        let [upload] = page.upload.as_slice() else { panic!("{} uploads", page.upload.len()) };
        assert_eq!((upload.key.as_str(), upload.upload_id.as_str()), ("a/1", "u1"));
        assert_eq!(upload.initiated.timestamp(), 1_795_665_906);
        let empty: Page =
            quick_xml::de::from_str("<ListMultipartUploadsResult><Bucket>b</Bucket></ListMultipartUploadsResult>")
                .unwrap();
        assert!(empty.upload.is_empty() && !empty.is_truncated);
    }
}
