//! What the mail doors say, as data: a code, an enhanced status and a sentence each.
//!
//! Invariant: trouble of ours is always a 4xx, so that the sender keeps the mail and tries again;
//! no mail is refused for what it says.

/// One reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The code.
    pub code: u16,
    /// The enhanced status, without the blank; empty where there is none.
    pub status: &'static str,
    /// The sentence.
    pub text: &'static str,
}

impl Reply {
    const fn new(code: u16, status: &'static str, text: &'static str) -> Reply {
        Reply { code, status, text }
    }

    /// Appends the reply as one line.
    pub fn write(self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.code.to_string().as_bytes());
        for part in [self.status, self.text] {
            if !part.is_empty() {
                to.push(b' ');
                to.extend_from_slice(part.as_bytes());
            }
        }
        to.extend_from_slice(b"\r\n");
    }

    /// Whether it counts against the session's error budget.
    pub const fn is_error(self) -> bool {
        self.code >= 400
    }
}

/// The session begins.
pub const GREETING: Reply = Reply::new(220, "", "alertbridge ready");
/// Answer to HELO.
pub const HELLO: Reply = Reply::new(250, "", "alertbridge");
/// A command was done.
pub const OK: Reply = Reply::new(250, "2.0.0", "OK");
/// The sender is accepted.
pub const SENDER_OK: Reply = Reply::new(250, "2.1.0", "OK");
/// The recipient is accepted.
pub const RECIPIENT_OK: Reply = Reply::new(250, "2.1.5", "OK");
/// A chunk was taken.
pub const CHUNK_OK: Reply = Reply::new(250, "2.0.0", "chunk taken");
/// The mail is in the journal.
pub const ACCEPTED: Reply = Reply::new(250, "2.0.0", "accepted and stored");
/// Data may come.
pub const GO_ON: Reply = Reply::new(354, "", "end with CRLF.CRLF");
/// The session ends.
pub const BYE: Reply = Reply::new(221, "2.0.0", "bye");
/// TLS may begin.
pub const TLS_READY: Reply = Reply::new(220, "2.0.0", "ready for TLS");
/// VRFY is not answered.
pub const VRFY: Reply = Reply::new(252, "2.5.0", "send the mail and see");
/// HELP.
pub const HELP: Reply = Reply::new(214, "2.0.0", "alerts are taken in; nothing is relayed");
/// The daemon ends.
pub const ENDING: Reply = Reply::new(421, "4.3.2", "shutting down; try again");
/// Nothing was said for too long, or the session took too long.
pub const TOO_SLOW: Reply = Reply::new(421, "4.4.2", "timeout");
/// Too many errors or commands.
pub const TOO_MUCH: Reply = Reply::new(421, "4.7.0", "too many errors or commands");
/// The store cannot write.
pub const STORE_UNAVAILABLE: Reply = Reply::new(451, "4.3.0", "it cannot be stored now; try again");
/// The backlog is full.
pub const BACKLOG_FULL: Reply = Reply::new(452, "4.3.1", "the backlog is full; try again");
/// Too much mail is in hand.
pub const BUSY: Reply = Reply::new(451, "4.3.1", "too much mail at once; try again");
/// The source sends faster than it may.
pub const RATE_LIMITED: Reply = Reply::new(451, "4.7.1", "too many mails; try again");
/// Too many recipients.
pub const TOO_MANY_RECIPIENTS: Reply = Reply::new(452, "4.5.3", "too many recipients");
/// TLS is not configured.
pub const NO_TLS: Reply = Reply::new(454, "4.7.0", "TLS is not available");
/// Not a command.
pub const UNKNOWN: Reply = Reply::new(500, "5.5.1", "unknown command");
/// A line over its limit.
pub const LINE_TOO_LONG: Reply = Reply::new(500, "5.5.2", "line too long");
/// A chunk of which nobody knows where it ends; nothing behind it can be read.
pub const BAD_CHUNK: Reply = Reply::new(501, "5.5.4", "BDAT needs a size; closing");
/// A command that is not well formed.
pub const SYNTAX: Reply = Reply::new(501, "5.5.4", "syntax error");
/// A command that is known and not offered.
pub const NOT_OFFERED: Reply = Reply::new(502, "5.5.1", "not offered");
/// A command out of its order.
pub const BAD_SEQUENCE: Reply = Reply::new(503, "5.5.1", "bad sequence of commands");
/// A parameter that is not known.
pub const BAD_PARAMETER: Reply = Reply::new(555, "5.5.4", "unknown parameter");
/// TLS must be used first.
pub const NEEDS_TLS: Reply = Reply::new(530, "5.7.0", "say STARTTLS first");
/// Not one of our domains.
pub const NO_RELAY: Reply = Reply::new(550, "5.7.1", "nothing is relayed");
/// The source may not send from that address.
pub const NOT_AUTHORIZED: Reply = Reply::new(550, "5.7.1", "not authorized");
/// The mail is over the limit.
pub const TOO_LARGE: Reply = Reply::new(552, "5.3.4", "the mail is too large");
/// LMTP uses LHLO, SMTP uses EHLO.
pub const WRONG_HELLO: Reply = Reply::new(500, "5.5.1", "wrong greeting for this port");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_one_line() {
        let mut line = Vec::new();
        ACCEPTED.write(&mut line);
        GO_ON.write(&mut line);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "250 2.0.0 accepted and stored\r\n354 end with CRLF.CRLF\r\n"
        );
    }
}
