//! One SMTP or LMTP connection: commands in, replies out, data to the door.
//!
//! Replies are gathered while commands are in hand and written before the session waits, so that
//! pipelined commands are answered in order. Invariant: what was said before STARTTLS is
//! forgotten, and bytes of a mail are never read as commands.

use super::Refused;
use super::listener::{Peer, Stream, secure};
use super::senders::Envelope;
use super::smtp::SmtpDoor;
use super::smtp_data::{DataReader, Mail};
use super::smtp_reply::{self as reply, Reply};
use super::source::Source;
use crate::limits;
use smtp_proto::{MAIL_BODY_BINARYMIME, Request};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// Why a session ends.
pub(super) enum End {
    /// After that reply.
    Reply(Reply),
    /// The client is gone.
    Gone,
}

/// One connection.
pub(super) struct Session<'a> {
    door: &'a SmtpDoor,
    stream: Option<Stream>,
    peer: Peer,
    buffer: Vec<u8>,
    out: Vec<u8>,
    greeted: bool,
    helo: String,
    sender: Option<String>,
    recipients: Vec<Arc<Source>>,
    chunks: Option<Mail>,
    chunks_failed: bool,
    errors: u32,
    commands: u32,
    bytes: u64,
    deadline: Instant,
}

impl<'a> Session<'a> {
    pub(super) fn new(door: &'a SmtpDoor, stream: Stream, peer: Peer) -> Session<'a> {
        Session {
            door,
            stream: Some(stream),
            peer,
            buffer: Vec::new(),
            out: Vec::new(),
            greeted: false,
            helo: String::new(),
            sender: None,
            recipients: Vec::new(),
            chunks: None,
            chunks_failed: false,
            errors: 0,
            commands: 0,
            bytes: 0,
            deadline: Instant::now() + door.settings.session_time,
        }
    }

    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Result<(), End> {
        let protocol = if self.door.settings.lmtp {
            "LMTP"
        } else {
            "ESMTP"
        };
        let greeting = format!(
            "220 {} {protocol} alertbridge\r\n",
            self.door.settings.hostname
        );
        self.out.extend_from_slice(greeting.as_bytes());
        loop {
            let Some(line) = self.line()? else {
                self.flush().await?;
                tokio::select! {
                    read = self.read_more(self.door.settings.idle_time) => read?,
                    () = stop.cancelled() => return Err(End::Reply(reply::ENDING)),
                }
                continue;
            };
            self.commands += 1;
            if self.commands > limits::SMTP_COMMANDS_MAX {
                return Err(End::Reply(reply::TOO_MUCH));
            }
            self.command(&line).await?;
            if self.errors > limits::SMTP_ERRORS_MAX {
                return Err(End::Reply(reply::TOO_MUCH));
            }
        }
    }

    /// The next command line that is in hand whole, with CRLF at its end.
    fn line(&mut self) -> Result<Option<Vec<u8>>, End> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n');
        let length = end.unwrap_or(self.buffer.len());
        if length > limits::SMTP_LINE_BYTES_MAX {
            self.reply(reply::LINE_TOO_LONG);
            return Err(End::Reply(reply::TOO_MUCH));
        }
        let Some(end) = end else {
            return Ok(None);
        };
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        while matches!(line.last(), Some(b'\r' | b'\n')) {
            line.pop();
        }
        line.extend_from_slice(b"\r\n");
        Ok(Some(line))
    }

    async fn command(&mut self, line: &[u8]) -> Result<(), End> {
        if is_chunk_without_size(line) {
            return Err(End::Reply(reply::BAD_CHUNK));
        }
        match Request::parse(&mut line.iter()) {
            Ok(request) => self.request(request).await,
            Err(error) => {
                if let Some(sender) = argument(line, "MAIL", "FROM") {
                    self.mail(sender, 0, false);
                } else if let Some(recipient) = argument(line, "RCPT", "TO") {
                    self.rcpt(&recipient);
                } else {
                    self.reply(match error {
                        smtp_proto::Error::UnknownCommand => reply::UNKNOWN,
                        smtp_proto::Error::UnsupportedParameter { .. } => reply::BAD_PARAMETER,
                        _ => reply::SYNTAX,
                    });
                }
                Ok(())
            }
        }
    }

