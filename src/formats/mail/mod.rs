//! Mails → [`super::Decoded`]. Pure.
