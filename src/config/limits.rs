//! `limits`: what a request may hold, and a workspace may send.

use super::Config;
use super::layer::Layer;
use super::values;
use super::written;
use crate::receiver::QuotaOptions;
use crate::redaction::RecordLimits;

impl Layer<'_> {
    pub(super) fn limits(&mut self, limits: written::Limits, config: &mut Config) {
        let mib = |v: &str| values::integer(v, 1, 1 << 20).map(|n| n << 20);
        self.set(&limits.in_flight_mib, mib, |bytes| config.in_flight_bytes = Some(bytes));
        self.record(&limits, &mut config.limits.record);
        self.quota(&limits.workspace.unwrap_or_default(), &mut config.limits.quota);
    }

    fn record(&mut self, limits: &written::Limits, record: &mut RecordLimits) {
        let size = |v: &str| values::size(v, 1 << 10, 1 << 30).map(|n| n as usize);
        let length = |v: &str| values::size(v, 64, 1 << 30).map(|n| n as usize);
        let count = |v: &str| values::integer(v, 1, 1 << 20).map(|n| n as usize);
        self.set(&limits.record_size, size, |n| record.record_bytes = n);
        self.set(&limits.attribute_value_length_limit, length, |n| record.value_bytes = n);
        self.set(&limits.attribute_key_length_limit, length, |n| record.key_bytes = n);
        self.set(&limits.attribute_count_limit, count, |n| record.attributes = n);
    }

    fn quota(&mut self, written: &written::Quota, quota: &mut QuotaOptions) {
        let percent = |v: &str| values::integer(v, 1, 100).map(|n| n as u32);
        self.set(&written.in_flight_percent, percent, |n| quota.in_flight_percent = n);
        let bytes = |v: &str| values::size(v, 1 << 10, 1 << 40);
        self.set(&written.bytes_per_second, bytes, |n| quota.bytes_per_second = Some(n));
        let records = |v: &str| values::integer(v, 1, 1 << 40);
        self.set(&written.records_per_second, records, |n| quota.records_per_second = Some(n));
    }
}