    async fn request(&mut self, request: Request<Cow<'_, str>>) -> Result<(), End> {
        match request {
            Request::Ehlo { .. } | Request::Lhlo { .. } | Request::Helo { .. } => {
                self.hello(&request);
            }
            Request::Mail { from } => {
                let is_binary = from.flags & MAIL_BODY_BINARYMIME != 0;
                self.mail(from.address.into_owned(), from.size, is_binary);
            }
            Request::Rcpt { to } => self.rcpt(&to.address),
            Request::Data => self.data().await?,
            Request::Bdat {
                chunk_size,
                is_last,
            } => self.bdat(chunk_size, is_last).await?,
            Request::StartTls => self.start_tls().await?,
            Request::Rset => {
                self.reset();
                self.reply(reply::OK);
            }
            Request::Noop { .. } => self.reply(reply::OK),
            Request::Vrfy { .. } => self.reply(reply::VRFY),
            Request::Help { .. } => self.reply(reply::HELP),
            Request::Quit => return Err(End::Reply(reply::BYE)),
            _ => self.reply(reply::NOT_OFFERED),
        }
        Ok(())
    }

    fn hello(&mut self, request: &Request<Cow<'_, str>>) {
        let is_lhlo = matches!(request, Request::Lhlo { .. });
        if is_lhlo != self.door.settings.lmtp {
            self.reply(reply::WRONG_HELLO);
            return;
        }
        self.reset();
        self.greeted = true;
        if let Request::Ehlo { host } | Request::Lhlo { host } | Request::Helo { host } = request {
            self.helo = host.clone().into_owned();
        }
        if matches!(request, Request::Helo { .. }) {
            self.reply(reply::HELLO);
            return;
        }
        let size = format!("SIZE {}", self.door.settings.mail_bytes_max);
        let mut lines = vec![
            self.door.settings.hostname.as_str(),
            "PIPELINING",
            &size,
            "8BITMIME",
            "SMTPUTF8",
            "CHUNKING",
        ];
        let can_start = matches!(self.stream, Some(Stream::Tcp(_)));
        if can_start && self.door.tls.current().is_some() {
            lines.push("STARTTLS");
        }
        let mut text: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
        text.push_str("250 ENHANCEDSTATUSCODES\r\n");
        self.out.extend_from_slice(text.as_bytes());
    }

    fn mail(&mut self, sender: String, size: usize, is_binary: bool) {
        let reply = if !self.greeted && self.door.settings.lmtp {
            reply::BAD_SEQUENCE
        } else if self.door.settings.require_tls && matches!(self.stream, Some(Stream::Tcp(_))) {
            reply::NEEDS_TLS
        } else if self.sender.is_some() {
            reply::BAD_SEQUENCE
        } else if size > self.door.settings.mail_bytes_max {
            self.door
                .intake
                .metrics
                .refused(self.door.door_name(), Refused::TooLarge);
            reply::TOO_LARGE
        } else if is_binary {
            reply::BAD_PARAMETER
        } else {
            self.sender = Some(sender);
            reply::SENDER_OK
        };
        self.reply(reply);
    }

    fn rcpt(&mut self, address: &str) {
        let reply = if self.sender.is_none() || self.chunks.is_some() || self.chunks_failed {
            reply::BAD_SEQUENCE
        } else if self.recipients.len() >= limits::SMTP_RECIPIENTS_MAX {
            reply::TOO_MANY_RECIPIENTS
        } else {
            match self.door.recipient(address, self.peer.address) {
                Ok(source) => {
                    self.recipients.push(source);
                    reply::RECIPIENT_OK
                }
                Err(reply) => reply,
            }
        };
        self.reply(reply);
    }

    async fn data(&mut self) -> Result<(), End> {
        if self.recipients.is_empty() || self.chunks.is_some() || self.chunks_failed {
            self.reply(reply::BAD_SEQUENCE);
            return Ok(());
        }
        self.reply(reply::GO_ON);
        self.flush().await?;
        let until = Instant::now() + self.door.settings.data_time;
        let mut reader = DataReader::default();
        let mut mail = Mail::new(self.door.settings.spool.clone());
        let mut piece = Vec::new();
        let mut spooled = Ok(());
        loop {
            piece.clear();
            let end = reader.read(&self.buffer, &mut piece);
            let used = end.unwrap_or(self.buffer.len());
            self.buffer.drain(..used);
            if spooled.is_ok() {
                spooled = mail.push(&piece, self.door.settings.mail_bytes_max);
            }
            if end.is_some() {
                break;
            }
            let left = until.saturating_duration_since(Instant::now());
            self.read_more(left.min(self.door.settings.idle_time))
                .await?;
        }
        self.finish(mail, spooled).await
    }

