//! Journal to `facts`.
