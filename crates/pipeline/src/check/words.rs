//! Words of messages that depend on what they are about.

use arrow::datatypes::DataType;
use millstream_engine::types::sql_name;

/// The SQL name of a type with its article: `an int`, `a double`.
pub(crate) fn a(data_type: &DataType) -> String {
    let name = sql_name(data_type);
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_follow_the_first_letter() {
        assert_eq!(a(&DataType::Int32), "an int");
        assert_eq!(a(&DataType::Float64), "a double");
    }
}
