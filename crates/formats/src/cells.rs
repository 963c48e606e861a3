//! The values of columns, at hand for writing one by one.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};

/// The type that values of a type are cast to before they are written, if it is another.
pub(crate) fn normal(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        _ => return None,
    })
}

/// The values of a column, at hand for writing.
pub(crate) struct Cells {
    nulls: Option<NullBuffer>,
    pub(crate) values: Values,
}

/// By type.
pub(crate) enum Values {
    Null,
    Boolean(BooleanArray),
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    Float32(ScalarBuffer<f32>),
    Float64(ScalarBuffer<f64>),
    Decimal(ScalarBuffer<i128>),
    Sized(OffsetBuffer<i32>, Buffer),
    Struct(Vec<Cells>),
    List(OffsetBuffer<i32>, Box<Cells>),
    Map(OffsetBuffer<i32>, Box<[Cells; 2]>),
}

impl Cells {
    /// The columns of a batch.
    pub(crate) fn of_columns(columns: Vec<ArrayRef>) -> Cells {
        Cells { nulls: None, values: Values::Struct(columns.iter().map(Cells::new).collect()) }
    }

    fn new(array: &ArrayRef) -> Cells {
        let array = match normal(array.data_type()) {
            Some(to) => &cast(array, &to).expect("numbers and texts are cast to wider ones"),
            None => array,
        };
        let values = match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Boolean(array.as_boolean().clone()),
            DataType::Int32 => Values::Int32(array.as_primitive::<Int32Type>().values().clone()),
            DataType::Date32 => Values::Int32(array.as_primitive::<Date32Type>().values().clone()),
            DataType::Int64 => Values::Int64(array.as_primitive::<Int64Type>().values().clone()),
            DataType::Timestamp(unit, _) => Values::Int64(match unit {
                TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values().clone(),
                TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values().clone(),
                TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values().clone(),
                TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values().clone(),
            }),
            DataType::Float32 => Values::Float32(array.as_primitive::<Float32Type>().values().clone()),
            DataType::Float64 => Values::Float64(array.as_primitive::<Float64Type>().values().clone()),
            DataType::Decimal128(_, _) => Values::Decimal(array.as_primitive::<Decimal128Type>().values().clone()),
            DataType::Utf8 => {
                let texts = array.as_string::<i32>();
                Values::Sized(texts.offsets().clone(), texts.values().clone())
            }
            DataType::Binary => {
                let bytes = array.as_binary::<i32>();
                Values::Sized(bytes.offsets().clone(), bytes.values().clone())
            }
            DataType::Struct(_) => Values::Struct(array.as_struct().columns().iter().map(Cells::new).collect()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Values::List(list.offsets().clone(), Box::new(Cells::new(list.values())))
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                Values::Map(map.offsets().clone(), Box::new([Cells::new(map.keys()), Cells::new(map.values())]))
            }
            other => unreachable!("{other} is refused when the writer is made"),
        };
        Cells { nulls: array.logical_nulls().filter(|nulls| nulls.null_count() > 0), values }
    }

    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}
