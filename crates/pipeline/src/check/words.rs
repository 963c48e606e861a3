//! Words of messages that depend on what they are about.

use arrow::datatypes::DataType;
use millstream_engine::types::sql_name;

/// The SQL name of a type with its article: `an int`, `a double`.
pub(crate) fn a(data_type: &DataType) -> String {
    let name = sql_name(data_type);
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// A text as a name: what cannot stand in one is `_`.
pub(crate) fn as_name(text: &str) -> String {
    let mut name = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_follow_the_first_letter() {
        assert_eq!(a(&DataType::Int32), "an int");
        assert_eq!(a(&DataType::Float64), "a double");
    }

    #[test]
    fn a_topic_makes_a_name() {
        assert_eq!(as_name("ohlc-1m"), "ohlc_1m");
        assert_eq!(as_name("1m.ohlc"), "_1m_ohlc");
    }
}
