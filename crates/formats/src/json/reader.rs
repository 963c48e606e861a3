//! A cursor over one JSON document that accepts RFC 8259 and nothing else, so deep nesting ends in a fault, not in a
//! full stack.

use memchr::memchr2;

use crate::fault::{Fallible, Fault, excerpt};

/// How many objects and arrays may be open at once.
const DEPTH: usize = 128;

/// A place in a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// What a value is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

impl<'a> Reader<'a> {
    /// A cursor at byte `at` of `text`, with `depth` objects or arrays open around it.
    pub(crate) fn new(text: &'a str, at: usize, depth: usize) -> Reader<'a> {
        Reader { text, at, depth }
    }

    /// The byte that comes next.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn unexpected(&self, expected: &str) -> Box<Fault> {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => Fault::syntax(format!("not JSON: expected {expected} at byte {}, found {found:?}", self.at)),
            None => Fault::syntax(format!("not JSON: expected {expected} at byte {}, found the end", self.at)),
        }
    }

    /// What the next value is; whitespace before it is passed over.
    pub(crate) fn peek(&mut self) -> Fallible<Kind> {
        self.skip_whitespace();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Passes over `true`, `false` or `null`, as `peek` has announced.
    pub(crate) fn word(&mut self, kind: Kind) -> Fallible<()> {
        let word = match kind {
            Kind::True => "true",
            Kind::False => "false",
            _ => "null",
        };
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected(word));
        }
        self.at += word.len();
        Ok(())
    }

    /// The text of a number.
    pub(crate) fn number(&mut self) -> Fallible<&'a str> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// One digit at least.
    fn digits(&mut self) -> Fallible<()> {
        if !self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.unexpected("a digit"));
        }
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    /// The value of a string: from the document, or from `scratch` where it has escapes.
    pub(crate) fn string<'s>(&mut self, scratch: &'s mut String) -> Fallible<&'s str>
    where
        'a: 's,
    {
        self.at += 1;
        let plain = self.run()?;
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(plain);
        }
        scratch.clear();
        scratch.push_str(plain);
        loop {
            if self.byte() == Some(b'"') {
                self.at += 1;
                return Ok(scratch);
            }
            scratch.push(self.escape()?);
            scratch.push_str(self.run()?);
        }
    }

    /// Characters up to a quote or a backslash.
    fn run(&mut self) -> Fallible<&'a str> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let len = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        // Without an early exit this runs sixteen bytes at a time.
        if rest[..len].iter().fold(false, |any, &byte| any | (byte < 0x20)) {
            let control = rest[..len].iter().take_while(|&&byte| byte >= 0x20).count();
            let found = rest[control];
            return Err(Fault::syntax(format!(
                "not JSON: control character 0x{found:02x} in a string at byte {}",
                start + control
            )));
        }
        self.at = start + len;
        if len == rest.len() {
            return Err(self.unexpected("the end of a string"));
        }
        Ok(&self.text[start..self.at])
    }

    fn escape(&mut self) -> Fallible<char> {
        self.at += 1;
        let escape = self.byte();
        self.at += usize::from(escape.is_some());
        match escape {
            Some(plain @ (b'"' | b'\\' | b'/')) => Ok(char::from(plain)),
            Some(b'b') => Ok('\u{8}'),
            Some(b'f') => Ok('\u{c}'),
            Some(b'n') => Ok('\n'),
            Some(b'r') => Ok('\r'),
            Some(b't') => Ok('\t'),
            Some(b'u') => self.unicode(),
            _ => Err(Fault::syntax(format!("not JSON: unknown escape before byte {}", self.at))),
        }
    }

    fn unicode(&mut self) -> Fallible<char> {
        let first = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&first) && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let second = self.hex()?;
            // A second half out of its range gives a number that is no character.
            if (0xdc00..0xe000).contains(&second) {
                0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            } else {
                u32::MAX
            }
        } else {
            first
        };
        char::from_u32(code)
            .ok_or_else(|| Fault::syntax(format!("not JSON: half a surrogate pair before byte {}", self.at)))
    }

    fn hex(&mut self) -> Fallible<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let code = digits.and_then(|digits| {
            digits.iter().try_fold(0, |code, &digit| char::from(digit).to_digit(16).map(|digit| code << 4 | digit))
        });
        let code = code
            .ok_or_else(|| Fault::syntax(format!("not JSON: expected four hexadecimal digits at byte {}", self.at)))?;
        self.at += 4;
        Ok(code)
    }

    /// Opens the object or array that `peek` has announced.
    pub(crate) fn open(&mut self) -> Fallible<()> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Fault::syntax(format!("nested deeper than {DEPTH} levels at byte {}", self.at)));
        }
        Ok(())
    }

    /// Goes to item `index` of an array; false at its end, which is passed over.
    pub(crate) fn item(&mut self, index: usize) -> Fallible<bool> {
        self.next(index, b']', "`,` or `]`")
    }

    /// Goes to member `index` of an object and gives its name; `None` at its end, which is passed over.
    pub(crate) fn member<'s>(&mut self, index: usize, scratch: &'s mut String) -> Fallible<Option<&'s str>>
    where
        'a: 's,
    {
        if !self.next(index, b'}', "`,` or `}`")? {
            return Ok(None);
        }
        self.skip_whitespace();
        if self.byte() != Some(b'"') {
            return Err(self.unexpected("a name in quotes"));
        }
        let name = self.string(scratch)?;
        self.skip_whitespace();
        if self.byte() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        Ok(Some(name))
    }

    fn next(&mut self, index: usize, end: u8, expected: &str) -> Fallible<bool> {
        self.skip_whitespace();
        match self.byte() {
            Some(byte) if byte == end => {
                self.at += 1;
                self.depth -= 1;
                return Ok(false);
            }
            Some(b',') if index > 0 => self.at += 1,
            Some(_) if index == 0 => {}
            _ => return Err(self.unexpected(expected)),
        }
        if index > 0 {
            self.skip_whitespace();
            if self.byte() == Some(end) {
                return Err(self.unexpected("a value behind `,`"));
            }
        }
        Ok(true)
    }

    /// Passes over a value, checking it as strictly as if it were read.
    pub(crate) fn skip(&mut self, scratch: &mut String) -> Fallible<()> {
        match self.peek()? {
            Kind::String => self.string(scratch).map(|_| ()),
            Kind::Number => self.number().map(|_| ()),
            Kind::Object => {
                self.open()?;
                let mut index = 0;
                while self.member(index, scratch)?.is_some() {
                    self.skip(scratch)?;
                    index += 1;
                }
                Ok(())
            }
            Kind::Array => {
                self.open()?;
                let mut index = 0;
                while self.item(index)? {
                    self.skip(scratch)?;
                    index += 1;
                }
                Ok(())
            }
            word => self.word(word),
        }
    }

    /// The end of the document: whitespace and nothing else.
    pub(crate) fn end(&mut self) -> Fallible<()> {
        self.skip_whitespace();
        match self.byte() {
            None => Ok(()),
            Some(_) => Err(Fault::syntax(format!("more than one document: something follows at byte {}", self.at))),
        }
    }

    /// The next value in words, for a message.
    pub(crate) fn describe(&self, kind: Kind) -> String {
        let rest = &self.text[self.at..];
        match kind {
            Kind::Object => "an object".to_owned(),
            Kind::Array => "an array".to_owned(),
            Kind::True => "true".to_owned(),
            Kind::False => "false".to_owned(),
            Kind::Null => "null".to_owned(),
            Kind::Number => {
                let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(rest.len());
                excerpt(&rest[..end])
            }
            Kind::String => {
                let end = rest[1..].find('"').map_or(rest.len(), |end| end + 2);
                format!("string {}", excerpt(&rest[..end]))
            }
        }
    }
}