    async fn bdat(&mut self, size: usize, is_last: bool) -> Result<(), End> {
        let is_open = !self.recipients.is_empty() && !self.chunks_failed;
        let mut mail = match self.chunks.take() {
            Some(mail) => mail,
            None => Mail::new(self.door.settings.spool.clone()),
        };
        let mut left = size;
        let mut spooled = Ok(());
        let until = Instant::now() + self.door.settings.data_time;
        loop {
            let here = left.min(self.buffer.len());
            let piece: Vec<u8> = self.buffer.drain(..here).collect();
            left -= here;
            if is_open && spooled.is_ok() {
                spooled = mail.push(&piece, self.door.settings.mail_bytes_max);
            }
            if left == 0 {
                break;
            }
            let time = until.saturating_duration_since(Instant::now());
            self.read_more(time.min(self.door.settings.idle_time))
                .await?;
        }
        if !is_open {
            self.reply(reply::BAD_SEQUENCE);
            return Ok(());
        }
        if is_last {
            return self.finish(mail, spooled).await;
        }
        if spooled.is_err() || mail.is_too_large {
            self.chunks_failed = true;
            let is_ours = spooled.is_err();
            self.reply(if is_ours {
                reply::STORE_UNAVAILABLE
            } else {
                reply::TOO_LARGE
            });
            return Ok(());
        }
        self.chunks = Some(mail);
        self.reply(reply::CHUNK_OK);
        Ok(())
    }

    /// The mail is whole: store it and say so, once for SMTP, for each recipient for LMTP.
    async fn finish(&mut self, mail: Mail, spooled: std::io::Result<()>) -> Result<(), End> {
        let recipients = std::mem::take(&mut self.recipients);
        let sender = self.sender.take().unwrap_or_default();
        self.reset();
        let replies = if mail.is_too_large {
            self.door
                .intake
                .metrics
                .refused(self.door.door_name(), Refused::TooLarge);
            vec![reply::TOO_LARGE; recipients.len()]
        } else if let Err(error) = spooled {
            tracing::warn!(%error, "mail_not_spooled");
            vec![reply::STORE_UNAVAILABLE; recipients.len()]
        } else {
            let envelope = Envelope {
                sender,
                helo: self.helo.clone(),
                peer: self.peer.user.is_none().then_some(self.peer.address),
                direct: !self.door.settings.lmtp,
            };
            self.door.store(mail, &envelope, &recipients).await
        };
        if self.door.settings.lmtp {
            for reply in replies {
                self.reply(reply);
            }
        } else {
            // All or nothing: a sender that tries again repeats what is stored already.
            let worst = replies.into_iter().max_by_key(|reply| reply.code);
            self.reply(worst.unwrap_or(reply::BAD_SEQUENCE));
        }
        Ok(())
    }

    async fn start_tls(&mut self) -> Result<(), End> {
        let config = self.door.tls.current();
        let (tcp, config) = match (self.stream.take(), config) {
            (Some(Stream::Tcp(tcp)), Some(config)) => (tcp, config),
            (stream, _) => {
                self.stream = stream;
                self.reply(reply::NO_TLS);
                return Ok(());
            }
        };
        self.stream = Some(Stream::Tcp(tcp));
        self.reply(reply::TLS_READY);
        self.flush().await?;
        let Some(Stream::Tcp(tcp)) = self.stream.take() else {
            return Err(End::Gone);
        };
        // What was sent in the clear behind STARTTLS was not said by the client of the secured
        // session: forget it, with everything else that was said before.
        self.buffer.clear();
        self.reset();
        self.greeted = false;
        let longest = Duration::from_secs(limits::TLS_HANDSHAKE_SECONDS);
        match secure(tcp, config, longest).await {
            Ok(stream) => {
                self.stream = Some(Stream::Tls(Box::new(stream)));
                Ok(())
            }
            Err(error) => {
                tracing::debug!(client = %self.peer.address, %error, "tls_handshake_failed");
                self.door
                    .intake
                    .metrics
                    .refused(self.door.door_name(), Refused::Handshake);
                Err(End::Gone)
            }
        }
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
        self.chunks = None;
        self.chunks_failed = false;
    }

    fn reply(&mut self, reply: Reply) {
        if reply.is_error() {
            self.errors += 1;
        }
        reply.write(&mut self.out);
    }

