//! Scalars (an operator's clock and counters) begin with the version of their layout. Those of another version are refused,
//! never guessed at.

use crate::error::TaskError;

/// The version of the layout that is written and read.
const VERSION: u8 = 2;

/// What scalars begin with.
pub(crate) fn begin() -> Vec<u8> {
    vec![VERSION]
}

/// What follows the version.
///
/// # Errors
/// If they are of another version, or empty.
pub(crate) fn open<'a>(step: &str, scalars: &'a [u8]) -> Result<&'a [u8], TaskError> {
    let refused = |message| Err(TaskError::State { step: step.to_owned(), message });
    match scalars {
        [VERSION, rest @ ..] => Ok(rest),
        [] => refused("its saved clock and counters are empty".to_owned()),
        [version, ..] => refused(format!(
            "its saved clock and counters are of version {version}, where this release of millstream knows {VERSION}: run the \
             release that wrote them, or begin anew with `millstream reset FILE --to earliest`"
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_refused_with_the_way_out() {
        let mut scalars = begin();
        scalars.extend([7, 8]);
        assert_eq!(open("s", &scalars).unwrap(), [7, 8]);
        for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
            scalars[0] = version;
            let refused = open("s", &scalars).unwrap_err().to_string();
            let says = format!("are of version {version}, where this release of millstream knows {VERSION}");
            assert!(refused.contains(&says) && refused.contains("`millstream reset FILE --to earliest`"), "{refused}");
        }
        assert!(open("s", &[]).is_err());
    }
}
