//! Dice that fall the same way for the same seed.

const WORDS: [&str; 48] = [
    "the", "file", "test", "error", "function", "returns", "value", "when", "request", "server", "cannot", "be",
    "found", "in", "module", "import", "let", "const", "async", "await", "build", "failed", "passed", "with", "and",
    "config", "path", "src", "lib", "main", "parse", "string", "number", "list", "map", "session", "token", "cache",
    "table", "query", "index", "commit", "branch", "merge", "update", "delete", "because", "should",
];

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Below `bound`, small numbers more often: as few users do most of the work.
    pub fn often_small(&mut self, bound: u64) -> u64 {
        self.below(bound).min(self.below(bound))
    }

    /// Once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.next() as usize % these.len()]
    }

    /// Text of about `bytes`, that compresses as prose and code do: words, and numbers among them.
    pub fn text(&mut self, bytes: u64) -> String {
        let mut text = String::new();
        while (text.len() as u64) < bytes {
            let dice = self.next();
            match dice % 12 {
                0 => text.push_str(&format!("{:x}", dice >> 40)),
                n => {
                    text.push_str(WORDS[(dice >> 8) as usize % WORDS.len()]);
                    if n == 1 {
                        text.push('\n');
                    }
                }
            }
            text.push(' ');
        }
        text
    }

    pub fn id(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", a >> 32, a & 0xffff, (a >> 16) & 0xfff, b & 0xfff, b >> 16)
    }
}
