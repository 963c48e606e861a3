//! Record keys: their bytes from key columns, and the partition that Kafka's Java clients would choose for them.

use arrow::array::{Array, ArrayRef, BinaryArray, BinaryBuilder, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};

use crate::ids::PartitionId;
use crate::text::{Cells, key_literal};

/// How the key of a record is made from columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStyle {
    /// The plain text of the one column; its null is the null key.
    Plain,
    /// A compact JSON object with these names, one for each column; never null.
    Object(Vec<String>),
    /// The plain texts of the columns with this between them; null only if all columns are.
    Joined(String),
}

/// The keys of the rows of `columns`, which all have the same length.
///
/// # Panics
/// If the columns are not those that the style asks for: a mistake of the plan, never of the data.
pub fn render(columns: &[ArrayRef], style: &KeyStyle) -> BinaryArray {
    let rows = columns.first().map_or(0, |column| column.len());
    let key = Key::new(columns, style);
    let mut keys = BinaryBuilder::with_capacity(rows, rows * 16);
    let mut bytes = Vec::with_capacity(64);
    for row in 0..rows {
        bytes.clear();
        if key.write(row, &mut bytes) {
            keys.append_value(&bytes);
        } else {
            keys.append_null();
        }
    }
    keys.finish()
}

/// `keys` as Kafka Streams writes those of windows: each with the bounds of its window behind it, as 64-bit big-endian
/// milliseconds, in this order (the start; of a session the end, then the start). A null key stays null.
///
/// # Panics
/// If a bound is no column of times: a mistake of the plan, never of the data.
pub fn windowed(keys: &BinaryArray, bounds: &[ArrayRef]) -> BinaryArray {
    let bounds: Vec<Int64Array> = bounds.iter().map(millis).collect();
    let mut out = BinaryBuilder::with_capacity(keys.len(), keys.values().len() + keys.len() * 8 * bounds.len());
    let mut bytes = Vec::with_capacity(64);
    for (row, key) in keys.iter().enumerate() {
        let Some(key) = key else {
            out.append_null();
            continue;
        };
        bytes.clear();
        bytes.extend_from_slice(key);
        for bound in &bounds {
            bytes.extend_from_slice(&bound.value(row).to_be_bytes());
        }
        out.append_value(&bytes);
    }
    out.finish()
}

/// The hash by which Kafka's Java clients place keys (32-bit murmur2 with Kafka's seed).
pub fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (place, &byte) in tail.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key as Kafka's default partitioner in Java chooses it.
///
/// # Panics
/// If `partitions` is 0.
pub fn partition_for(key: &[u8], partitions: u32) -> PartitionId {
    PartitionId((murmur2(key) & 0x7fff_ffff) % partitions)
}

/// Key columns, ready to have keys written one by one.
enum Key {
    Plain(Cells),
    Object(Vec<(Vec<u8>, Cells)>),
    Joined(Vec<Cells>, Vec<u8>),
}

impl Key {
    fn new(columns: &[ArrayRef], style: &KeyStyle) -> Key {
        match style {
            KeyStyle::Plain => {
                assert_eq!(columns.len(), 1, "a plain key has one column");
                Key::Plain(Cells::new(&columns[0]))
            }
            KeyStyle::Object(names) => {
                assert_eq!(columns.len(), names.len(), "a key object has a name for each column");
                let members = columns.iter().zip(names).enumerate();
                Key::Object(members.map(|(i, (column, name))| (key_literal(i, name), Cells::new(column))).collect())
            }
            KeyStyle::Joined(separator) => {
                Key::Joined(columns.iter().map(Cells::new).collect(), separator.clone().into_bytes())
            }
        }
    }

    /// Appends the key of row `row`; returns whether there is one.
    fn write(&self, row: usize, out: &mut Vec<u8>) -> bool {
        match self {
            Key::Plain(cells) => {
                cells.write_text(row, out);
                !cells.is_null(row)
            }
            Key::Object(members) => {
                write_object(members, row, out);
                true
            }
            Key::Joined(parts, separator) => {
                for (index, cells) in parts.iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(separator);
                    }
                    cells.write_text(row, out);
                }
                parts.iter().any(|cells| !cells.is_null(row))
            }
        }
    }
}

