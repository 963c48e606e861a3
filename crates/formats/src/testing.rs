//! Seeded randomness and random batches for this crate's tests.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int64Array, ListArray, MapArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
    TimestampMillisecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Schema};

/// SplitMix64: small, seeded, good enough to choose test cases.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn option<T>(&mut self, value: impl FnOnce(&mut Random) -> T) -> Option<T> {
        (self.below(5) > 0).then(|| value(self))
    }

    /// A number of any magnitude and sign.
    fn integer(&mut self) -> i64 {
        (self.next() >> self.below(64)) as i64
    }

    fn double(&mut self) -> f64 {
        let value = match self.below(3) {
            0 => f64::from_bits(self.next()),
            1 => self.below(1_000_000) as f64 / 100.0,
            _ => self.integer() as f64,
        };
        if value.is_finite() { value } else { -0.0 }
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 14] =
            ["a", "Ulm", " ", "\"", "\\", ",", ";", "\n", "\r\n", "\t", "\u{1}", "é", "😀", "null"];
        (0..self.below(6)).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(9)).map(|_| self.next() as u8).collect()
    }

    /// Milliseconds within the years 0 to 9999.
    fn millis(&mut self) -> i64 {
        (self.next() % 315_569_519_999_999) as i64 - 62_167_219_200_000
    }
}

fn rows<T>(rows: usize, random: &mut Random, value: impl Fn(&mut Random) -> T) -> Vec<Option<T>> {
    (0..rows).map(|_| random.option(&value)).collect()
}

/// A column of each flat type.
pub(crate) fn flat_columns(n: usize, random: &mut Random) -> Vec<(Field, ArrayRef)> {
    let decimals = Decimal128Array::from(rows(n, random, |r| i128::from(r.integer())));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("flag", Arc::new(BooleanArray::from(rows(n, random, |r| r.below(2) == 0)))),
        ("small", Arc::new(Int32Array::from(rows(n, random, |r| r.integer() as i32)))),
        ("big", Arc::new(Int64Array::from(rows(n, random, Random::integer)))),
        ("real", Arc::new(Float32Array::from(rows(n, random, |r| r.below(100_000) as f32 / 7.0)))),
        ("double", Arc::new(Float64Array::from(rows(n, random, Random::double)))),
        ("money", Arc::new(decimals.with_precision_and_scale(38, 5).unwrap())),
        ("date", Arc::new(Date32Array::from(rows(n, random, |r| (r.millis() / 86_400_000) as i32)))),
        ("ms", Arc::new(TimestampMillisecondArray::from(rows(n, random, Random::millis)).with_timezone("UTC"))),
        (
            "us",
            Arc::new(TimestampMicrosecondArray::from(rows(n, random, |r| r.millis() * 1000 + 7)).with_timezone("UTC")),
        ),
        ("name with \"quotes\"", Arc::new(StringArray::from(rows(n, random, Random::text)))),
        ("bytes", Arc::new(rows(n, random, Random::bytes).into_iter().collect::<BinaryArray>())),
    ];
    columns.into_iter().map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array)).collect()
}

/// A struct, a list of structs and a map over flat columns.
pub(crate) fn nested_columns(n: usize, random: &mut Random) -> Vec<(Field, ArrayRef)> {
    let validity = |random: &mut Random| NullBuffer::from((0..n).map(|_| random.below(4) > 0).collect::<Vec<_>>());
    let (fields, columns): (Vec<_>, Vec<_>) = flat_columns(n, random).into_iter().unzip();
    let nulls = validity(random);
    let object: ArrayRef = Arc::new(StructArray::new(Fields::from(fields), columns, Some(nulls)));

    let lengths = (0..n).map(|_| random.below(4)).collect::<Vec<_>>();
    let (fields, columns): (Vec<_>, Vec<_>) = flat_columns(lengths.iter().sum(), random).into_iter().unzip();
    let fields = Fields::from(fields);
    let items = Arc::new(StructArray::new(fields.clone(), columns, None));
    let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
    let list: ArrayRef = Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), items, None));

    let lengths = (0..n).map(|_| random.below(4)).collect::<Vec<_>>();
    let names = lengths.iter().flat_map(|&len| (0..len).map(|i| format!("k{i}\n"))).collect::<Vec<_>>();
    let values = Int64Array::from(rows(names.len(), random, Random::integer));
    let fields =
        Fields::from(vec![Field::new("keys", DataType::Utf8, false), Field::new("values", DataType::Int64, true)]);
    let entries = StructArray::new(fields.clone(), vec![Arc::new(StringArray::from(names)), Arc::new(values)], None);
    let entry = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    let map: ArrayRef = Arc::new(MapArray::new(entry, OffsetBuffer::from_lengths(lengths), entries, None, false));

    let columns = [("object", object), ("list", list), ("map", map)];
    columns.map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array)).into()
}

pub(crate) fn batch(columns: Vec<(Field, ArrayRef)>) -> RecordBatch {
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}
