//! Bytes of a binary message, read from front to back. Never reads past the end and never believes a length.

use crate::fault::{Fallible, Fault};

/// What a message may grow to in columns beyond its own length: defaults, names of enums, widened items.
const ROOM: usize = 64 << 20;
/// How much more room each byte of a message brings.
const ROOM_PER_BYTE: usize = 32;

/// What a message may still grow to in columns.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Room {
    limit: usize,
    spent: usize,
}

impl Room {
    /// The room of a message of `len` bytes, `limit` at most.
    pub(crate) fn new(len: usize, limit: usize) -> Room {
        Room { limit: ROOM.saturating_add(len.saturating_mul(ROOM_PER_BYTE)).min(limit), spent: 0 }
    }

    /// Accounts for `bytes` that reach columns without standing in the message.
    #[inline]
    pub(crate) fn spend(&mut self, bytes: usize) -> Fallible<()> {
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > self.limit {
            return Err(Fault::value("becomes far larger in columns than it is in the message"));
        }
        Ok(())
    }

    /// What [`spend`](Self::spend) accounted for.
    pub(crate) fn spent(&self) -> usize {
        self.spent
    }

    /// All of the room again, for who reads the message anew.
    #[inline]
    pub(crate) fn refill(&mut self) {
        self.spent = 0;
    }
}

/// What is left of a message.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
    len: usize,
    room: Room,
}

impl<'a> Input<'a> {
    /// The bytes of a message that may grow in columns by `room` bytes at most.
    pub(crate) fn new(bytes: &'a [u8], room: usize) -> Input<'a> {
        Input { rest: bytes, len: bytes.len(), room: Room::new(bytes.len(), room) }
    }

    /// Another input that pays from the same room: bytes that stand for a value that the message leaves out.
    pub(crate) fn aside<'b>(&self, bytes: &'b [u8]) -> Input<'b> {
        Input { rest: bytes, len: bytes.len(), room: self.room }
    }

    /// Takes over what an input that was made [`aside`](Self::aside) has spent.
    pub(crate) fn settle(&mut self, aside: &Input<'_>) {
        self.room = aside.room;
    }

    /// Accounts for `bytes` that reach columns without standing in the message.
    #[inline]
    pub(crate) fn spend(&mut self, bytes: usize) -> Fallible<()> {
        self.room.spend(bytes)
    }

    /// What [`spend`](Self::spend) accounted for.
    pub(crate) fn spent(&self) -> usize {
        self.room.spent()
    }

    /// The bytes that have not been read.
    #[inline]
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The index of the next byte.
    pub(crate) fn at(&self) -> usize {
        self.len - self.rest.len()
    }

    /// The next `len` bytes.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Fallible<&'a [u8]> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.cut_off(len)),
        }
    }

    /// The next `N` bytes.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Fallible<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.cut_off(N)),
        }
    }

    /// An unsigned number in groups of seven bits, least first.
    #[inline]
    pub(crate) fn varint(&mut self) -> Fallible<u64> {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*first))
            }
            [first, second, rest @ ..] if *second < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*first & 0x7f) | u64::from(*second) << 7)
            }
            _ => self.long_varint(),
        }
    }

    /// A number of three to eight bytes in one load where the message goes on so far, else byte by byte.
    fn long_varint(&mut self) -> Fallible<u64> {
        if let Some(chunk) = self.rest.first_chunk::<8>() {
            let word = u64::from_le_bytes(*chunk);
            let ends = !word & 0x8080_8080_8080_8080;
            if ends != 0 {
                let bits = ends.trailing_zeros() + 1;
                let word = word & (u64::MAX >> (64 - bits));
                let word = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
                let word = (word & 0x0000_3fff_0000_3fff) | ((word & 0x3fff_0000_3fff_0000) >> 2);
                let word = (word & 0x0000_0000_0fff_ffff) | ((word & 0x0fff_ffff_0000_0000) >> 4);
                self.rest = &self.rest[bits as usize / 8..];
                return Ok(word);
            }
        }
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().enumerate() {
            if index == 9 && byte > 1 {
                return Err(Fault::value(format!("a number of more than 64 bits at byte {}", self.at())));
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(self.cut_off(self.rest.len() + 1))
    }

    /// What is left, without passing over it.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Passes over one number of [`varint`](Self::varint)'s form.
    #[inline]
    pub(crate) fn skip_varint(&mut self) -> Fallible<()> {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                Ok(())
            }
            rest => {
                if let Some(chunk) = rest.first_chunk::<8>() {
                    let ends = !u64::from_le_bytes(*chunk) & 0x8080_8080_8080_8080;
                    if ends != 0 {
                        self.rest = &rest[ends.trailing_zeros() as usize / 8 + 1..];
                        return Ok(());
                    }
                }
                self.long_varint().map(|_| ())
            }
        }
    }

    /// A signed number in zigzag form: 0, -1, 1, -2, …
    #[inline]
    pub(crate) fn zigzag(&mut self) -> Fallible<i64> {
        self.varint().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn cut_off(&self, wanted: usize) -> Box<Fault> {
        let (at, left) = (self.at(), self.rest.len());
        Fault::value(format!("cut off: {wanted} bytes expected at byte {at}, {left} are left"))
    }
}

/// Writes a number as [`Input::varint`] reads it.
#[inline]
pub(crate) fn put_varint(value: u64, out: &mut Vec<u8>) {
    match value {
        0..0x80 => out.push(value as u8),
        0x80..0x100_0000_0000_0000 => put_long_varint(value, out),
        _ => put_longest_varint(value, out),
    }
}