    async fn flush(&mut self) -> Result<(), End> {
        let Some(stream) = &mut self.stream else {
            return Err(End::Gone);
        };
        let write = async {
            stream.write_all(&self.out).await?;
            stream.flush().await
        };
        let written = timeout(self.door.settings.idle_time, write).await;
        self.out.clear();
        match written {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Gone),
        }
    }

    async fn read_more(&mut self, longest: Duration) -> Result<(), End> {
        let Some(stream) = &mut self.stream else {
            return Err(End::Gone);
        };
        let mut piece = [0u8; 8192];
        let until = self.deadline.min(Instant::now() + longest);
        let read = match timeout_at(until, stream.read(&mut piece)).await {
            Err(_) => {
                self.door
                    .intake
                    .metrics
                    .refused(self.door.door_name(), Refused::TooSlow);
                return Err(End::Reply(reply::TOO_SLOW));
            }
            Ok(Ok(0) | Err(_)) => return Err(End::Gone),
            Ok(Ok(read)) => read,
        };
        self.bytes += read as u64;
        if self.bytes > limits::SMTP_SESSION_BYTES_MAX {
            return Err(End::Reply(reply::TOO_MUCH));
        }
        self.buffer
            .extend_from_slice(piece.get(..read).unwrap_or_default());
        Ok(())
    }

    pub(super) async fn say_last(&mut self, end: End) {
        if let End::Reply(reply) = end {
            reply.write(&mut self.out);
            let _ = self.flush().await;
            if let Some(stream) = &mut self.stream {
                let longest = Duration::from_secs(limits::TLS_HANDSHAKE_SECONDS);
                let _ = timeout(longest, stream.shutdown()).await;
            }
        }
    }
}

/// Longest size of a chunk, digits. The parser's sizes wrap around at some length.
const CHUNK_DIGITS_MAX: usize = 12;

/// Whether a line is a BDAT that does not say how long its content is: that must not be read as
/// commands, and nobody knows where it ends.
fn is_chunk_without_size(line: &[u8]) -> bool {
    let mut words = line.trim_ascii().split(u8::is_ascii_whitespace);
    if !words
        .next()
        .is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"))
    {
        return false;
    }
    let digits = |size: &&[u8]| {
        (1..=CHUNK_DIGITS_MAX).contains(&size.len()) && size.iter().all(u8::is_ascii_digit)
    };
    let is_last = |word: &[u8]| word.eq_ignore_ascii_case(b"LAST");
    let has_size = words.next().is_some_and(|size| digits(&size));
    !has_size || !words.next().is_none_or(is_last) || words.next().is_some()
}

/// The address of `MAIL FROM` or `RCPT TO` as old devices write it: without angle brackets, with
/// blanks in odd places, with parameters that nobody knows.
fn argument(line: &[u8], verb: &str, word: &str) -> Option<String> {
    let line = String::from_utf8_lossy(line);
    let rest = strip_word(line.trim(), verb)?.trim_start();
    let rest = strip_word(rest, word)?.trim_start().strip_prefix(':')?;
    let rest = rest.trim();
    let address = match rest.strip_prefix('<') {
        Some(inside) => inside.split('>').next()?,
        None => rest.split_whitespace().next().unwrap_or(""),
    };
    let address = address.trim();
    let is_plain = address.chars().all(|c| !c.is_control() && c != ' ');
    // An empty sender is a bounce; an empty recipient is nobody.
    (is_plain && (verb == "MAIL" || !address.is_empty())).then(|| address.to_owned())
}

fn strip_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word)
        .then(|| text.get(word.len()..))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_old_devices_write_them() {
        let mail = |line: &str| argument(line.as_bytes(), "MAIL", "FROM");
        assert_eq!(mail("mail from: a@b\r\n").as_deref(), Some("a@b"));
        assert_eq!(mail("MAIL FROM: <a@b> X=1\r\n").as_deref(), Some("a@b"));
        assert_eq!(mail("MAIL FROM:<>\r\n").as_deref(), Some(""));
        assert_eq!(mail("MAIL FRO:<a@b>\r\n"), None);
        assert_eq!(argument(b"RCPT TO:<>\r\n", "RCPT", "TO"), None);
        assert_eq!(
            argument(b"rcpt to : alerts+x@h\r\n", "RCPT", "TO").as_deref(),
            Some("alerts+x@h")
        );
    }
}
