//! Every bound in the program: name, unit in the name, default. Anyone may read this module.

/// Largest request body on the wire and after decompression, bytes.
pub const HTTP_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most header fields of one request.
pub const HTTP_HEADERS_MAX: usize = 100;
/// Largest header block of one request, bytes.
pub const HTTP_HEADER_BYTES_MAX: usize = 32 * 1024;
/// Time a client has to send a header block, seconds.
pub const HTTP_HEADER_SECONDS: u64 = 10;
/// Time a client has to send a whole body, seconds.
pub const HTTP_BODY_SECONDS: u64 = 30;
/// Most simultaneous connections of one door.
pub const CONNECTIONS_MAX: usize = 12_000;
/// Deepest nesting of JSON that is decoded.
pub const JSON_DEPTH_MAX: usize = 64;
/// Most events that one request or mail may carry.
pub const EVENTS_PER_MESSAGE_MAX: usize = 10_000;
/// Longest single text field of an event, bytes; longer text is cut on a character boundary.
pub const EVENT_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Longest summary, bytes.
pub const EVENT_SUMMARY_BYTES_MAX: usize = 1024;
/// Most labels of one event.
pub const EVENT_LABELS_MAX: usize = 128;
/// Longest label name or value, bytes.
pub const EVENT_LABEL_BYTES_MAX: usize = 4096;
/// Largest mail, bytes.
pub const MAIL_BYTES_MAX: usize = 25 * 1024 * 1024;
/// Most MIME parts of a mail that are looked at.
pub const MAIL_PARTS_MAX: usize = 64;
/// Most text of a mail that is decoded, bytes.
pub const MAIL_TEXT_BYTES_MAX: usize = 256 * 1024;
/// Most source names that appear as metric labels; the rest is `other`.
pub const METRIC_SOURCES_MAX: usize = 64;
/// Most identities whose repeats cost no row.
pub const REPEAT_ENTRIES_MAX: usize = 1_000_000;
/// An identity's repeats cost no row for this long after its last row, seconds.
pub const REPEAT_REFRESH_SECONDS: u32 = 15 * 60;
/// Longest time between two summaries of repeats, seconds.
pub const REPEAT_SUMMARY_SECONDS: u64 = 10;
/// Shortest time between two summaries of repeats, milliseconds.
pub const REPEAT_SUMMARY_MILLISECONDS_MIN: u64 = 500;
/// Most repeats of one summary row.
pub const REPEAT_SUMMARY_ROWS_MAX: usize = 5_000;
/// Longest time a request waits for an equal one that is being appended, seconds.
pub const REPEAT_WAIT_SECONDS: u64 = 10;
