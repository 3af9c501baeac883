//! Facts to `events` and `sessions`.
