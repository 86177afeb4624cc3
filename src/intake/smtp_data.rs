//! The body of a mail on the wire: where it ends, what its dots mean, and where it is kept until it
//! is whole.
//!
//! Invariant: only CRLF.CRLF ends the data (or `.CRLF` as the very first line). A bare LF or CR is
//! content; it is turned into a line end of its own and never into the end, so that a second mail
//! cannot be smuggled behind it. Small mails stay in memory, larger ones go to an unlinked file, sealed
//! with a key that never leaves this process.

use crate::limits;
use crate::store::sealing::Keyring;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// After CRLF, or at the start.
    LineStart,
    /// Within a line, or after a bare LF.
    Inside,
    /// After CR.
    Cr,
    /// After a dot at a line's start.
    Dot,
    /// After dot and CR at a line's start.
    DotCr,
}

/// Finds the end of data and undoes dot stuffing, over pieces of any size.
#[derive(Debug)]
pub struct DataReader {
    at: At,
}

impl Default for DataReader {
    fn default() -> DataReader {
        DataReader { at: At::LineStart }
    }
}

impl DataReader {
    /// Reads on. Content goes to `to`; gives the number of bytes used when the end was found.
    pub fn read(&mut self, bytes: &[u8], to: &mut Vec<u8>) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            let byte = *byte;
            self.at = match (self.at, byte) {
                (At::LineStart, b'.') => At::Dot,
                (At::Dot, b'\r') => At::DotCr,
                (At::DotCr, b'\n') => {
                    self.at = At::LineStart;
                    return Some(index + 1);
                }
                (At::DotCr, _) => {
                    // Dot and a bare CR: the dot was stuffing, the CR is a line end of its own.
                    to.extend_from_slice(b"\r\n");
                    content(byte, to)
                }
                (At::Cr, b'\n') => {
                    to.extend_from_slice(b"\r\n");
                    At::LineStart
                }
                (At::Cr, _) => {
                    to.extend_from_slice(b"\r\n");
                    content(byte, to)
                }
                // The dot is stuffing.
                (At::Dot | At::LineStart | At::Inside, _) => content(byte, to),
            };
        }
        None
    }
}

fn content(byte: u8, to: &mut Vec<u8>) -> At {
    match byte {
        b'\r' => At::Cr,
        b'\n' => {
            to.extend_from_slice(b"\r\n");
            At::Inside
        }
        _ => {
            to.push(byte);
            At::Inside
        }
    }
}

/// A mail in the making.
#[derive(Debug)]
pub struct Mail {
    memory: Vec<u8>,
    file: Option<(File, Keyring)>,
    length: usize,
    spool: PathBuf,
    /// It went over the limit; what follows is read and dropped.
    pub is_too_large: bool,
}

/// How much of a mail is sealed at once, bytes.
const SEALED_AT_ONCE: usize = limits::MAIL_MEMORY_BYTES_MAX;

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Mail {
    /// An empty mail whose large form is kept in that directory.
    pub fn new(spool: PathBuf) -> Mail {
        Mail {
            memory: Vec::new(),
            file: None,
            length: 0,
            spool,
            is_too_large: false,
        }
    }

    /// Its length so far.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing has come yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8], bytes_max: usize) -> std::io::Result<()> {
        self.length = self.length.saturating_add(bytes.len());
        if self.is_too_large || self.length > bytes_max {
            self.is_too_large = true;
            self.memory = Vec::new();
            self.file = None;
            return Ok(());
        }
        if self.file.is_none() && self.length <= limits::MAIL_MEMORY_BYTES_MAX {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        if self.file.is_none() {
            let keys = Keyring::ephemeral().map_err(std::io::Error::other)?;
            self.file = Some((nameless(&self.spool)?, keys));
        }
        self.memory.extend_from_slice(bytes);
        if self.memory.len() >= SEALED_AT_ONCE {
            self.put_away()?;
        }
        Ok(())
    }

    /// What is in memory goes to the file, sealed: its length, then the bytes.
    fn put_away(&mut self) -> std::io::Result<()> {
        let Some((file, keys)) = &mut self.file else {
            return Ok(());
        };
        let place = file.stream_position()?.to_le_bytes();
        let (_, sealed) = keys
            .seal(&place, &self.memory)
            .map_err(std::io::Error::other)?;
        let length = u32::try_from(sealed.len()).map_err(std::io::Error::other)?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&sealed)?;
        self.memory.clear();
        Ok(())
    }

    /// The whole mail.
    pub fn into_bytes(mut self) -> std::io::Result<Vec<u8>> {
        self.put_away()?;
        let Some((mut file, keys)) = self.file else {
            return Ok(self.memory);
        };
        let end = file.stream_position()?;
        let mut whole = Vec::with_capacity(self.length);
        let mut sealed = Vec::new();
        let mut at = 0_u64;
        file.seek(SeekFrom::Start(0))?;
        while at < end {
            let mut length = [0; 4];
            file.read_exact(&mut length)?;
            sealed.resize(u32::from_le_bytes(length) as usize, 0);
            file.read_exact(&mut sealed)?;
            let opened = keys.open(1, &at.to_le_bytes(), &sealed);
            whole.extend_from_slice(&opened.map_err(std::io::Error::other)?);
            at = file.stream_position()?;
        }
        Ok(whole)
    }
}

