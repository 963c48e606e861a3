//! The SQL names of column types, as they stand in messages and plans.

use arrow::datatypes::{DataType, Field, TimeUnit};

/// The SQL name of a type: `bigint`, `decimal(10,2)`, `timestamp(ms)`, `struct<id: int, tags: array<string>>`.
pub fn sql_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "null".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Int8 => "tinyint".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int32 => "int".into(),
        DataType::Int64 => "bigint".into(),
        DataType::UInt8 => "tinyint unsigned".into(),
        DataType::UInt16 => "smallint unsigned".into(),
        DataType::UInt32 => "int unsigned".into(),
        DataType::UInt64 => "bigint unsigned".into(),
        DataType::Float16 => "half".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytes".into()
        }
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Time32(unit) | DataType::Time64(unit) => format!("time({})", unit_name(unit)),
        DataType::Timestamp(unit, _) => format!("timestamp({})", unit_name(unit)),
        DataType::Duration(unit) => format!("duration({})", unit_name(unit)),
        DataType::Interval(_) => "interval".into(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => format!("array<{}>", sql_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| member(field)).collect::<Vec<_>>();
            format!("struct<{}>", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!("map<{}, {}>", sql_name(fields[0].data_type()), sql_name(fields[1].data_type()))
            }
            other => format!("map<{}>", sql_name(other)),
        },
        DataType::Dictionary(_, value) => sql_name(value),
        DataType::RunEndEncoded(_, values) => sql_name(values.data_type()),
        DataType::Union(fields, _) => {
            let fields = fields.iter().map(|(_, field)| member(field)).collect::<Vec<_>>();
            format!("union<{}>", fields.join(", "))
        }
    }
}

fn member(field: &Field) -> String {
    format!("{}: {}", field.name(), sql_name(field.data_type()))
}

fn unit_name(unit: &TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn names_are_those_of_sql() {
        assert_eq!(sql_name(&DataType::Int32), "int");
        assert_eq!(sql_name(&DataType::Utf8View), "string");
        assert_eq!(sql_name(&DataType::Decimal128(38, 2)), "decimal(38,2)");
        assert_eq!(sql_name(&DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))), "timestamp(ms)");
    }

    #[test]
    fn nested_types_name_their_parts() {
        let tags = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
        let both = DataType::Struct(
            vec![Field::new("id", DataType::Int32, false), Field::new("tags", tags.clone(), true)].into(),
        );
        assert_eq!(sql_name(&tags), "array<string>");
        assert_eq!(sql_name(&both), "struct<id: int, tags: array<string>>");
        let entries = DataType::Struct(
            vec![Field::new("keys", DataType::Utf8, false), Field::new("values", DataType::Float64, true)].into(),
        );
        let map = DataType::Map(Arc::new(Field::new("entries", entries, false)), false);
        assert_eq!(sql_name(&map), "map<string, double>");
    }
}
