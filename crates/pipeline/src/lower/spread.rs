//! How the rows of a stream are spread over partitions, and what their key is: what decides where a repartition is due.

use std::collections::BTreeSet;

use super::graph::Value;

/// How rows are spread over the partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spread {
    /// All are in one partition.
    One,
    /// Rows with equal values in these columns (never none) are in one partition.
    By(BTreeSet<String>, Width),
    /// Nothing is known.
    Unknown,
}

/// How many partitions there are: streams may be merged without losing their spread only where this is equal and known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// Those of a source topic, if their number is known.
    Source(Option<u32>),
    /// Those of the repartitions into one subtopology.
    Exchange,
}

impl Spread {
    /// Whether all rows with equal values in `by` are sure to be in one partition.
    pub(crate) fn holds_for(&self, by: &[String]) -> bool {
        match self {
            Spread::One => true,
            Spread::By(columns, _) => columns.iter().all(|column| by.contains(column)),
            Spread::Unknown => false,
        }
    }

    /// The spread once columns are replaced: columns that are carried on keep their meaning under their new names.
    pub(crate) fn through(&self, outputs: &[(String, Value)]) -> Spread {
        let Spread::By(columns, width) = self else { return self.clone() };
        let carried = columns.iter().map(|column| carried(column, outputs)).collect::<Option<BTreeSet<_>>>();
        carried.map_or(Spread::Unknown, |columns| Spread::By(columns, *width))
    }

    /// The spread once `column` no longer holds what it held.
    pub(crate) fn without(&self, column: &str) -> Spread {
        match self {
            Spread::By(columns, _) if columns.contains(column) => Spread::Unknown,
            other => other.clone(),
        }
    }

    /// The spread of several streams read by one task.
    pub(crate) fn merged(spreads: &[&Spread]) -> Spread {
        let Some((first, rest)) = spreads.split_first() else { return Spread::Unknown };
        let equal = rest.iter().all(|spread| spread == first);
        match first {
            Spread::By(_, Width::Source(None)) if !rest.is_empty() => Spread::Unknown,
            _ if equal => (*first).clone(),
            _ => Spread::Unknown,
        }
    }
}

/// What the key of a message would be by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordKey {
    /// The bytes of the source message's key.
    Source,
    /// The columns of the last keyed step, by name; none: the step had one group.
    Columns(Vec<String>),
    /// The columns of the last keyed step, of which this one is gone.
    Lost(String),
    /// Streams with different keys have been merged.
    Mixed,
}

impl RecordKey {
    /// The key once columns are replaced.
    pub(crate) fn through(&self, outputs: &[(String, Value)]) -> RecordKey {
        let RecordKey::Columns(columns) = self else { return self.clone() };
        let mut kept = Vec::new();
        for column in columns {
            // A column that is computed anew under the same name is still the one that the step named.
            let same_name = outputs.iter().find(|(name, _)| name == column).map(|(name, _)| name.clone());
            match carried(column, outputs).or(same_name) {
                Some(name) => kept.push(name),
                None => return RecordKey::Lost(column.clone()),
            }
        }
        RecordKey::Columns(kept)
    }

    /// The key of several streams as one.
    pub(crate) fn merged(keys: &[&RecordKey]) -> RecordKey {
        match keys.split_first() {
            Some((first, rest)) if rest.iter().all(|key| key == first) => (*first).clone(),
            _ => RecordKey::Mixed,
        }
    }
}

/// The name under which a column of the input goes on as it is; its own name first.
fn carried(column: &str, outputs: &[(String, Value)]) -> Option<String> {
    let is_it = |value: &Value| matches!(value, Value::Column(from) if from == column);
    let own = outputs.iter().find(|(name, value)| name == column && is_it(value));
    own.or_else(|| outputs.iter().find(|(_, value)| is_it(value))).map(|(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(columns: &[&str]) -> Spread {
        Spread::By(columns.iter().map(|&column| column.to_owned()).collect(), Width::Exchange)
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_spread_holds_for_more_columns_but_not_for_fewer() {
        assert!(by(&["a"]).holds_for(&strings(&["a", "b"])));
        assert!(!by(&["a", "b"]).holds_for(&strings(&["a"])));
        assert!(Spread::One.holds_for(&[]));
        assert!(!Spread::Unknown.holds_for(&strings(&["a"])));
        assert!(!by(&["a"]).holds_for(&[]));
    }

    #[test]
    fn a_spread_follows_renamed_columns_and_ends_with_replaced_ones() {
        let renamed = [("b".to_owned(), Value::Column("a".to_owned()))];
        assert_eq!(by(&["a"]).through(&renamed), by(&["b"]));
        let cast = [("a".to_owned(), Value::Cast("a".to_owned(), arrow::datatypes::DataType::Utf8))];
        assert_eq!(by(&["a"]).through(&cast), Spread::Unknown);
        assert_eq!(RecordKey::Columns(strings(&["a"])).through(&cast), RecordKey::Columns(strings(&["a"])));
        assert_eq!(RecordKey::Columns(strings(&["a"])).through(&renamed), RecordKey::Columns(strings(&["b"])));
        assert_eq!(RecordKey::Columns(strings(&["x"])).through(&renamed), RecordKey::Lost("x".into()));
    }

    #[test]
    fn merged_sources_keep_their_spread_only_with_equal_known_widths() {
        let source = |width| Spread::By(BTreeSet::from(["a".to_owned()]), Width::Source(width));
        assert_eq!(Spread::merged(&[&source(Some(3)), &source(Some(3))]), source(Some(3)));
        assert_eq!(Spread::merged(&[&source(Some(3)), &source(Some(2))]), Spread::Unknown);
        assert_eq!(Spread::merged(&[&source(None), &source(None)]), Spread::Unknown);
        assert_eq!(Spread::merged(&[&source(None)]), source(None));
    }
}
