//! `alertbridge mail`: one mail from standard input, handed to the running daemon over LMTP.
//!
//! There is no spool: the mail server that calls it has one. Invariant: `Ok` only after the daemon
//! said 250, and that is after the journal's commit; everything else is exit code 75, so that the
//! mail server keeps the mail and tries again.

use crate::limits;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// The exit code that makes a mail server try again (`EX_TEMPFAIL`).
pub const EXIT_TRY_AGAIN: u8 = 75;

/// Where the daemon takes mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LmtpAddress {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP address.
    Tcp(SocketAddr),
}

/// Why a mail was not handed over. All of them mean: try again.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// The mail could not be read.
    #[error("cannot read the mail from standard input: {0}")]
    Input(std::io::Error),
    /// The mail is over the limit.
    #[error("the mail is larger than {0} bytes")]
    TooLarge(usize),
    /// The daemon cannot be reached, or the connection broke.
    #[error("cannot hand the mail to the daemon: {0}; is it running?")]
    Connection(std::io::Error),
    /// The daemon took too long.
    #[error("the daemon did not answer within {0} s")]
    TooSlow(u64),
    /// The daemon did not take it.
    #[error("the daemon did not take the mail: {0}")]
    NotTaken(String),
}

/// Reads one mail and hands it over. An mbox `From ` line in front is dropped, line ends become
/// CRLF. `recipients` name the source, as in `alerts+SOURCE@host`.
pub async fn hand_over(
    input: impl AsyncRead + Unpin,
    daemon: &LmtpAddress,
    sender: &str,
    recipients: &[String],
    longest: Duration,
) -> Result<(), PipeError> {
    let mut mail = Vec::new();
    let most = limits::MAIL_BYTES_MAX;
    input
        .take(most as u64 + 1)
        .read_to_end(&mut mail)
        .await
        .map_err(PipeError::Input)?;
    if mail.len() > most {
        return Err(PipeError::TooLarge(most));
    }
    let wire = stuffed(without_mbox_line(&mail));
    let dialogue = async {
        match daemon {
            LmtpAddress::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await;
                deliver(
                    stream.map_err(PipeError::Connection)?,
                    sender,
                    recipients,
                    &wire,
                )
                .await
            }
            LmtpAddress::Tcp(address) => {
                let stream = tokio::net::TcpStream::connect(address).await;
                deliver(
                    stream.map_err(PipeError::Connection)?,
                    sender,
                    recipients,
                    &wire,
                )
                .await
            }
        }
    };
    tokio::time::timeout(longest, dialogue)
        .await
        .map_err(|_| PipeError::TooSlow(longest.as_secs()))?
}

fn without_mbox_line(mail: &[u8]) -> &[u8] {
    if mail.starts_with(b"From ") {
        let end = mail.iter().position(|byte| *byte == b'\n');
        return end.and_then(|end| mail.get(end + 1..)).unwrap_or(&[]);
    }
    mail
}

/// The mail as it goes over the wire: CRLF, dots stuffed, the end mark behind it.
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(mail.len() + mail.len() / 16 + 8);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

async fn deliver(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    sender: &str,
    recipients: &[String],
    wire: &[u8],
) -> Result<(), PipeError> {
    let mut stream = BufReader::new(stream);
    expect(&mut stream, "220").await?;
    say(&mut stream, "LHLO alertbridge-mail", "250").await?;
    say(
        &mut stream,
        &format!("MAIL FROM:<{}>", plain(sender)),
        "250",
    )
    .await?;
    for recipient in recipients {
        say(
            &mut stream,
            &format!("RCPT TO:<{}>", plain(recipient)),
            "250",
        )
        .await?;
    }
    say(&mut stream, "DATA", "354").await?;
    stream
        .write_all(wire)
        .await
        .map_err(PipeError::Connection)?;
    stream.flush().await.map_err(PipeError::Connection)?;
    for _ in recipients {
        expect(&mut stream, "250").await?;
    }
    // The mail is stored; how the session ends does not matter.
    let _ = stream.write_all(b"QUIT\r\n").await;
    let _ = stream.flush().await;
    Ok(())
}

/// An address without what would end the command.
fn plain(address: &str) -> String {
    address
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '<' | '>' | ' '))
        .collect()
}

async fn say<S>(stream: &mut BufReader<S>, line: &str, code: &str) -> Result<(), PipeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let line = format!("{line}\r\n");
    stream
        .write_all(line.as_bytes())
        .await
        .map_err(PipeError::Connection)?;
    stream.flush().await.map_err(PipeError::Connection)?;
    expect(stream, code).await
}

async fn expect<S>(stream: &mut BufReader<S>, code: &str) -> Result<(), PipeError>
where
    S: AsyncRead + Unpin,
{
    loop {
        let mut line = String::new();
        let most = limits::SMTP_LINE_BYTES_MAX as u64;
        let read = stream.take(most).read_line(&mut line).await;
        if read.map_err(PipeError::Connection)? == 0 {
            let gone = std::io::ErrorKind::UnexpectedEof;
            return Err(PipeError::Connection(gone.into()));
        }
        if !line.starts_with(code) {
            return Err(PipeError::NotTaken(line.trim().to_owned()));
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_from_a_pipe_becomes_a_mail_on_the_wire() {
        let mail = b"From nms Mon Jan  1\nSubject: a\n\n.dot\r\nend";
        assert_eq!(
            stuffed(without_mbox_line(mail)),
            b"Subject: a\r\n\r\n..dot\r\nend\r\n.\r\n"
        );
        assert_eq!(stuffed(b""), b".\r\n");
        assert_eq!(plain("a@b>\r\nQUIT"), "a@bQUIT");
    }
}