fn write_object(members: &[(Vec<u8>, Cells)], row: usize, out: &mut Vec<u8>) {
    if members.is_empty() {
        out.push(b'{');
    }
    for (literal, cells) in members {
        out.extend_from_slice(literal);
        let start = out.len();
        if cells.write_json(row, out).is_err() {
            // What JSON has no word for stands as a string: NaN, times beyond the year 9999.
            out.truncate(start);
            out.push(b'"');
            cells.write_text(row, out);
            out.push(b'"');
        }
    }
    out.push(b'}');
}

/// A column of window bounds as milliseconds.
fn millis(column: &ArrayRef) -> Int64Array {
    let as_millis = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None));
    let as_numbers = as_millis.and_then(|times| cast(&times, &DataType::Int64));
    let numbers = as_numbers.expect("window bounds are times");
    numbers.as_any().downcast_ref::<Int64Array>().cloned().expect("cast to 64-bit integers")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Float64Array, StringArray, TimestampMillisecondArray};

    use super::*;

    #[test]
    fn murmur2_agrees_with_kafkas_own_vectors() {
        let vectors: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (bytes, expected) in vectors {
            assert_eq!(murmur2(bytes) as i32, expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn partitions_are_those_of_the_java_client() {
        // toPositive(-973932308) = 1173551340
        assert_eq!(partition_for(b"21", 10), PartitionId(0));
        assert_eq!(partition_for(b"21", 7), PartitionId(1_173_551_340 % 7));
        assert_eq!(partition_for(b"", 1), PartitionId(0));
    }

    fn columns() -> Vec<ArrayRef> {
        vec![
            Arc::new(StringArray::from(vec![Some("a\"b"), None, None])),
            Arc::new(Int64Array::from(vec![Some(7), Some(-8), None])),
        ]
    }

    fn keys(array: &BinaryArray) -> Vec<Option<&[u8]>> {
        array.iter().collect()
    }

    #[test]
    fn a_plain_key_is_the_text_of_its_column() {
        let columns = columns();
        assert_eq!(keys(&render(&columns[..1], &KeyStyle::Plain)), [Some(&b"a\"b"[..]), None, None]);
        assert_eq!(keys(&render(&columns[1..], &KeyStyle::Plain)), [Some(&b"7"[..]), Some(b"-8"), None]);
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        assert_eq!(keys(&render(&[flags], &KeyStyle::Plain)), [Some(&b"true"[..])]);
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![0]));
        assert_eq!(keys(&render(&[times], &KeyStyle::Plain)), [Some(&b"1970-01-01T00:00:00.000Z"[..])]);
    }

    #[test]
    fn several_columns_make_an_object_or_a_joined_text() {
        let names = KeyStyle::Object(vec!["user".to_owned(), "id".to_owned()]);
        let objects = render(&columns(), &names);
        assert_eq!(objects.value(0), b"{\"user\":\"a\\\"b\",\"id\":7}");
        assert_eq!(objects.value(2), b"{\"user\":null,\"id\":null}");
        let joined = render(&columns(), &KeyStyle::Joined("_".to_owned()));
        assert_eq!(keys(&joined), [Some(&b"a\"b_7"[..]), Some(b"_-8"), None]);
        let nan: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN]));
        assert_eq!(render(&[nan], &KeyStyle::Object(vec!["x".to_owned()])).value(0), b"{\"x\":\"NaN\"}");
    }

    #[test]
    fn windowed_keys_carry_bounds_as_kafka_streams_writes_them() {
        let bound = |ms: i64| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(vec![ms]).with_timezone("UTC")) };
        let key = BinaryArray::from_iter_values([b"k"]);
        assert_eq!(windowed(&key, &[bound(258)]).value(0), b"k\0\0\0\0\0\0\x01\x02");
        let session = windowed(&key, &[bound(-1), bound(258)]);
        assert_eq!(session.value(0), b"k\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\x01\x02");
        let none = BinaryArray::from_iter([None::<&[u8]>]);
        assert_eq!(keys(&windowed(&none, &[bound(1)])), [None]);
    }
}
