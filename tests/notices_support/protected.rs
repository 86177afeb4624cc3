//! A mail server on loopback that wants TLS and a login, and tells what it saw.

use super::Letter;
use base64::Engine as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// When the connection is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protected {
    FromTheFirstByte,
    AfterStarttls,
    /// It does not offer STARTTLS: a server that was tampered with.
    Never,
}

/// The server.
#[derive(Clone)]
pub struct Guarded {
    pub port: u16,
    /// Its certificate, as a file.
    pub ca_file: PathBuf,
    password: Arc<Mutex<String>>,
    letters: Arc<Mutex<Vec<Letter>>>,
    /// Each command, with whether it came protected.
    said: Arc<Mutex<Vec<(bool, String)>>>,
    how: Protected,
    tls: Arc<ServerConfig>,
}

/// The login that it wants.
pub const USER: &str = "noc";

impl Guarded {
    pub fn start(dir: &Path, how: Protected, password: &str) -> Guarded {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ca_file = dir.join(format!("ca-{port}.pem"));
        std::fs::write(&ca_file, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let chain = vec![CertificateDer::from(made.cert.der().to_vec())];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let server = Guarded {
            port,
            ca_file,
            password: Arc::new(Mutex::new(password.to_owned())),
            letters: Arc::default(),
            said: Arc::default(),
            how,
            tls: Arc::new(tls),
        };
        let mine = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mine = mine.clone();
                std::thread::spawn(move || mine.session(stream));
            }
        });
        server
    }

    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().clone()
    }

    pub fn said(&self) -> Vec<(bool, String)> {
        self.said.lock().unwrap().clone()
    }

    /// The keys that name this server, its certificate and its login.
    pub fn keys(&self, tls: &str, password: &Path) -> String {
        format!(
            "host = \"localhost\"\nport = {}\ntls = \"{tls}\"\nca_file = \"{}\"\nuser = \
             \"{USER}\"\npassword = {{ file = \"{}\" }}\n",
            self.port,
            self.ca_file.display(),
            password.display()
        )
    }

    fn session(&self, mut stream: TcpStream) -> Option<()> {
        if self.how == Protected::FromTheFirstByte {
            let mut stream = self.protect(stream)?;
            stream.write_all(b"220 guarded.example\r\n").ok()?;
            return self.talk(&mut stream, true).map(drop);
        }
        stream.write_all(b"220 guarded.example\r\n").ok()?;
        if self.talk(&mut stream, false)? {
            let mut stream = self.protect(stream)?;
            self.talk(&mut stream, true)?;
        }
        Some(())
    }

    fn protect(&self, stream: TcpStream) -> Option<StreamOwned<ServerConnection, TcpStream>> {
        let connection = ServerConnection::new(self.tls.clone()).ok()?;
        Some(StreamOwned::new(connection, stream))
    }

    /// Talks until the end; true: until the client wants to begin TLS.
    fn talk(&self, stream: &mut (impl Read + Write), safe: bool) -> Option<bool> {
        let (mut known, mut to) = (false, String::new());
        loop {
            let line = line(stream)?;
            self.said.lock().unwrap().push((safe, line.clone()));
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let answer = match verb.to_uppercase().as_str() {
                "EHLO" if safe => "250-guarded.example\r\n250 AUTH PLAIN LOGIN\r\n",
                "EHLO" if self.how == Protected::AfterStarttls => {
                    "250-guarded.example\r\n250 STARTTLS\r\n"
                }
                "EHLO" => "250 guarded.example\r\n",
                "STARTTLS" if !safe && self.how == Protected::AfterStarttls => {
                    stream.write_all(b"220 go on\r\n").ok()?;
                    return Some(true);
                }
                "AUTH" if safe => {
                    known = rest == self.plain();
                    if known {
                        "235 welcome\r\n"
                    } else {
                        "535 5.7.8 wrong login\r\n"
                    }
                }
                "MAIL" | "RCPT" | "DATA" if !known => "530 5.7.0 log in first\r\n",
                "RCPT" => {
                    to = rest.split(['<', '>']).nth(1).unwrap_or("").to_owned();
                    "250 ok\r\n"
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").ok()?;
                    let mut letter = Vec::new();
                    while !letter.ends_with(b"\r\n.\r\n") {
                        letter.push(byte(stream)?);
                    }
                    letter.truncate(letter.len() - 3);
                    self.letters.lock().unwrap().push(Letter {
                        to: to.clone(),
                        raw: String::from_utf8(letter).unwrap(),
                    });
                    "250 taken\r\n"
                }
                "QUIT" => return stream.write_all(b"221 bye\r\n").ok().map(|()| false),
                _ => "250 ok\r\n",
            };
            stream.write_all(answer.as_bytes()).ok()?;
            stream.flush().ok()?;
        }
    }

    fn plain(&self) -> String {
        let login = format!("\0{USER}\0{}", self.password.lock().unwrap());
        let encoded = base64::engine::general_purpose::STANDARD.encode(login);
        format!("PLAIN {encoded}")
    }
}

fn byte(stream: &mut impl Read) -> Option<u8> {
    let mut byte = [0_u8];
    stream.read_exact(&mut byte).ok()?;
    Some(byte[0])
}

fn line(stream: &mut impl Read) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(byte(stream)?);
    }
    line.truncate(line.len() - 2);
    String::from_utf8(line).ok()
}