/// A file that vanishes with its handle, also when the process dies.
fn nameless(dir: &std::path::Path) -> std::io::Result<File> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!(".mail-{}-{number}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> (Option<usize>, Vec<u8>) {
        let mut content = Vec::new();
        let end = DataReader::default().read(bytes, &mut content);
        (end, content)
    }

    #[test]
    fn only_crlf_dot_crlf_ends_the_data() {
        for lure in [
            "a\n.\nMAIL FROM:<x>\r\n",
            "a\n.\r\nMAIL FROM:<x>\r\n",
            "a\r.\rMAIL FROM:<x>\r\n",
            "a\r\n.\rMAIL FROM:<x>\r\n",
            "a\r\n.\nMAIL FROM:<x>\r\n",
            "a\r.\r\nMAIL FROM:<x>\r\n",
            "a\r\n\0.\r\nMAIL\r\n",
            "a\r\n. \r\nMAIL\r\n",
        ] {
            let (end, content) = read(lure.as_bytes());
            assert_eq!(end, None, "{lure:?}");
            let text = String::from_utf8(content).unwrap();
            assert!(text.contains("MAIL"), "{lure:?} lost content: {text:?}");
        }
        assert_eq!(read(b".\r\n"), (Some(3), vec![]));
        assert_eq!(read(b"a\r\n.\r\nQUIT"), (Some(6), b"a\r\n".to_vec()));
    }

    #[test]
    fn one_leading_dot_is_removed() {
        let (end, content) = read(b"..a\r\n..\r\n.b\r\nc.\r\n.\r\n");
        assert_eq!(end, Some(20));
        assert_eq!(content, b".a\r\n.\r\nb\r\nc.\r\n");
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a')], 0..40),
            size in 1usize..7,
        ) {
            let whole = read(&bytes);
            let mut reader = DataReader::default();
            let (mut content, mut used, mut end) = (Vec::new(), 0, None);
            for piece in bytes.chunks(size) {
                if let Some(here) = reader.read(piece, &mut content) {
                    end = Some(used + here);
                    break;
                }
                used += piece.len();
            }
            prop_assert_eq!(whole, (end, content));
        }

        #[test]
        fn what_is_stuffed_comes_back(text in "[a.\\n]{0,40}") {
            let lines = text.replace('\n', "\r\n");
            let mut wire = String::new();
            for line in lines.split_inclusive("\r\n") {
                if line.starts_with('.') {
                    wire.push('.');
                }
                wire.push_str(line);
            }
            let wire = format!("{wire}\r\n.\r\n");
            let (end, content) = read(wire.as_bytes());
            prop_assert_eq!(end, Some(wire.len()));
            prop_assert_eq!(content, format!("{lines}\r\n").into_bytes());
        }
    }

    #[test]
    fn a_large_mail_goes_to_a_file_and_comes_back_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut mail = Mail::new(dir.path().to_owned());
        let piece = b"zanzibar".repeat(limits::MAIL_MEMORY_BYTES_MAX / 8 - 1);
        for _ in 0..4 {
            mail.push(&piece, 1 << 30).unwrap();
            assert!(mail.memory.len() < limits::MAIL_MEMORY_BYTES_MAX);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        // What stands on the disk meanwhile tells nothing.
        let (file, _) = mail.file.as_mut().unwrap();
        let end = file.stream_position().unwrap();
        let mut stored = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut stored).unwrap();
        file.seek(SeekFrom::Start(end)).unwrap();
        assert!(stored.len() > piece.len());
        assert!(!stored.windows(8).any(|part| part == b"zanzibar"));
        assert_eq!(mail.into_bytes().unwrap(), piece.repeat(4));
        let mut mail = Mail::new(dir.path().to_owned());
        mail.push(b"12345", 4).unwrap();
        assert!(mail.is_too_large && mail.memory.is_empty());
    }
}
