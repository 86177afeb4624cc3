//! Every bound in the program: name, unit in the name, default. Anyone may read this module.

/// Largest request body on the wire and after decompression, bytes. An Alertmanager without
/// `max_alerts` sends a whole storm in one message, and gives up what is refused.
pub const HTTP_BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Most header fields of one request.
pub const HTTP_HEADERS_MAX: usize = 100;
/// Largest header block of one request, bytes.
pub const HTTP_HEADER_BYTES_MAX: usize = 32 * 1024;
/// What a request body may take without being counted against the room of all bodies, bytes.
pub const HTTP_BODY_FREE_BYTES: usize = 16 * 1024;
/// Most bytes of request bodies in memory at once, on the wire and decompressed, until each is
/// answered.
pub const HTTP_BODIES_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Longest time a request waits for room for its body, seconds; then it is told to come again.
pub const HTTP_ROOM_SECONDS: u64 = 5;
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
/// Longest text without its numbers that tells one problem from another, bytes.
pub const SKELETON_BYTES_MAX: usize = 512;
/// Most labels of one event.
pub const EVENT_LABELS_MAX: usize = 128;
/// Longest label name or value, bytes.
pub const EVENT_LABEL_BYTES_MAX: usize = 4096;
/// How far an event's start and time may lie ahead of its receipt, seconds. By a time beyond that,
/// all that the sender says later would count as older.
pub const EVENT_AHEAD_SECONDS_MAX: u64 = 48 * 3600;
/// Largest mail, bytes.
pub const MAIL_BYTES_MAX: usize = 25 * 1024 * 1024;
/// Most MIME parts of a mail that are looked at.
pub const MAIL_PARTS_MAX: usize = 64;
/// Most text of a mail that is decoded, bytes.
pub const MAIL_TEXT_BYTES_MAX: usize = 256 * 1024;
/// Most events of one mail.
pub const MAIL_EVENTS_MAX: usize = 2_000;
/// Most text that the events of one mail carry as their details together, bytes.
pub const MAIL_DETAILS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most source names that appear as metric labels (each kind has a source of its own name); the rest
/// is `other`.
pub const METRIC_SOURCES_MAX: usize = 256;
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
/// Time that decoding one message may take, seconds.
pub const DECODE_SECONDS: u64 = 5;
/// Most messages that are decoded on threads of their own at once, given up ones included; one of n
/// MiB counts as n.
pub const DECODE_SLOW_MAX: usize = 16;
/// Longest time that a message waits until it can be decoded, seconds.
pub const DECODE_WAIT_SECONDS: u64 = 20;
/// Most that a body may weigh once it is taken apart. A value weighs 1, an object or an XML element
/// 8: some 250,000 objects, of some 600 bytes each in memory.
pub const BODY_WEIGHT_MAX: usize = 2_000_000;
/// Bodies up to this size are decoded in place, bytes.
pub const DECODE_IN_PLACE_BYTES_MAX: usize = 64 * 1024;
/// Most digests of messages that were in hand when the daemon died.
pub const DECODE_SUSPECTS_MAX: usize = 1024;
/// Most messages in quarantine that one incident remembers. Of more, a person ends it.
pub const QUARANTINED_REMEMBERED_MAX: usize = 200;
/// Longest line that people see of a message in quarantine, bytes.
pub const QUARANTINE_SUMMARY_BYTES_MAX: usize = 200;
/// Most simultaneous connections of one address at one door.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 2_000;
/// Time for a TLS handshake, seconds.
pub const TLS_HANDSHAKE_SECONDS: u64 = 10;
/// First pause after a connection could not be accepted, milliseconds.
pub const ACCEPT_PAUSE_MILLISECONDS_MIN: u64 = 10;
/// Longest pause after connections could not be accepted, milliseconds.
pub const ACCEPT_PAUSE_MILLISECONDS_MAX: u64 = 1_000;
/// Time an idle HTTP connection may wait for its next request, seconds.
pub const HTTP_IDLE_SECONDS: u64 = 90;
/// Refused credentials of one address within a minute before all its requests wait.
pub const UNAUTHORIZED_PER_MINUTE_MAX: u32 = 30;
/// Most keys of a rate limiter.
pub const RATE_KEYS_MAX: usize = 50_000;
/// Seconds of its rate that a source may send at once.
pub const RATE_BURST_SECONDS: u32 = 10;
/// After a 503, try again in so many seconds.
pub const RETRY_AFTER_SECONDS: u64 = 5;
/// Largest mail that is kept in memory while it arrives, bytes.
pub const MAIL_MEMORY_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of whole mails in memory at once, for decoding and storing.
pub const MAIL_IN_HAND_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Longest time a whole mail waits for room in memory, seconds.
pub const MAIL_WAIT_SECONDS: u64 = 30;
/// The same bytes without a Message-ID are the same mail for so long, seconds.
pub const MAIL_SAME_SECONDS: u64 = 600;
/// Most files of a Maildir that are looked at together.
pub const MAILDIR_FILES_MAX: usize = 10_000;
/// Longest wait before a mailbox that failed is tried again, seconds.
pub const MAILBOX_BACK_OFF_SECONDS_MAX: u64 = 300;
/// Longest wait for an IMAP server's answer, seconds.
pub const IMAP_COMMAND_SECONDS: u64 = 60;
/// Longest wait in IDLE, seconds; shorter than what routers forget connections after.
pub const IMAP_IDLE_SECONDS: u64 = 240;
/// How often a connection may break at one mail before that mail is passed over.
pub const IMAP_TRIES_PER_MAIL: u32 = 5;
/// An IMAP folder is looked through at least this often unless said, seconds.
pub const IMAP_POLL_SECONDS: u64 = 120;
/// Longest check of a mail's author against the DNS, seconds.
pub const SENDER_CHECK_SECONDS: u64 = 20;
/// Longest wait for one DNS server, seconds.
pub const DNS_SECONDS: u64 = 4;
/// Most DNS answers that are remembered.
pub const DNS_CACHE_ENTRIES: u64 = 4096;
/// Most simultaneous SMTP or LMTP connections.
pub const SMTP_CONNECTIONS_MAX: usize = 500;
/// Most simultaneous SMTP or LMTP connections of one address.
pub const SMTP_CONNECTIONS_PER_ADDRESS_MAX: usize = 50;
/// Longest command line of a mail session, bytes.
pub const SMTP_LINE_BYTES_MAX: usize = 4096;
/// Most recipients of one mail.
pub const SMTP_RECIPIENTS_MAX: usize = 100;
/// Most refused commands of one session.
pub const SMTP_ERRORS_MAX: u32 = 20;
/// Most commands of one session.
pub const SMTP_COMMANDS_MAX: u32 = 10_000;
/// Longest silence within a mail session, seconds.
pub const SMTP_IDLE_SECONDS: u64 = 300;
/// Longest mail session, seconds.
pub const SMTP_SESSION_SECONDS: u64 = 3600;
/// Longest time for the data of one mail, seconds.
pub const SMTP_DATA_SECONDS: u64 = 600;
/// Most bytes of one session.
pub const SMTP_SESSION_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Largest encoded input, bytes.
pub const INPUT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest raw message kept beside its input, bytes.
pub const RAW_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most appends that wait for the journal's writer.
pub const APPENDS_WAITING_MAX: usize = 16_384;
/// Most bytes of appends that wait for the journal's writer, KiB.
pub const APPENDS_WAITING_KIB_MAX: usize = 256 * 1024;
/// Most appends that one commit of the journal serves.
pub const COMMIT_APPENDS_MAX: usize = 4096;
/// Most bytes that one commit of the journal takes, unless a single append is larger.
pub const COMMIT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most inputs kept in memory for the engine.
pub const TAIL_ROWS_MAX: usize = 100_000;
/// Most bytes of inputs kept in memory for the engine.
pub const TAIL_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Most that the journal may hold for the engine, bytes.
pub const BACKLOG_BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;
/// Most of the free disk that the backlog may take, percent.
pub const BACKLOG_DISK_PERCENT_MAX: u64 = 80;
/// Most of the backlog's budget that one source may take, percent.
pub const BACKLOG_SHARE_PERCENT: u64 = 50;
/// Most journal rows above the cursor whose checksums are read before the start.
pub const ROWS_CHECKED_AT_OPEN_MAX: u64 = 200_000;
/// Longest time of one call to a tracker, seconds.
pub const TRACKER_CALL_SECONDS: u64 = 40;
/// Most files of an alert's mail that go with a ticket.
pub const TICKET_FILES_MAX: usize = 10;
/// Most bytes of files that go with a ticket, all together.
pub const TICKET_FILES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest time to connect to a tracker, seconds.
pub const TRACKER_CONNECT_SECONDS: u64 = 5;
/// Largest answer of a tracker, bytes.
pub const TRACKER_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest pause that a tracker may ask for, seconds.
pub const TRACKER_WAIT_SECONDS_MAX: u64 = 3600;
/// Pause after a tracker refused our credentials, seconds.
pub const TRACKER_UNAUTHORISED_SECONDS: u64 = 60;
/// Pause after a tracker asked for one without saying how long, seconds.
pub const TRACKER_PAUSE_SECONDS: u64 = 5;
/// Longest sentence kept of what a tracker said, bytes.
pub const TRACKER_REASON_BYTES_MAX: usize = 400;
/// Longest text of a person that is taken over from a tracker, bytes.
pub const TRACKER_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Most pages of changes that one poll of a tracker reads.
pub const TRACKER_POLL_PAGES_MAX: usize = 20;
/// Most pages of open tickets that are read when a lost store is rebuilt.
pub const TRACKER_OPEN_PAGES_MAX: usize = 200;
/// Largest webhook of a tracker, bytes.
pub const TRACKER_HOOK_BYTES_MAX: usize = 1024 * 1024;
/// Ids of a tracker's webhooks that are remembered, to take each once.
pub const TRACKER_HOOK_IDS_MAX: usize = 4096;
/// Most pages of notes of one ticket that are read to find ours.
pub const TRACKER_NOTES_PAGES_MAX: usize = 50;
/// Most steps that one expression of a mapping may take.
pub const MAPPING_FUEL: u64 = 50_000;
/// Most regular expressions of a mapping that are kept compiled.
pub const MAPPING_PATTERNS_MAX: usize = 256;
/// Largest compiled regular expression of a mapping, bytes.
pub const MAPPING_PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of journal rows above the cursor whose checksums are read before the start.
pub const BYTES_CHECKED_AT_OPEN_MAX: u64 = 256 * 1024 * 1024;
/// Most rows that retention forgets in one transaction.
pub const TRIM_ROWS_MAX: u64 = 1_000;
/// Most bytes of stored payloads that one reading of the journal gives, unless the first alone has
/// more.
pub const READ_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most events that the engine applies in one transaction, unless a single input has more.
pub const ENGINE_BATCH_EVENTS_MAX: usize = 2_000;
/// Longest time of one request at the operators' door, seconds.
pub const OPERATORS_REQUEST_SECONDS: u64 = 60;
/// Most simultaneous connections of the operators' door.
pub const OPERATORS_CONNECTIONS_MAX: usize = 512;
/// Largest body of a command, bytes.
pub const OPERATORS_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Most incidents, alerts, tickets and other rows of one page.
pub const PAGE_ROWS_MAX: usize = 200;
/// Most rows that are looked through for one page of a filtered list.
pub const PAGE_ROWS_READ_MAX: usize = 5_000;
/// Most alerts of an incident that stand within it; the rest is asked for by page.
pub const INCIDENT_ALERTS_SHOWN_MAX: usize = 100;
/// Most lines of a timeline that stand within an incident; the rest is asked for by page.
pub const TIMELINE_LINES_SHOWN_MAX: usize = 500;
/// Longest time that a command waits to be applied, seconds.
pub const COMMAND_WAIT_SECONDS: u64 = 30;
/// Most dates that a list of holidays may close.
pub const HOLIDAY_DATES_MAX: usize = 5000;
/// Longest holiday, days; what is longer is a season, and is listed as ignored.
pub const HOLIDAY_EVENT_DAYS_MAX: i64 = 31;
/// Longest name of a holiday that is kept, bytes.
pub const HOLIDAY_NAME_BYTES_MAX: usize = 200;
/// Largest file of holidays, bytes.
pub const HOLIDAY_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Years for which recurring holidays are expanded: the same whenever a configuration is read.
pub const HOLIDAY_YEARS: std::ops::RangeInclusive<i16> = 2000..=2100;
/// Most clocks that the metrics show by themselves.
pub const CLOCKS_SHOWN_MAX: usize = 20;
/// Most pairs of severity and target in all policies: each is some twenty series of the metrics.
pub const SLA_PAIRS_MAX: usize = 100;
/// Largest file of a monthly report that goes by mail, bytes: servers take ten million.
pub const REPORT_FILE_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Oldest SNS message that is believed, seconds.
pub const SNS_AGE_SECONDS_MAX: u64 = 60 * 60;
/// Furthest that an SNS message may be ahead of our clock, seconds.
pub const SNS_AHEAD_SECONDS_MAX: u64 = 15 * 60;
/// Time for one fetch at SNS, seconds; SNS itself waits 15 s for our answer.
pub const SNS_FETCH_SECONDS: u64 = 8;
/// Largest certificate or confirmation that is read from SNS, bytes.
pub const SNS_FETCH_BYTES_MAX: usize = 64 * 1024;
/// After a fetch at SNS failed, the same place is tried again, seconds.
pub const SNS_FETCH_AGAIN_SECONDS: u64 = 10;
/// Most certificates of SNS that are kept (one a region).
pub const SNS_CERTIFICATES_MAX: usize = 64;
/// A certificate of SNS is fetched again after this time, seconds.
pub const SNS_CERTIFICATE_SECONDS: u64 = 24 * 3600;
/// Largest body of a PagerDuty event, bytes.
pub const PAGERDUTY_BODY_BYTES_MAX: usize = 512 * 1024;
/// Most alerts that still fire of a storm that is over; of more it stays one ticket.
pub const STORM_REMAINS_MAX: u32 = 200;

