//! A log in a folder: segments of JSON lines and one commit log that says what of them is visible.
