//! Asks the bloom filters of Parquet files for texts: whoever has a file and a guess can do the same.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use parquet::file::properties::ReaderProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};

/// How often filters were asked.
#[derive(Debug, Default)]
pub struct Probes {
    pub filters: usize,
    pub asked: usize,
    /// Answers that do not rule a text out.
    pub maybe: usize,
}

/// Asks every filter of every file under `folder` for every text.
pub fn probe(folder: &Path, texts: &[String]) -> Probes {
    let mut probes = Probes::default();
    for path in files(folder).iter().filter(|path| path.extension().is_some_and(|e| e == "parquet")) {
        let properties = ReaderProperties::builder().set_read_bloom_filter(true).build();
        let options = ReadOptionsBuilder::new().with_reader_properties(properties).build();
        let reader = SerializedFileReader::new_with_options(File::open(path).unwrap(), options).unwrap();
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).unwrap();
            for filter in (0..group.num_columns()).filter_map(|column| group.get_column_bloom_filter(column)) {
                probes.filters += 1;
                probes.asked += texts.len();
                probes.maybe += texts.iter().filter(|text| filter.check(text.as_str())).count();
            }
        }
    }
    probes
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