/// A number of at most 56 bits: its groups of seven bits spread over eight bytes at once, of which the used ones stay.
#[inline]
fn put_long_varint(value: u64, out: &mut Vec<u8>) {
    let len = (70 - value.leading_zeros() as usize) / 7;
    let word = (value & 0x0000_0000_0fff_ffff) | ((value & 0x00ff_ffff_f000_0000) << 4);
    let word = (word & 0x0000_3fff_0000_3fff) | ((word & 0x0fff_c000_0fff_c000) << 2);
    let word = (word & 0x007f_007f_007f_007f) | ((word & 0x3f80_3f80_3f80_3f80) << 1);
    let goes_on = 0x8080_8080_8080_8080_u64 >> (72 - 8 * len);
    let end = out.len() + len;
    out.extend_from_slice(&(word | goes_on).to_le_bytes());
    out.truncate(end);
}

fn put_longest_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The length up to which bytes are copied in one piece of this length, if there are so many to read.
pub(crate) const PIECE: usize = 16;

/// Appends the first `len` bytes of `piece`, which is quicker than to copy so few of them.
#[inline]
pub(crate) fn put_piece(piece: &[u8; PIECE], len: usize, out: &mut Vec<u8>) {
    let end = out.len() + len;
    out.extend_from_slice(piece);
    out.truncate(end);
}

/// Whether the first `len` bytes of `piece` are ASCII.
#[inline]
pub(crate) fn is_ascii_piece(piece: &[u8; PIECE], len: usize) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u128::from_le_bytes(*piece);
    // What lies behind `len` is pushed out.
    let own = |word: u64, len: usize| if len == 0 { 0 } else { word << (64 - 8 * len.min(8)) };
    (own(word as u64, len) | own((word >> 64) as u64, len.saturating_sub(8))) & HIGH == 0
}

/// Writes a number as [`Input::zigzag`] reads it.
#[inline]
pub(crate) fn put_zigzag(value: i64, out: &mut Vec<u8>) {
    put_varint(((value << 1) ^ (value >> 63)) as u64, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &[u8]) -> Input<'_> {
        Input::new(bytes, usize::MAX)
    }

    fn varint(value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_varint(value, &mut bytes);
        bytes
    }

    #[test]
    fn numbers_of_every_length_read_back_with_and_without_bytes_behind_them() {
        for bits in 0..64 {
            for value in [1_u64 << bits, (1 << bits) - 1, u64::MAX >> bits, 0x0123_4567_89ab_cdef >> bits] {
                let bytes = varint(value);
                for tail in 0..10 {
                    let mut long = bytes.clone();
                    long.resize(bytes.len() + tail, 0xff);
                    let mut input = self::input(&long);
                    assert_eq!(input.varint(), Ok(value), "{bytes:x?} and {tail} bytes");
                    assert_eq!(input.remaining(), tail);
                    let mut input = self::input(&long);
                    assert_eq!(input.skip_varint(), Ok(()));
                    assert_eq!(input.remaining(), tail);
                }
            }
        }
    }

    #[test]
    fn numbers_are_written_as_short_as_they_can_be() {
        for bits in 0..64 {
            for value in [1_u64 << bits, (1 << bits) - 1, u64::MAX >> bits, 0x0123_4567_89ab_cdef >> bits] {
                let (mut expected, mut rest) = (vec![9], value);
                while rest >= 0x80 {
                    expected.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                expected.push(rest as u8);
                let mut written = vec![9];
                put_varint(value, &mut written);
                assert_eq!(written, expected, "{value}");
            }
        }
    }

    #[test]
    fn a_piece_is_looked_at_and_copied_as_far_as_it_counts() {
        for len in 0..=PIECE {
            let mut piece = [b'x'; PIECE];
            let mut out = vec![1];
            put_piece(&piece, len, &mut out);
            assert_eq!(out, [&[1][..], &piece[..len]].concat());
            for at in 0..PIECE {
                piece[at] = 0x80;
                assert_eq!(is_ascii_piece(&piece, len), at >= len, "{at} of {len}");
                piece[at] = 0x7f;
            }
        }
    }

    #[test]
    fn zigzag_reads_both_signs() {
        for (bytes, value) in
            [(vec![0], 0), (vec![1], -1), (vec![2], 1), (varint(u64::MAX), i64::MIN), (varint(u64::MAX - 1), i64::MAX)]
        {
            assert_eq!(input(&bytes).zigzag(), Ok(value));
            let mut written = Vec::new();
            put_zigzag(value, &mut written);
            assert_eq!(written, bytes);
        }
    }

    #[test]
    fn what_is_cut_off_or_too_wide_is_a_fault() {
        for bytes in [&[][..], &[0x80], &[0xff; 3], &[0xff; 9], &[0xff; 10], &[0xff; 20]] {
            assert!(input(bytes).varint().is_err(), "{bytes:x?}");
            assert!(input(bytes).skip_varint().is_err(), "{bytes:x?}");
        }
        let mut nine = vec![0xff; 9];
        nine.push(2);
        assert!(input(&nine).varint().is_err());
        assert!(input(&[1, 2]).take(3).is_err());
        assert!(input(&[1, 2]).take(usize::MAX).is_err());
        assert!(input(&[1, 2]).array::<4>().is_err());
    }

    #[test]
    fn room_ends() {
        let mut input = input(&[0; 10]);
        assert_eq!(input.spend(ROOM), Ok(()));
        let mut aside = input.aside(&[1]);
        assert_eq!(aside.spend(10 * ROOM_PER_BYTE), Ok(()));
        input.settle(&aside);
        assert!(input.spend(1).is_err());
    }
}
