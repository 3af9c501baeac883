//! The lake's key: names facts and tags without revealing what they were made from.

/// 32 random bytes that belong to the lake (`_sessionlake/keys/`), so that all replicas name the same record alike.
#[derive(Clone)]
pub struct LakeKey([u8; 32]);

impl LakeKey {
    /// Stands for the key where no lake is known: nothing that is made with it may leave this process.
    pub const NONE: LakeKey = LakeKey([0; 32]);

    pub fn new(bytes: [u8; 32]) -> LakeKey {
        LakeKey(bytes)
    }

    pub fn is_none(&self) -> bool {
        self.0 == LakeKey::NONE.0
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A keyed hasher for one purpose; hashes of different purposes never collide by construction.
    pub fn hasher(&self, purpose: &str) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&(purpose.len() as u64).to_le_bytes());
        hasher.update(purpose.as_bytes());
        hasher
    }

    /// 16 bytes that name the given parts, each length-prefixed.
    pub fn name(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 16] {
        let mut hasher = self.hasher(purpose);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        first16(&hasher)
    }
}

/// The first 16 bytes of a finished hash.
pub fn first16(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut id = [0u8; 16];
    hasher.finalize_xof().fill(&mut id);
    id
}

impl std::fmt::Debug for LakeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LakeKey(..)")
    }
}
