//! What a match has to pass beyond its pattern: checksums, entropy, shape.

use serde::{Serialize, Serializer};

mod national;
mod numbers;
mod tokens;

/// A check of a matched value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Validator {
    /// At least so many hundredths of a bit of Shannon entropy a character.
    Entropy(u32),
    /// One by name.
    Named(&'static Named),
}

/// A check that is known by its name.
#[derive(Debug)]
pub struct Named {
    pub name: &'static str,
    /// For `sessionlake redact rules`.
    pub description: &'static str,
    pub passes: fn(&[u8]) -> bool,
}

impl PartialEq for Named {
    fn eq(&self, other: &Named) -> bool {
        self.name == other.name
    }
}

impl Serialize for Validator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Validator::Entropy(hundredths) => serializer.collect_str(&format_args!("entropy:{hundredths}")),
            Validator::Named(named) => serializer.serialize_str(named.name),
        }
    }
}

impl Validator {
    /// Finds a validator by name.
    pub fn parse(name: &str) -> Option<Validator> {
        all().find(|named| named.name == name).map(Validator::Named)
    }

    pub fn passes(&self, value: &[u8]) -> bool {
        match self {
            Validator::Entropy(hundredths) => entropy(value) * 100.0 >= f64::from(*hundredths),
            Validator::Named(named) => (named.passes)(value),
        }
    }
}

/// The names that [`Validator::parse`] knows.
pub fn names() -> Vec<&'static str> {
    all().map(|named| named.name).collect()
}

/// All named validators.
pub fn all() -> impl Iterator<Item = &'static Named> {
    numbers::VALIDATORS.iter().chain(national::VALIDATORS).chain(tokens::VALIDATORS)
}

/// Shannon entropy in bits a byte.
pub fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    value.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = value.len().max(1) as f64;
    let share = |count: &u32| f64::from(*count) / total;
    -counts.iter().filter(|count| **count > 0).map(|count| share(count) * share(count).log2()).sum::<f64>()
}

/// The decimal digits of a value, without what stands between them.
fn digits(value: &[u8]) -> Vec<u32> {
    value.iter().filter(|b| b.is_ascii_digit()).map(|b| u32::from(b - b'0')).collect()
}
