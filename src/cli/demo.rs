//! `portcullis demo`.
