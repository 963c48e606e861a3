//! Any bytes as frames of each kind, as they are and with a header and checksum that are right: content or an error, and what
//! is content reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_engine::ids::InputId;
use millstream_formats::frame;

/// Flags, then all that follows them, behind a header that is right.
fn sealed(rest: &[u8]) -> Vec<u8> {
    let checksum = crc32fast::hash(rest).to_le_bytes();
    [&b"MSF\x01"[..], &checksum, rest].concat()
}

fuzz_target!(|bytes: &[u8]| {
    for frame in [bytes.to_vec(), sealed(bytes)] {
        if let Ok(rows) = frame::decode(&frame) {
            let again = frame::encode(&rows).expect("a batch that was framed");
            assert_eq!(frame::decode(&again).expect("a frame").num_rows(), rows.num_rows());
        }
        if let Ok(content) = frame::decode_bytes(&frame) {
            let again = frame::encode_bytes(&content).expect("bytes that were framed");
            assert_eq!(frame::decode_bytes(&again), Ok(content));
        }
        let _ = frame::decode_page(&frame);
        let _ = frame::exchange_sender(&frame);
        let _ = frame::decode_exchange(&frame, InputId(0));
    }
});
