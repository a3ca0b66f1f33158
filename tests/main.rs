//! What Portcullis promises, a file for each promise.

mod golden;
