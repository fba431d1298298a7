//! One write or delete in a request body.

use bytes::Bytes;
use dapr_pluggable::Metadata;
use dapr_pluggable::state::{DeleteRequest, Etag, SetRequest};
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::super::json::{Object, read, read_metadata, read_object, read_optional};
use super::super::path::Parameters;
use super::{concurrency, consistency};

/// `{key, value, etag, metadata, options, contentType}`
#[derive(Debug, Default)]
pub(super) struct Item<'de> {
    pub(super) key: String,
    value: Option<&'de RawValue>,
    etag: Option<String>,
    metadata: Metadata,
    options: Options,
    content_type: String,
}

#[derive(Debug, Default)]
struct Options {
    concurrency: String,
    consistency: String,
}

impl<'de> Object<'de> for Item<'de> {
    const WHAT: &'static str = "an object with key and value";

    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "key" => read(&mut self.key, map),
            "value" => read_optional(&mut self.value, map),
            "etag" => read_optional(&mut self.etag, map),
            "metadata" => read_metadata(&mut self.metadata, map),
            "options" => read_object(&mut self.options, map),
            "contenttype" => read(&mut self.content_type, map),
            _ => Ok(false),
        }
    }
}

impl<'de> Object<'de> for Options {
    const WHAT: &'static str = "an object with concurrency and consistency";

    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "concurrency" => read(&mut self.concurrency, map),
            "consistency" => read(&mut self.consistency, map),
            _ => Ok(false),
        }
    }
}

impl Item<'_> {
    /// The write of this item under the key that the store has; `None` without a value.
    pub(super) fn into_set(self, key: String, parameters: &Parameters) -> Option<SetRequest> {
        let value = Bytes::copy_from_slice(self.value?.get().as_bytes());
        let mut request = SetRequest::new(key, value);
        request.etag = self.etag.map(Etag::new);
        request.metadata = self.metadata;
        parameters.merge_metadata(&mut request.metadata);
        request.concurrency = concurrency(&self.options.concurrency);
        request.consistency = consistency(&self.options.consistency);
        request.content_type = Some(self.content_type).filter(|name| !name.is_empty());
        Some(request)
    }

    /// The delete of this item under the key that the store has.
    pub(super) fn into_delete(self, key: String, parameters: &Parameters) -> DeleteRequest {
        let mut request = DeleteRequest::new(key);
        request.etag = self.etag.map(Etag::new);
        request.metadata = self.metadata;
        parameters.merge_metadata(&mut request.metadata);
        request.concurrency = concurrency(&self.options.concurrency);
        request.consistency = consistency(&self.options.consistency);
        request
    }
}