/// Most names told of a list in one sentence.
pub const NAMES_TOLD_MAX: usize = 5;
/// Longest inventory file whose text the journal keeps with a configuration, bytes; of a longer one
/// size and hash.
pub const INVENTORY_TEXT_KEPT_BYTES_MAX: usize = 1024 * 1024;
/// A new inventory without more services than this needs a person's word, percent of those in use.
pub const INVENTORY_SERVICES_LOST_PERCENT_MAX: usize = 10;
/// The same for elements and groups.
pub const INVENTORY_THINGS_LOST_PERCENT_MAX: usize = 25;
/// The same for open incidents whose alerts would name no element any more.
pub const INVENTORY_INCIDENTS_LOST_PERCENT_MAX: usize = 10;
/// Most pages of one of NetBox's lists.
pub const NETBOX_PAGES_MAX: usize = 10_000;

/// Most patterns of an operator that are masked.
pub const REDACT_PATTERNS_MAX: usize = 100;
/// Longest such pattern, bytes.
pub const REDACT_PATTERN_BYTES_MAX: usize = 1000;
/// Memory that such a pattern may take once it is compiled, and again while it runs, bytes.
pub const REDACT_COMPILED_BYTES_MAX: usize = 1024 * 1024;
/// How deep groups in such a pattern may nest.
pub const REDACT_NESTING_MAX: u32 = 50;
